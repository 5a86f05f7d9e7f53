"""What a cloud wants, and what a source has of it.

Rule of this folder: a source gives a whole credential or none; credentials are never put together
from two. An address counts only from the source of the credential itself (or as an argument), so
that a file in some folder can't send a key from elsewhere to its own host. No error, warning or
repr holds a value: they name variables, files, lines and fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from latchgate.client.errors import CredentialInvalid
from latchgate.client.secret import Secret
from latchgate.client.spelling import encodable


class Found(NamedTuple):
    """A credential: its fields by the cloud's names for them, and where it was, for people."""

    fields: Mapping[str, Secret]
    where: str

    def __repr__(self) -> str:
        return f"Found(where={self.where!r})"


class Lacking(NamedTuple):
    """A source without one: where it was looked for, and why there is none.

    `unreadable` where there may well be one, which can't be read: whoever asked for this very
    source is told so by SourceUnreadable. `address` is the name of an address that is there without
    its credential, and so counts for nobody's.
    """

    where: str
    why: str
    unreadable: bool = False
    address: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What makes a credential of a cloud.

    `sets` are the fields that suffice together, the preferred first; `variables` the environment's
    name of each field, `optional` the fields that may come along, such as `url`; `apart` pairs of
    fields that no source may have together, for nobody could tell which of them is meant.
    """

    cloud: str
    sets: tuple[tuple[str, ...], ...]
    variables: Mapping[str, str]
    optional: tuple[str, ...] = ("url",)
    apart: tuple[tuple[str, str], ...] = ()

    @property
    def entry(self) -> str:
        """The cloud's name as entries and commands spell it."""
        return self.cloud.lower()

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field's name, once."""
        return tuple(dict.fromkeys([*(name for one in self.sets for name in one), *self.optional]))

    def taken(self, values: Mapping[str, str]) -> Mapping[str, Secret] | None:
        """Return the first set that `values` (by field) has whole, with what is optional."""
        for one in self.sets:
            if all(values.get(name) for name in one):
                names = [*one, *(name for name in self.optional if values.get(name))]
                return {name: Secret(values[name]) for name in names}
        return None

    def found(
        self, values: Mapping[str, str], where: str, names: Mapping[str, str] | None = None
    ) -> Found | Lacking:
        """Return the credential that one source's values make, or what is missing of it.

        `names` is what that source calls each field. Raises CredentialInvalid for two that exclude
        each other.
        """
        called = {**{name: name for name in self.fields}, **(names or {})}
        for one, other in self.apart:
            if values.get(one) and values.get(other):
                msg = (
                    f"{self.cloud}: {where} has both {called[one]} and {called[other]}; "
                    "leave one of them out"
                )
                raise CredentialInvalid(msg)
        fields = self.taken(values)
        if fields is not None:
            wrong = [called[name] for name, one in fields.items() if not encodable(one.reveal())]
            if wrong:
                msg = f"{self.cloud}: {where}: {', '.join(wrong)} is no text in UTF-8"
                raise CredentialInvalid(msg)
            return Found(fields, where)
        address = called.get("url") if values.get("url") else None
        return Lacking(where, self._missing(values, called), address=address)

    def secret_of(self, known: Iterable[str]) -> str | None:
        """Return the field that a single secret fills beside those that are known, if it is one."""
        having = frozenset(known)
        open_sets = [
            ([name for name in one if name not in having], len(having.intersection(one)))
            for one in self.sets
        ]
        fitting = [(used, missing[0]) for missing, used in open_sets if len(missing) == 1]
        return max(fitting, key=lambda one: one[0])[1] if fitting else None

    def _missing(self, values: Mapping[str, str], called: Mapping[str, str]) -> str:
        having = {name for name in self.fields if values.get(name)}
        begun = max(self.sets, key=lambda one: len(having.intersection(one)))
        there = [called[name] for name in begun if name in having]
        if there:
            lacks = ", ".join(called[name] for name in begun if name not in having)
            return f"{', '.join(there)} without {lacks}"
        sets = " or ".join("+".join(called[name] for name in one) for one in self.sets)
        alone = [called[name] for name in self.optional if name in having]
        if alone:
            return f"{', '.join(alone)} alone, which counts only beside {sets} of the same source"
        return f"{sets} not set"


class Source(Protocol):
    """One place to look."""

    def look(self, wanted: Wanted) -> Found | Lacking:
        """Return a credential, or why there is none.

        Raises SourceUnreadable where what is there is broken, CredentialInvalid where it
        contradicts itself.
        """
        ...  # pragma: no cover
