"""Changes: record and journal row in one transaction, numbered, chained, durable, announced.

Rule of this file: a number is taken by updating the head inside the change's own transaction, so
numbers commit in order and without gaps; the bell rings after the commit returned and before
anyone is answered (ARCHITECTURE §6 rule 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.location import Location, Postgres
from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.database import Database, Head
from latchgate.store.errors import OutcomeUnknownError
from latchgate.store.seal import BLANK, Told, seal
from latchgate.store.sqlite_store import SqliteStore

_encode = msgspec.json.Encoder(order="sorted").encode
_encode_as_given = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something: a user with a credential, or a local operator at the console.

    `credential_id` is what they came with, `address` where they came from; None when local.
    """

    name: str
    tenant_id: str | None
    credential_id: str | None = None
    address: str | None = None


@dataclass(slots=True)
class Change:
    """One transaction under way; `n` is the number of its last journal row."""

    connection: sa.Connection
    actor: Actor
    at: float
    database: Database
    head: Head  # nobody else moves it meanwhile
    n: int = 0

    def execute(self, statement: sa.Executable) -> sa.CursorResult[Any]:
        """Run a statement inside the transaction."""
        return self.connection.execute(statement)

    def note(
        self,
        action: str,
        noun: Noun,
        record: str,
        *,
        tenant_id: str | None,
        detail: Mapping[str, Any],
    ) -> int:
        """Write the journal row of one changed record and return its number; never a secret."""
        last, previous = self.head
        row = {
            "n": last + 1,
            "at": self.at,
            "actor": self.actor.name,
            "action": action,
            "noun": str(noun),
            "record": record,
            "tenant_id": tenant_id,
            "detail": _encode(dict(detail)).decode(),
            "credential_id": self.actor.credential_id,
            "address": self.actor.address,
        }
        chained = chain(previous, row)
        row |= {"previous": previous, "hash": chained}
        self.database.note(self.connection, row)
        self.n = last + 1
        self.head = (self.n, chained)
        return self.n

    def add(
        self,
        action: str,
        noun: Noun,
        table: sa.Table,
        row: Mapping[str, Any],
        *,
        tenant_id: str | None,
    ) -> int:
        """Insert a record (with an `id`) and note it; lists and maps are given as such."""
        detail = {"after": _told(row)}
        n = self.note(action, noun, str(row["id"]), tenant_id=tenant_id, detail=detail)
        self.connection.execute(sa.insert(table), _columns({**row, "version": n}, table))
        return n

    def add_many(
        self,
        action: str,
        noun: Noun,
        table: sa.Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        tenant_id: str | None,
    ) -> int:
        """Insert records (each with an `id`, all with the same columns), each with its journal row.

        The numbers are taken at once and the rows are written by the driver: ten times as many a
        second as by `add`. Returns the last number.
        """
        if not rows:
            return self.n
        n, previous = self.head
        names = sorted(name for name in rows[0] if name not in schema.SECRET_COLUMNS)
        every = [*names, *(name for name in rows[0] if name in schema.SECRET_COLUMNS)]
        values = list(map(itemgetter(*every), rows))
        told, here = self._told_of_all(action, noun, tenant_id), every.index("id")
        records, details, hashes = [], [], [previous]
        for number, row in enumerate(values, n + 1):
            # What is secret stands behind the names, and so is left out.
            detail = {"after": dict(zip(names, row, strict=False))}
            told.n, told.record = number, row[here]
            told.detail = _encode_as_given(detail).decode()
            records.append(told.record)
            details.append(told.detail)
            hashes.append(seal(hashes[-1], told))
        self.n = n + len(rows)
        numbers = range(n + 1, self.n + 1)
        noted: dict[str, Sequence[Any]] = {
            "n": numbers,
            "record": records,
            "detail": details,
            "previous": hashes[:-1],
            "hash": hashes[1:],
        }
        alike = {
            "at": self.at,
            "actor": self.actor.name,
            "action": action,
            "noun": str(noun),
            "tenant_id": tenant_id,
            "credential_id": self.actor.credential_id,
            "address": self.actor.address,
        }
        noted |= {name: [value] * len(rows) for name, value in alike.items()}
        self.database.write_many(self.connection, schema.journal, noted)
        added: dict[str, Sequence[Any]] = {"version": numbers}
        for name, column in zip(every, zip(*values, strict=True), strict=True):
            if name in table.c:
                added[name] = _spelled(column) if name in schema.JSON_COLUMNS else column
        self.database.write_many(self.connection, table, added)
        self.head = (self.n, hashes[-1])
        self.database.seal(self.connection, self.head)
        return self.n

    def _told_of_all(self, action: str, noun: Noun, tenant_id: str | None) -> Told:
        """Return what many rows tell alike, to be filled in."""
        actor = self.actor
        return Told(
            action=action,
            actor=actor.name,
            address=BLANK if actor.address is None else actor.address,
            at=self.at,
            credential_id=BLANK if actor.credential_id is None else actor.credential_id,
            detail="",
            n=0,
            noun=str(noun),
            record="",
            tenant_id=tenant_id,
        )

    def alter(
        self,
        action: str,
        noun: Noun,
        table: sa.Table,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        *,
        tenant_id: str | None,
    ) -> int:
        """Change columns of a record (`before`, with its `id`) and note what they were and are."""
        record = str(before["id"])
        told = {"before": _told({name: before[name] for name in after}), "after": _told(after)}
        n = self.note(action, noun, record, tenant_id=tenant_id, detail=told)
        values = _columns({**after, "version": n}, table)
        changed = sa.update(table).where(table.c.id == sa.bindparam("altered"))
        self.connection.execute(changed, {**values, "altered": record})
        return n


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in schema.SECRET_COLUMNS}


