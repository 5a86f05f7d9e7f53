"""The Store's ways with PostgreSQL: every change holds the journal's head, so one goes at a time.

Rule of this file: nothing is said to be changed unless the server confirmed its commit, and, where
it waits for a standby, that it waited to the end. Each transaction brings all its settings along
(PgBouncer in transaction mode).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from latchgate.core.location import Postgres
from latchgate.store import schema
from latchgate.store.database import FAULTS, TAKEN, UNCHANGED, UNKNOWN, Head
from latchgate.store.errors import (
    ConflictError,
    OutcomeUnknownError,
    RetryError,
    StoreError,
    UnstorableError,
)
from latchgate.store.postgres import (
    BEGIN,
    BEGIN_READING,
    COMMIT,
    STATEMENT_MS,
    Connection,
    Watchdog,
    connect,
)

CHANNEL = "latchgate_journal"
COMMIT_SECONDS = 10.0  # that a commit may wait for its standby
BEGIN_SECONDS = 10.0  # that a server may take for what its own time-outs should end in five
NOTIFY_SECONDS = 1.0
ATTEMPTS = 3
WRITERS = 2  # one waits at the server for the head while the other commits
READERS = 4
_BEGIN = f"{BEGIN}; SELECT n, hash FROM journal_head FOR UPDATE"  # noqa: S608 - our own words
# Its own commit need not last, and waits for nothing.
_NOTIFY = f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}; COMMIT"
# One statement for both, as each is a round trip while everybody else waits for the head.
_NOTE = sa.insert(schema.journal).add_cte(
    sa.update(schema.journal_head)
    .values(n=sa.bindparam("head_n"), hash=sa.bindparam("head_hash"))
    .cte("head")
)
_SEAL = sa.update(schema.journal_head).values(n=sa.bindparam("n"), hash=sa.bindparam("hash"))
_ARRAYS: dict[type[sa.types.TypeEngine[Any]], str] = {
    sa.Text: "text",
    sa.Float: "float8",
    sa.Integer: "int8",
    sa.BigInteger: "int8",
    sa.Boolean: "bool",
    sa.LargeBinary: "bytea",
}
_SERIALIZATION = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_ELSEWHERE = "25006"  # read_only_sql_transaction: this server is no primary (any more)
# Numeric out of range, characters that are none, an index entry that is too long.
_UNSTORABLE = frozenset({"22003", "22021", "22P05", "54000"})


class PostgresStore:
    """One PostgreSQL database, by way of a pooler or not."""

    def __init__(self, at: Postgres) -> None:
        self.writer = _engine(at, WRITERS)
        self.reader = _engine(at, READERS)
        self._watchdog = Watchdog()

    @property
    def bell(self) -> None:
        """There is none: verifiers look into the journal themselves."""
        return

    @contextmanager
    def changing(self) -> Iterator[tuple[sa.Connection, Head]]:
        """As `Database.changing`; RetryError where another transaction stood in the way."""
        with self._begun(self.writer, _BEGIN) as (connection, row):
            if row is None:
                msg = "the database holds no journal; run latchgate init"
                raise StoreError(msg)
            with _failing():
                yield connection, (row[0], bytes(row[1]))

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """As `Database.reading`."""
        with self._begun(self.reader, BEGIN_READING) as (connection, _), _failing():
            yield connection

    def commit(self, connection: sa.Connection) -> None:
        """As `Database.commit`; the server's word alone counts, not that nothing was raised."""
        driver = _driver(connection)
        try:
            with self._watchdog.within(driver, COMMIT_SECONDS):
                cursor = driver.execute(COMMIT)
                while cursor.nextset():
                    pass
            driver.confirm()
        except psycopg.Error as error:
            _close(connection)
            raise _uncommitted(error) from error
        except OutcomeUnknownError:
            _close(connection)
            raise
        if cursor.statusmessage != "COMMIT":
            # What PostgreSQL answers to the commit of a transaction that failed within.
            raise StoreError(UNCHANGED)
        connection.commit()  # for SQLAlchemy to know; the driver has nothing left to do

    def announce(self, connection: sa.Connection) -> None:
        """Send a hint to beat now; without it, or without LISTEN, the head is polled."""
        if connection.invalidated:
            return
        driver = _driver(connection)
        with suppress(psycopg.Error), self._watchdog.within(driver, NOTIFY_SECONDS):
            driver.execute(_NOTIFY)

    def ring(self) -> None:
        """Send the hint by itself."""
        with suppress(StoreError), self._connected(self.reader) as connection:
            self.announce(connection)

    def note(self, connection: sa.Connection, row: Mapping[str, Any]) -> None:
        """As `Database.note`."""
        connection.execute(_NOTE, {**row, "head_n": row["n"], "head_hash": row["hash"]})

    def seal(self, connection: sa.Connection, head: Head) -> None:
        """As `Database.seal`."""
        connection.execute(_SEAL, {"n": head[0], "hash": head[1]})

    def write_many(
        self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
    ) -> None:
        """As `Database.write_many`, in one statement: each column is one array."""
        names = list(columns)
        arrays = ", ".join(f"%s::{_ARRAYS[type(table.c[name].type)]}[]" for name in names)
        quoted = ", ".join(f'"{name}"' for name in names)
        statement = f'INSERT INTO "{table.name}" ({quoted}) SELECT * FROM unnest({arrays})'  # noqa: S608 - names of our own schema
        connection.exec_driver_sql(statement, tuple(list(columns[name]) for name in names))

    def close(self) -> None:
        """As `Database.close`."""
        self.writer.dispose()
        self.reader.dispose()
        self._watchdog.close()

    @contextmanager
    def _begun(
        self, engine: sa.Engine, begin: str
    ) -> Iterator[tuple[sa.Connection, tuple[Any, ...] | None]]:
        """Begin a transaction, again on another connection where one was lost since its last.

        Gives what the last statement of `begin` read. Nothing was done yet, so whatever fails may
        be repeated.
        """
        for attempt in range(1, ATTEMPTS + 1):
            with self._connected(engine) as connection:
                driver = _driver(connection)
                try:
                    row = self._run(driver, begin)
                except psycopg.Error as error:
                    lost = _lost(driver, error)
                    if lost:
                        # With all others that are idle: what this one met, they met too.
                        _close(connection)
                        engine.dispose()
                    if attempt == ATTEMPTS or not (lost or error.sqlstate in _SERIALIZATION):
                        raise _failed(error) from error
                    continue
                yield connection, row
                return

    def _run(self, driver: Connection, statements: str) -> tuple[Any, ...] | None:
        with self._watchdog.within(driver, BEGIN_SECONDS):
            cursor = driver.execute(statements)
            while cursor.nextset():
                pass
        return cursor.fetchone() if cursor.description is not None else None

    @contextmanager
    def _connected(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """Take a connection from a pool; StoreError where none can be had."""
        try:
            connection = engine.connect()
        except FAULTS as error:
            msg = "no connection to the database was free, or could be made"
            raise StoreError(msg) from error
        with connection:
            yield connection


def _engine(at: Postgres, size: int) -> sa.Engine:
    return sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(at),
        hide_parameters=True,  # a failed statement is logged with its text; they may be secret
        use_native_hstore=False,  # not looked for in the catalogue then
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=STATEMENT_MS / 1_000,
    )


