"""`{prefix}_` and 26 of Crockford's base32: the API token that UpCloud documents (`ucat_…`).

All 26 are random (130 bits): the format has no room for an id or a checksum. The record's id is
made from a digest of the text instead, so that one look-up by id finds it like any other
credential; who knows the id knows nothing of the text. Source: providers/upcloud, "Bearer token
authentication"; lengths and ids as recorded in its API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, SentBearer, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep
from latchgate.core.reason import Reason
from latchgate.core.secret import CROCKFORD_UPPER, Secret, digest, draw, looks_drawn
from latchgate.core.standing import verified

LENGTH = 26
_SCHEME = re.compile(r"bearer +", re.IGNORECASE)


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.api_token]`.

    `prefix` is what every token begins with, before the underscore.
    """

    prefix: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9]{1,15}\Z")]


@dataclass(frozen=True, slots=True)
class ApiToken(SentBearer):
    """A token sent as Bearer."""

    name: str
    prefix: str
    _shape: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _anywhere: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = re.compile(f"{self.prefix}_[{CROCKFORD_UPPER}]{{{LENGTH}}}")
        object.__setattr__(self, "_shape", shape)
        anywhere = re.compile(f"(?<![A-Za-z0-9]){self.prefix}_", re.IGNORECASE)
        object.__setattr__(self, "_anywhere", anywhere)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> ApiToken:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        return cls(name=name, prefix=msgspec.convert(settings, Settings).prefix)

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked token, its public part as group 1."""
        return rf"({self.prefix}_)[0-9A-Za-z]{{8,}}"

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked token is known."""
        pattern = f"{self.prefix}_[{CROCKFORD_UPPER}]{{{LENGTH}}}"
        return LeakShape(
            f"{self.prefix}_", "", len(self.prefix) + 1 + LENGTH, pattern, self.recognise
        )

    def recognise(self, text: str) -> Leaked | None:
        """Read a leaked token: likely at most, for the format has no checksum."""
        found = self._shape.match(text)
        if found is None or not looks_drawn(found[0]):
            return None
        told = digest("api_token", found[0])
        return Leaked(found.end(), token_id(found[0]), told, f"{self.prefix}_", certain=False)

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes: 64 bits over what the text holds."""
        return 25

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read the token from `Authorization: Bearer`, in any case (RFC 9110 §11.1)."""
        value = request.headers.get("authorization")
        if value is None:
            return None
        scheme = _SCHEME.match(value)
        text = value[scheme.end() :] if scheme is not None else ""
        if self._shape.fullmatch(text) is None:
            if self._anywhere.search(value) is None:
                return None
            why = f"a token is written Bearer {self.prefix}_ and {LENGTH} digits and capitals"
            return Refused(Reason.CREDENTIAL_MALFORMED, why)
        if "authorization" in request.repeated:
            return Refused(Reason.CREDENTIAL_REPEATED, "more than one Authorization header")
        return (Presented(self.name, token_id(text), digest("api_token", text)),)

    def claim(self, text: str) -> Presented | Refused:
        """Return what a token's text claims, whatever header it would be sent in."""
        if self._shape.fullmatch(text) is None:
            why = f"a token is written {self.prefix}_ and {LENGTH} digits and capitals"
            return Refused(Reason.CREDENTIAL_MALFORMED, why)
        return Presented(self.name, token_id(text), digest("api_token", text))

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make `{prefix}_{26 of Crockford base32}`; `entropy` is 25 fresh random bytes.

        ValueError when it is not.
        """
        if len(entropy) != self.entropy_bytes:
            msg = f"issue needs {self.entropy_bytes} bytes of entropy"
            raise ValueError(msg)
        text = f"{self.prefix}_{draw(entropy, CROCKFORD_UPPER, LENGTH)}"
        return Issued(
            id=token_id(text),
            secret=Secret(text),
            digest=digest("api_token", text),
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


def token_id(text: str) -> str:
    """Return the public id of a token: a UUID (RFC 9562 version 8) that begins with 0c."""
    told = digest("api_token id", text).hex()
    return f"0c{told[:6]}-{told[6:10]}-8{told[10:13]}-a{told[13:16]}-{told[16:28]}"
