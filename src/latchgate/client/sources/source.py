"""What a cloud wants, and what a source has of it.

Rule of this folder: a source gives a whole credential or none; credentials are never put together
from two. An address counts only from the source of the credential itself (or as an argument), so
that a file in some folder can't send a key from elsewhere to its own host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from latchgate.client.secret import Secret


class Found(NamedTuple):
    """A credential: its fields by the cloud's names for them, and where it was, for people."""

    fields: Mapping[str, Secret]
    where: str

    def __repr__(self) -> str:
        return f"Found(where={self.where!r})"


class Lacking(NamedTuple):
    """A source without one: where it was looked for, and why there is none."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What makes a credential of a cloud.

    `sets` are the fields that suffice together, the preferred first; `variables` the environment's
    name of each field, `optional` the fields that may come along, such as `url`.
    """

    cloud: str
    sets: tuple[tuple[str, ...], ...]
    variables: Mapping[str, str]
    optional: tuple[str, ...] = ("url",)

    def taken(self, values: Mapping[str, str]) -> Mapping[str, Secret] | None:
        """Return the first set that `values` (by field) has whole, with what is optional."""
        for one in self.sets:
            if all(values.get(name) for name in one):
                names = [*one, *(name for name in self.optional if values.get(name))]
                return {name: Secret(values[name]) for name in names}
        return None


class Source(Protocol):
    """One place to look."""

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return a credential, or why there is none.

        Raises SourceUnreadable where there is one that can't be read.
        """
        ...  # pragma: no cover
