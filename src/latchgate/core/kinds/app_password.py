"""A password that the system issued, sent as HTTP Basic with the login name of its user.

Random, so that one fast digest is enough; shown once, one at a time, and never chosen. It is
spelled so that a scanner and its owner's reader know it: `{prefix}_`, 22 of base62 (130 bits) and a
checksum. Source: providers/teracloud, "BASIC authentication": off by default, enabled by
the user, issued at random by the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from latchgate.core.basic import is_system_made, read_basic
from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, SentBasic, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.reason import Reason
from latchgate.core.secret import (
    BASE62,
    CHECKSUM_LENGTH,
    CROCKFORD_LOWER,
    Secret,
    checksum,
    digest,
    draw,
)
from latchgate.core.standing import verified

RANDOM_LENGTH = 22  # of base62: 130 bits
_ID_LENGTH = 12
_ID_ENTROPY = 17


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.app_password]`.

    `prefix` is what every such password begins with, before the underscore.
    """

    prefix: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]{1,15}\Z")]


@dataclass(frozen=True, slots=True)
class AppPassword(SentBasic):
    """A password bound to a login name, sent as Basic."""

    name: str
    prefix: str
    _start: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_start", f"{self.prefix}_")

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> AppPassword:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        return cls(name=name, prefix=msgspec.convert(settings, Settings).prefix)

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked one, its public part as group 1."""
        return rf"({self.prefix}_)[0-9A-Za-z]{{8,}}"

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked password is known."""
        length = RANDOM_LENGTH + CHECKSUM_LENGTH
        pattern = f"{self.prefix}_[0-9A-Za-z]{{{RANDOM_LENGTH}}}[0-9a-f]{{{CHECKSUM_LENGTH}}}"

        def recognise(text: str) -> Leaked | None:
            whole = text[: len(self._start) + length]
            if not is_system_made(whole):
                return None
            told = digest("app_password", whole)
            return Leaked(len(whole), None, told, self._start, certain=True)

        return LeakShape(self._start, "", len(self._start) + length, pattern, recognise)

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes: those of the id, then of the password."""
        return _ID_ENTROPY + 25

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read login name and password from `Authorization: Basic` (RFC 7617)."""
        value = request.headers.get("authorization")
        basic = read_basic(value) if value is not None else None
        if basic is None:
            return None
        if isinstance(basic, str):
            return Refused(Reason.CREDENTIAL_MALFORMED, basic)
        password = basic.password.reveal()
        if not password.startswith(self._start):
            return None
        if "authorization" in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")
        if not is_system_made(password):
            why = "the password's checksum is wrong: mistyped or cut short"
            return Refused(Reason.CREDENTIAL_MALFORMED, why)
        return (Presented(self.name, "", digest("app_password", password), login=basic.login),)

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make `{prefix}_{22 of base62}{checksum}`; `entropy` is 42 fresh random bytes.

        ValueError when it is not.
        """
        if len(entropy) != self.entropy_bytes:
            msg = f"issue needs {self.entropy_bytes} bytes of entropy"
            raise ValueError(msg)
        drawn = draw(entropy[:_ID_ENTROPY], CROCKFORD_LOWER, _ID_LENGTH)
        body = f"{self.prefix}_{draw(entropy[_ID_ENTROPY:], BASE62, RANDOM_LENGTH)}"
        text = body + checksum(body)
        return Issued(
            id=f"{self.prefix}-{drawn}",
            secret=Secret(text),
            digest=digest("app_password", text),
            hint=f"{self.prefix}_…",
        )

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the digest first; only then look at the record's state."""
        return verified(presented, facts, request, now, trace)
