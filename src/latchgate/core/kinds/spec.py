"""What goes into issuing a credential, what comes out, how it is sent, and how a leak is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latchgate.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Spec:
    """The part of a new credential that its spelling depends on: the first service chosen."""

    service: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential: its public id, its text (shown once), its digest, and a safe hint."""

    id: str
    secret: Secret
    digest: bytes
    hint: str


@dataclass(frozen=True, slots=True)
class Leaked:
    """A secret known in some text: its first `length` characters, and what names it.

    `certain` says that its checksum is right, or as much; `id` is its public id where the text
    tells it, `shown` the part that may be shown. `others` are digests under which it is stored
    where its hash alone was imported.
    """

    length: int
    id: str | None
    digest: bytes
    shown: str
    certain: bool
    others: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class LeakShape:
    """How the secrets of a kind are known where they leaked.

    Each begins with `anchor`; where that is empty, it is a run of `length` of the characters
    `alphabet`. `length` is that of the shortest there is. `pattern` is a regular expression of the
    whole secret in RE2's syntax, so without looking around. `recognise` reads text that it matched.
    """

    anchor: str
    alphabet: str
    length: int
    pattern: str
    recognise: Callable[[str], Leaked | None]


class _Sent:
    __slots__ = ()

    @property
    def carriers(self) -> tuple[str, ...]:
        """Return the headers, in lower case, that it is read from."""
        return ("authorization",)


class SentBearer(_Sent):
    """How a kind is sent that comes as `Authorization: Bearer` (RFC 6750)."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with."""
        return "Bearer"


class SentBasic(_Sent):
    """How a kind is sent that comes as `Authorization: Basic` (RFC 7617)."""

    __slots__ = ()

    @property
    def scheme(self) -> str:
        """Return the HTTP authentication scheme it is challenged with."""
        return "Basic"
