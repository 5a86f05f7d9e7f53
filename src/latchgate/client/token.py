"""A short-lived token, and when the next one is fetched.

Times are Unix seconds of this machine's clock. A server's clock is never compared with it: a token
lives from its arrival for as long as the server said that it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from latchgate.client.secret import Secret

_EARLIEST, _LATEST = 0.8, 0.9  # of its life: when it is renewed, each process at its own moment
_FUTURE = 60.0  # seconds that a clock may have been set back by before what was kept is doubted
_PATIENCE = 30.0  # seconds for which a token that a refusal brought is not replaced again


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its times; `facts` are what the server said of it (user, project, roles).

    `after_refusal` is set where it replaced one that was refused before its end.
    """

    value: Secret
    got_at: float
    renew_at: float
    ends_at: float
    refresh: Secret | None = None
    facts: dict[str, str] = field(default_factory=dict)
    after_refusal: bool = False

    @classmethod
    def arrived(
        cls,
        value: str,
        *,
        now: float,
        lasts: float,
        chance: float,
        refresh: str | None = None,
        facts: dict[str, str] | None = None,
    ) -> Token:
        """Make one that just came; `lasts` is seconds, `chance` random in [0, 1)."""
        early = _EARLIEST + (_LATEST - _EARLIEST) * chance
        return cls(
            Secret(value),
            got_at=now,
            renew_at=now + lasts * early,
            ends_at=now + lasts,
            refresh=Secret(refresh) if refresh is not None else None,
            facts=facts or {},
        )

    def live(self, now: float) -> bool:
        """Whether it is within its time, as far as this machine's clock can be believed."""
        return self.got_at - _FUTURE <= now < self.ends_at

    def due(self, now: float) -> bool:
        """Whether the next one should be fetched."""
        return now >= self.renew_at or not self.live(now)

    def settled(self, now: float) -> bool:
        """Whether it came for a refused one just now: another would be refused as well."""
        return self.after_refusal and 0 <= now - self.got_at < _PATIENCE
