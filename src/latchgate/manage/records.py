"""One record of a tenant: found, still the version that a caller means to change, switched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.secret import CROCKFORD_LOWER, draw
from latchgate.manage.errors import NotFoundError, StaleError
from latchgate.store import schema
from latchgate.store.journal import Change, stored


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


def new_id(prefix: str, entropy: Callable[[int], bytes]) -> str:
    """Return a random record id such as `t-0b3k…`, 80 bits."""
    return f"{prefix}-{draw(entropy(19), CROCKFORD_LOWER, 16)}"


def asked(patch: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a patch that were given (RFC 7396: absent ones stay)."""
    told = {name: getattr(patch, name) for name in patch.__struct_fields__}
    return {name: value for name, value in told.items() if value is not msgspec.UNSET}


def alter(
    change: Change,
    action: str,
    noun: Noun,
    table: sa.Table,
    row: dict[str, Any],
    new: dict[str, Any],
    *,
    tenant_id: str | None,
) -> int:
    """Write what differs of a row, and return the journal number that verifiers must reach.

    Where nothing differs nothing is written, and that is the newest number.
    """
    after = {name: value for name, value in new.items() if value != row[name]}
    if not after:
        head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        return head
    n = change.alter(action, noun, table, row, after, tenant_id=tenant_id)
    row |= {**after, "version": n}
    return n
