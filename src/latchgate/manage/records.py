"""One record of a tenant: found, and still the version that a caller means to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from latchgate.manage.errors import NotFoundError, StaleError
from latchgate.store.journal import stored


@dataclass(frozen=True, slots=True)
class IfMatch:
    """The versions a caller would change (RFC 9110 §13.1.1); None for whichever it is."""

    versions: frozenset[int] | None

    def check(self, version: int) -> None:
        """Raise StaleError unless the record is at one of the versions."""
        if self.versions is not None and version not in self.versions:
            raise StaleError(version)


ANY = IfMatch(None)


def find(
    connection: sa.Connection,
    table: sa.Table,
    record: str,
    *whose: sa.ColumnElement[bool],
    noun: str,
    match: IfMatch = ANY,
) -> dict[str, Any]:
    """Return a row that meets every clause of `whose`, lists and maps read.

    NotFoundError, naming the noun, when there is none: one of another tenant is none. StaleError
    when it is at another version than `match` says.
    """
    found = connection.execute(sa.select(table).where(table.c.id == record, *whose))
    row = found.mappings().one_or_none()
    if row is None:
        msg = f"there is no {noun} {record[:64]!r}"
        raise NotFoundError(msg)
    match.check(row["version"])
    return stored(row)