def _driver(connection: sa.Connection) -> Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, Connection):
        msg = "not a connection of ours"
        raise TypeError(msg)
    return driver


def _close(connection: sa.Connection) -> None:
    """Throw a connection away: the server ends what it was doing, and nobody meets it again."""
    if not connection.invalidated:
        connection.invalidate()


def _lost(driver: Connection, error: psycopg.Error) -> bool:
    """Whether the connection, or what is behind it, is of no use any more."""
    return driver.closed or driver.broken or error.sqlstate == _ELSEWHERE


@contextmanager
def _failing() -> Iterator[None]:
    """Turn what a statement failed with into the errors of a Store, where nothing was committed."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise StoreError(UNCHANGED) from error
    except sa.exc.DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error):
            raise StoreError(UNCHANGED) from error
        raise _failed(error.orig) from error


def _failed(error: psycopg.Error) -> StoreError | ConflictError:
    """Return what the failure of a statement means, where nothing was committed."""
    if isinstance(error, psycopg.IntegrityError):
        return ConflictError(TAKEN)
    if error.sqlstate in _SERIALIZATION:
        return RetryError(UNCHANGED)
    if error.sqlstate in _UNSTORABLE:
        return UnstorableError("a number or a text is longer than can be stored")
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:
        # The driver's own, before it sends anything.
        return UnstorableError("a text holds the character NUL, which can't be stored")
    return StoreError(UNCHANGED)


def _uncommitted(error: psycopg.Error) -> StoreError | ConflictError:
    """Return what the failure of a commit means: unknown, unless the server says what it undid."""
    undone = isinstance(error, psycopg.IntegrityError) or error.sqlstate in {
        *_SERIALIZATION,
        "25P02",  # in_failed_sql_transaction: a statement before it failed
        "25P03",  # idle_in_transaction_session_timeout: it was ended before the commit came
    }
    return _failed(error) if undone else OutcomeUnknownError(UNKNOWN)
