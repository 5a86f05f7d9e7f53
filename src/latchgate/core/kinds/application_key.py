"""The API-KEY of an application: 128 bits as 32 upper-case hexadecimal digits.

It names a program and never a user; it comes beside a user's credential, in a header or as a matrix
parameter of the path's last segment, and holds for that request only. A program carries
it in every copy, so it labels and does not protect. Source: providers/teracloud, "How to give API
KEY", "Format of API KEY"; the header's name from the provider's developer pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from latchgate.core.kinds.spec import Issued, Leaked, LeakShape, Spec
from latchgate.core.model import (
    Application,
    ApplicationFacts,
    Presented,
    Refused,
    Request,
    TraceStep,
    User,
)
from latchgate.core.path import last_parameters
from latchgate.core.reason import Reason, Step
from latchgate.core.secret import Secret, digest, looks_drawn, same

BYTES = 16
_HEX = "0123456789ABCDEF"
_SHAPE = re.compile(r"[0-9A-F]{32}")
_SHAPE_WORDS = "an API key is 32 hexadecimal digits, letters in upper case"
_ID_LENGTH = 24


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a policy file says of this kind: `[kinds.application_key]`.

    `header` carries the key; `matrix_parameter` is its name in a path, where areas allow it.
    """

    header: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}\Z")]
    matrix_parameter: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")] | None = None


@dataclass(frozen=True, slots=True)
class ApplicationKeyKind:
    """The key of an application, read from `header` (lower case) or from the path."""

    name: str
    header: str
    matrix_parameter: str | None

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> ApplicationKeyKind:
        """Build the kind from its table in a policy file; msgspec.ValidationError when wrong."""
        read = msgspec.convert(settings, Settings)
        return cls(name=name, header=read.header.lower(), matrix_parameter=read.matrix_parameter)

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with: none is registered."""
        return ""

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        return (self.header,)

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked one; no part of it is public.

        Behind the name of its matrix parameter whatever stands is taken for one: a path with a
        mistyped key is kept too.
        """
        if self.matrix_parameter is None:
            return r"()[0-9A-F]{32,}"
        named = rf"(?:;|%3[Bb]){self.matrix_parameter}="
        return rf"({named}|(?=[0-9A-F]{{32}}))[0-9A-Za-z_.~%-]+"

    @property
    def leak(self) -> LeakShape:
        """Return how a leaked key is known."""

        def recognise(text: str) -> Leaked | None:
            if _SHAPE.fullmatch(text) is None or not looks_drawn(text):
                return None
            told = digest("application_key", text)
            return Leaked(len(text), key_id(text), told, "", certain=False)

        return LeakShape("", _HEX, 2 * BYTES, f"[0-9A-F]{{{2 * BYTES}}}", recognise)

    @property
    def entropy_bytes(self) -> int:
        """Return how many random bytes `issue` takes."""
        return BYTES

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Read the key from its header or from the last segment's matrix parameters, once."""
        found: list[str] = []
        value = request.headers.get(self.header)
        if value is not None:
            found.append(value)
        if self.matrix_parameter is not None:
            told = last_parameters(request.target)
            found += [value for name, value in told if name == self.matrix_parameter]
        if not found:
            return None
        if len(found) > 1 or self.header in request.repeated:
            return Refused(Reason.APPLICATION_MALFORMED, "the API key is sent more than once")
        if not _SHAPE.fullmatch(found[0]):
            return Refused(Reason.APPLICATION_MALFORMED, _SHAPE_WORDS)
        text = found[0]
        return (Presented(self.name, key_id(text), digest("application_key", text)),)

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make 32 upper-case hexadecimal digits of 16 fresh random bytes; ValueError otherwise."""
        if len(entropy) != BYTES:
            msg = f"issue needs {BYTES} bytes of entropy"
            raise ValueError(msg)
        return _issued(entropy.hex().upper())

    def given(self, text: str) -> Issued:
        """Take a key that somebody else made; ValueError when it isn't one."""
        if not _SHAPE.fullmatch(text):
            raise ValueError(_SHAPE_WORDS)
        return _issued(text)

    def verify(
        self,
        presented: Presented,
        facts: ApplicationFacts,
        owner: User,
        now: float,
        trace: list[TraceStep],
    ) -> Application | Refused:
        """Compare the digest first; then judge the key, its application and its user's wishes."""
        key = facts.key
        right = same(key.digest, presented.digest)
        trace.append((Step.SECRET, right, (key.id,)))
        if not right:
            return Refused(Reason.APPLICATION_UNKNOWN)
        reason = _reason(facts, owner, now)
        told = (key.application_id, owner.id, reason)
        trace.append((Step.APPLICATION, reason is None, told))
        if reason is not None or facts.application is None:
            return Refused(reason or Reason.APPLICATION_NOT_APPROVED)
        return facts.application


def _reason(facts: ApplicationFacts, owner: User, now: float) -> Reason | None:
    key, application = facts.key, facts.application
    if key.revoked_at is not None or (key.expires_at is not None and now >= key.expires_at):
        return Reason.APPLICATION_KEY_REVOKED
    if application is None or not application.approved:
        return Reason.APPLICATION_NOT_APPROVED
    if key.user_id is not None and key.user_id != owner.id:
        return Reason.APPLICATION_KEY_OF_ANOTHER
    if key.tenants is not None and owner.tenant_id not in key.tenants:
        return Reason.APPLICATION_KEY_OF_ANOTHER
    if application.id in owner.blocked:
        return Reason.APPLICATION_BLOCKED
    return None


def _issued(text: str) -> Issued:
    return Issued(
        id=key_id(text), secret=Secret(text), digest=digest("application_key", text), hint="…"
    )


def key_id(text: str) -> str:
    """Return the public id of a key, made from a digest of its text: `ak-` and 24 digits."""
    return f"ak-{digest('application_key id', text).hex()[:_ID_LENGTH]}"
