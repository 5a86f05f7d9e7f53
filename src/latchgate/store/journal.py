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
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError
from latchgate.store.seal import BLANK, Told, seal
from latchgate.store.sqlite import connect, driver

_encode = msgspec.json.Encoder(order="sorted").encode
_encode_as_given = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
GENESIS = bytes(32)
# The pool's own time-out is no database error to SQLAlchemy.
_FAULTS = (sa.exc.DBAPIError, sa.exc.TimeoutError)


# Made once, and given their values apart: making them anew was most of a change's work.
_TAKE = (
    sa.update(schema.journal_head)
    .values(n=schema.journal_head.c.n + 1)
    .returning(schema.journal_head.c.n, schema.journal_head.c.hash)
)
_TAKE_MANY = (
    sa.update(schema.journal_head)
    .values(n=schema.journal_head.c.n + sa.bindparam("count"))
    .returning(schema.journal_head.c.n, schema.journal_head.c.hash)
)
# What many rows touch is kept in memory until the commit, and copied into the file less often.
_MANY = ("PRAGMA cache_size=-65536", "PRAGMA wal_autocheckpoint=8000")
_WRITE = sa.insert(schema.journal)
_SEAL = sa.update(schema.journal_head).values(hash=sa.bindparam("chained"))


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
        taken = self.connection.execute(_TAKE).one()
        row = {
            "n": taken.n,
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
        chained = chain(bytes(taken.hash), row)
        row |= {"previous": taken.hash, "hash": chained}
        self.connection.execute(_WRITE, row)
        self.connection.execute(_SEAL, {"chained": chained})
        self.n = taken.n
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
        for setting in _MANY:
            self.connection.exec_driver_sql(setting)
        taken = self.connection.execute(_TAKE_MANY, {"count": len(rows)}).one()
        n: int = taken.n - len(rows)
        previous = bytes(taken.hash)
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
        self._write_many(schema.journal.name, noted)
        added: dict[str, Sequence[Any]] = {"version": numbers}
        for name, column in zip(every, zip(*values, strict=True), strict=True):
            if name in table.c:
                added[name] = _spelled(column) if name in schema.JSON_COLUMNS else column
        self._write_many(table.name, added)
        self.connection.execute(_SEAL, {"chained": hashes[-1]})
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

    def _write_many(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Insert rows, given as columns; the driver's own errors become SQLAlchemy's.

        For each None, bool and bytes the driver looks for an adapter, which takes longer than all
        the rest: columns without a value are left out, the others are given as what needs none.
        """
        given = {}
        for name, values in columns.items():
            types = set(map(type, values))
            if types == {type(None)}:
                continue
            given[name] = values
            if types == {bytes}:
                given[name] = list(map(bytearray, values))
            elif types == {bool}:
                given[name] = list(map(int, values))
        places = ", ".join("?" * len(given))
        statement = f"INSERT INTO {table} ({', '.join(given)}) VALUES ({places})"  # noqa: S608 - names of our own schema
        self.connection.exec_driver_sql(statement, list(zip(*given.values(), strict=True)))

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
    """The writing side of one SQLite database, and reads that are not on the verify path."""

    def __init__(self, database: Path, *, clock: Callable[[], float]) -> None:
        self.database = database
        self._clock = clock
        # One writer at a time is SQLite's own rule; queueing here is fairer than its busy wait.
        self._writer = _engine(database, "BEGIN IMMEDIATE", size=1)
        self._reader = _engine(database, "BEGIN", size=4)
        self._bell = Bell.beside(database)

    @contextmanager
    def change(self, actor: Actor) -> Iterator[Change]:
        """Run one change: everything in it happens, with its journal rows, or nothing does.

        Raises ConflictError when a unique value is taken, OutcomeUnknownError when the commit
        itself failed, StoreError when anything before it did.
        """
        try:
            connection = self._writer.connect()
        except _FAULTS as error:
            msg = "the database could not be opened for writing"
            raise StoreError(msg) from error
        with connection:
            try:
                connection.begin()
                # Read once nobody else writes: later numbers have later times.
                yield Change(connection=connection, actor=actor, at=self._clock())
            except sa.exc.IntegrityError as error:
                msg = "another record already has this id or name"
                raise ConflictError(msg) from error
            except _FAULTS as error:
                msg = "the change could not be written; nothing was changed"
                raise StoreError(msg) from error
            try:
                connection.commit()
            except _FAULTS as error:
                # Thrown away: what it holds open would keep every other writer waiting.
                connection.invalidate()
                msg = "the commit failed; whether the change happened is not known"
                raise OutcomeUnknownError(msg) from error
            finally:
                # Even after a failed commit: should it have happened, every cache must look.
                self._bell.ring()

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Run writes that no verifier needs and no journal row tells, all or none of them.

        Raises as `change` does.
        """
        try:
            with self._writer.begin() as connection:
                yield connection
        except sa.exc.IntegrityError as error:
            msg = "another record already has this id or name"
            raise ConflictError(msg) from error
        except _FAULTS as error:
            msg = "whether it was written is not known"
            raise OutcomeUnknownError(msg) from error

    def ring(self) -> None:
        """Announce again: a repeated revoke makes every cache look anew."""
        self._bell.ring()

    @property
    def bell(self) -> Bell:
        """The bell of this database, for receipts."""
        return self._bell

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Run reads in one snapshot; StoreError when the database fails."""
        try:
            with self._reader.connect() as connection:
                yield connection
        except _FAULTS as error:
            msg = "the database could not be read"
            raise StoreError(msg) from error

    def close(self) -> None:
        """Close every connection."""
        self._writer.dispose()
        self._reader.dispose()
        self._bell.close()


def _engine(database: Path, begin: str, *, size: int) -> sa.Engine:
    engine = sa.create_engine(
        "sqlite://",
        module=driver,
        creator=lambda: connect(database, durable=True),
        hide_parameters=True,  # a failed statement is logged with its text; they may be secret
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
    )

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # The driver is in autocommit; without this a "transaction" would be many.
        connection.exec_driver_sql(begin)

    return engine
