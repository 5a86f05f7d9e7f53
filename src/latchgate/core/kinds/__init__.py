"""Kinds of credential: one file each, listed here.

A kind is a frozen dataclass with its settings and `parse`, `issue`, `verify`. Adding one is a
file, a line in `KINDS` and its settings in a policy file; the law tests pick it up from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import Facts, Grant, Presented, Refused, Request, TraceStep


class Kind(Protocol):
    """What every kind of credential can do, with no I/O, clock or randomness of its own."""

    @property
    def name(self) -> str:
        """Return the name that records and areas use: `{provider}.{kind}`."""
        ...

    @property
    def pattern(self) -> str:
        """Return the regular expression of a leaked one, for redaction and scanners."""
        ...

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with."""
        ...

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        ...

    def parse(self, request: Request) -> tuple[Presented, ...] | Refused | None:
        """Return what is claimed, why it is ours but broken, or None when it is not ours."""
        ...

    def issue(self, spec: Spec, entropy: bytes) -> Issued:
        """Make a new secret and its digest from as many fresh random bytes as the kind asks for."""
        ...

    def verify(
        self,
        presented: Presented,
        facts: Facts,
        request: Request,
        now: float,
        trace: list[TraceStep],
    ) -> Grant | Refused:
        """Compare the secret first, then judge whether the credential stands."""
        ...


# The word a policy file uses -> how the kind is built from (its full name, its settings).
KINDS: Mapping[str, Callable[[str, Mapping[str, object]], Kind]] = {
    "service_key": ServiceKey.configured,
}
