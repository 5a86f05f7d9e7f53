"""A short-lived token, and when the next one is fetched.

Times are Unix seconds of this machine's clock. A server's clock is never compared with it: a token
lives from its arrival for as long as the server said that it lasts. Where this machine's clock is
set forward a token is replaced early, where it is set back one is replaced that seems to come from
the future: either costs one exchange and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from latchgate.client.secret import Secret

_EARLIEST, _LATEST = 0.8, 0.9  # of its life: when it is renewed, each process at its own moment
_FUTURE = 60.0  # seconds that a clock may have been set back by before what was kept is doubted
_PATIENCE = 30.0  # seconds for which a token that a refusal brought is not replaced again
_UNTOLD = 60.0  # seconds that one lasts of which the server said nothing that can be
_LONGEST = 30 * 86_400.0  # seconds after which even one that "never" ends is fetched anew


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
        """Make one that just came; `lasts` is seconds, `chance` random in [0, 1).

        A server that says of a token that it is over as it hands it out counts its seconds wrong:
        such a one is used for a minute, and the server may refuse it. One said to last for longer
        than 30 days, or for ever, is fetched anew after 30 days.
        """
        life = min(lasts, _LONGEST) if lasts > 0 else _UNTOLD  # NaN is not above 0 either
        early = _EARLIEST + (_LATEST - _EARLIEST) * chance
        return cls(
            Secret(value),
            got_at=now,
            renew_at=now + life * early,
            ends_at=now + life,
            refresh=Secret(refresh) if refresh else None,
            facts=facts or {},
        )

    @property
    def life(self) -> float:
        """Seconds from its arrival to its end."""
        return self.ends_at - self.got_at

    def live(self, now: float) -> bool:
        """Whether it is within its time, as far as this machine's clock can be believed."""
        return self.got_at - _FUTURE <= now < self.ends_at

    def due(self, now: float) -> bool:
        """Whether the next one should be fetched."""
        return now >= self.renew_at or not self.live(now)

    def settled(self, now: float) -> bool:
        """Whether it came for a refused one just now: another would be refused as well."""
        return self.after_refusal and abs(now - self.got_at) < _PATIENCE

    def same(self, other: Token | None) -> bool:
        """Whether it is the same token, wherever it was read from and whatever its times are."""
        return other is not None and (self is other or self.value == other.value)
