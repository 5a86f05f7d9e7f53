"""Changes: record and journal row in one transaction, numbered, chained, durable, announced.

Rule of this file: a number is taken by updating the head inside the change's own transaction, so
numbers commit in order and without gaps; the bell rings after the commit returned and before
anyone is answered (ARCHITECTURE §6 rule 1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from latchgate.core.model import Noun
from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError
from latchgate.store.sqlite import connect, driver

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
GENESIS = bytes(32)
_ORIGIN = frozenset({"credential_id", "address"})
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
_NOTED = (
    "n",
    "at",
    "actor",
    "action",
    "noun",
    "record",
    "tenant_id",
    "detail",
    "credential_id",
    "address",
)
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
        noted: list[tuple[Any, ...]] = []
        added: list[tuple[Any, ...]] = []
        columns = [name for name in rows[0] if name in table.c]
        told = [name for name in rows[0] if name not in schema.SECRET_COLUMNS]
        spelled = [name in schema.JSON_COLUMNS for name in columns]
        row = {
            "at": self.at,
            "actor": self.actor.name,
            "action": action,
            "noun": str(noun),
            "tenant_id": tenant_id,
            "credential_id": self.actor.credential_id,
            "address": self.actor.address,
        }
        for record in rows:
            n += 1
            detail = _encode({"after": {name: record[name] for name in told}}).decode()
            row |= {"n": n, "record": record["id"], "detail": detail}
            chained = chain(previous, row)
            noted.append((*(row[name] for name in _NOTED), previous, chained))
            previous = chained
            added.append(
                (
                    *(
                        _encode(value).decode() if is_json and value is not None else value
                        for is_json, value in zip(
                            spelled, [record[name] for name in columns], strict=True
                        )
                    ),
                    n,
                )
            )
        self._write_many(schema.journal.name, (*_NOTED, "previous", "hash"), noted)
        self._write_many(table.name, (*columns, "version"), added)
        self.connection.execute(_SEAL, {"chained": previous})
        self.n = n
        return n

    def _write_many(
        self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Insert rows in the transaction under way; the driver's own errors become SQLAlchemy's."""
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - names of our own schema
        self.connection.exec_driver_sql(statement, list(rows))

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
    """Return the hash of a journal row over the row and the hash before it.

    What an actor came with and from is left out where it is not known: so rows from before those
    columns keep their hash.
    """
    told = {
        name: value
        for name, value in row.items()
        if name not in {"previous", "hash"} and (value is not None or name not in _ORIGIN)
    }
    return hashlib.sha256(previous + _encode(told)).digest()


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
                change = Change(connection=connection, actor=actor, at=self._clock())
                connection.begin()
                yield change
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
