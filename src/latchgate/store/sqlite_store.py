"""The Store's ways with SQLite: one writer at a time by its own rule, and a bell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.database import FAULTS, HEAD, UNCHANGED, UNKNOWN, Head, failing
from latchgate.store.errors import OutcomeUnknownError, StoreError
from latchgate.store.sqlite import connect, driver

_WRITE = sa.insert(schema.journal)
_SEAL = sa.update(schema.journal_head).values(n=sa.bindparam("n"), hash=sa.bindparam("hash"))
# What many rows touch is kept in memory until the commit, and copied into the file less often.
_MANY = ("PRAGMA cache_size=-65536", "PRAGMA wal_autocheckpoint=8000")


class SqliteStore:
    """One SQLite file; its bell rings after each commit."""

    def __init__(self, database: Path) -> None:
        # Queueing here is fairer than SQLite's busy wait.
        self.writer = _engine(database, "BEGIN IMMEDIATE", size=1)
        self.reader = _engine(database, "BEGIN", size=4)
        self._bell = Bell.beside(database)

    @property
    def bell(self) -> Bell:
        """The bell beside the file."""
        return self._bell

    @contextmanager
    def changing(self) -> Iterator[tuple[sa.Connection, Head]]:
        """As `Database.changing`."""
        try:
            connection = self.writer.connect()
        except FAULTS as error:
            msg = "the database could not be opened for writing"
            raise StoreError(msg) from error
        with connection, failing(UNCHANGED):
            connection.begin()
            n, digest = connection.execute(HEAD).one()
            yield connection, (n, bytes(digest))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """As `Database.reading`."""
        try:
            with self.reader.connect() as connection:
                yield connection
        except FAULTS as error:
            msg = "the database could not be read"
            raise StoreError(msg) from error

    def commit(self, connection: sa.Connection) -> None:
        """As `Database.commit`."""
        try:
            connection.commit()
        except FAULTS as error:
            # Thrown away: what it holds open would keep every other writer waiting.
            connection.invalidate()
            raise OutcomeUnknownError(UNKNOWN) from error

    def announce(self, connection: sa.Connection) -> None:  # noqa: ARG002 - as Database
        """Ring, even after a failed commit: should it have happened, every cache must look."""
        self._bell.ring()

    def ring(self) -> None:
        """As `Database.ring`."""
        self._bell.ring()

    def note(self, connection: sa.Connection, row: Mapping[str, Any]) -> None:
        """As `Database.note`."""
        connection.execute(_WRITE, row)
        self.seal(connection, (row["n"], row["hash"]))

    def seal(self, connection: sa.Connection, head: Head) -> None:
        """As `Database.seal`."""
        connection.execute(_SEAL, {"n": head[0], "hash": head[1]})

    def write_many(
        self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
    ) -> None:
        """As `Database.write_many`; the driver's own errors become SQLAlchemy's.

        For each None, bool and bytes the driver looks for an adapter, which takes longer than all
        the rest: columns without a value are left out, the others are given as what needs none.
        """
        for setting in _MANY:
            connection.exec_driver_sql(setting)
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
        statement = f"INSERT INTO {table.name} ({', '.join(given)}) VALUES ({places})"  # noqa: S608 - names of our own schema
        connection.exec_driver_sql(statement, list(zip(*given.values(), strict=True)))

    def close(self) -> None:
        """As `Database.close`."""
        self.writer.dispose()
        self.reader.dispose()
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