def _columns(row: Mapping[str, Any], table: sa.Table) -> dict[str, Any]:
    return {
        name: _encode(value).decode()
        if name in schema.JSON_COLUMNS and value is not None
        else value
        for name, value in row.items()
        if name in table.c
    }


def stored(row: Mapping[str, Any] | sa.RowMapping) -> dict[str, Any]:
    """Return a row with its lists and maps read back from JSON."""
    return {
        name: _decode(value) if name in schema.JSON_COLUMNS and value is not None else value
        for name, value in row.items()
    }


def chain(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the hash of a journal row over the row and the hash before it."""
    told = {name: row[name] for name in Told.__struct_fields__}
    blank = {name: BLANK for name in ("credential_id", "address") if told[name] is None}
    return seal(previous, Told(**told | blank))


def _spelled(values: Sequence[Any]) -> list[str | None]:
    """Return lists and maps as JSON; of those that many rows share each is spelled once."""
    known: dict[int, str | None] = {id(None): None}
    for value in values:
        if id(value) not in known:
            known[id(value)] = _encode(value).decode()
    return [known[id(value)] for value in values]


class Store:
    """The writing side of one database, and reads that are not on the verify path."""

    def __init__(self, database: Location, *, clock: Callable[[], float]) -> None:
        self.database = database
        self._clock = clock
        self._database = _opened(database)

    @contextmanager
    def change(self, actor: Actor) -> Iterator[Change]:
        """Run one change: everything in it happens, with its journal rows, or nothing does.

        Raises ConflictError when a unique value is taken, OutcomeUnknownError when the commit
        itself failed, StoreError when anything before it did, of which RetryError says that it may
        be repeated.
        """
        with self._database.changing() as (connection, head):
            # Read once nobody else writes: later numbers have later times.
            at = self._clock()
            yield Change(connection, actor, at, self._database, head)
            self._commit(connection)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Run writes that no verifier needs and no journal row tells, all or none of them.

        Raises as `change` does.
        """
        with self._database.changing() as (connection, _):
            yield connection
            self._database.commit(connection)

    def _commit(self, connection: sa.Connection) -> None:
        try:
            self._database.commit(connection)
        except OutcomeUnknownError:
            # Should it have happened, every cache must look.
            self._database.announce(connection)
            raise
        self._database.announce(connection)

    def ring(self) -> None:
        """Announce again: a repeated revoke makes every cache look anew."""
        self._database.ring()

    @property
    def bell(self) -> Bell | None:
        """The bell of this database, for receipts; PostgreSQL has none."""
        return self._database.bell

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Run reads in one snapshot; StoreError when the database fails."""
        with self._database.reading() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._database.close()


def _opened(database: Location) -> Database:
    if isinstance(database, Postgres):
        # Its driver takes 0.1 s to load, which a program on SQLite has no use for.
        from latchgate.store.postgres_store import PostgresStore  # noqa: PLC0415

        return PostgresStore(database)
    return SqliteStore(database)
