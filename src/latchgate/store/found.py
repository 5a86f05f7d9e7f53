"""What is found where a database should be: nothing yet, or a Latchgate's, of some schema.

Rule of this file: it only reads, on the driver, and is the same for either database. What loads
PostgreSQL's driver does so for a PostgreSQL database alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latchgate.core.location import Location, Postgres
from latchgate.store import sqlite
from latchgate.store.reads import check_schema
from latchgate.store.schema_window import SCHEMA_HEAD

if TYPE_CHECKING:
    from latchgate.store import postgres

_SCHEMA = "SELECT version_num FROM alembic_version"
_HEAD = "SELECT n FROM journal_head"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_FETCH = 2_000
Ask = Callable[[str], Iterable[Sequence[Any]]]


def schema_at(location: Location) -> str | None:
    """Return the number of the newest migration there; None where no database of Latchgate's is.

    StoreError when it can't be read, or a file is none of Latchgate's.
    """
    if isinstance(location, Postgres):
        from latchgate.store.postgres_schema import read_schema  # noqa: PLC0415 - loads its driver

        with _postgres(location) as connection:
            return read_schema(connection)
    if not location.exists():
        return None
    with closing(sqlite.connect(location, durable=True, read_only=True)) as opened, sqlite.faults():
        row = opened.execute(_SCHEMA).fetchone()
    return str(row[0]) if row is not None else None


def is_used(location: Postgres) -> bool:
    """Whether a database holds a journal with rows: first records, or more; StoreError."""
    from latchgate.store.postgres_schema import read_schema  # noqa: PLC0415 - loads its driver

    with _postgres(location) as connection:
        if read_schema(connection) is None:
            return False
        row = connection.execute(_HEAD).fetchone()
    return row is None or row[0] > 0


def check(location: Location, expected: str = SCHEMA_HEAD) -> None:
    """Raise NotMigratedError unless this program may work with what is there.

    StoreError when it can't be read.
    """
    if isinstance(location, Path):
        with closing(sqlite.connect(location, durable=True, read_only=True)) as opened:
            check_schema(opened, expected)
        return
    from latchgate.store import postgres_schema  # noqa: PLC0415 - loads its driver

    with _postgres(location) as connection:
        postgres_schema.check_schema(connection, expected)


@contextmanager
def snapshot(location: Location) -> Iterator[Ask]:
    """Read all of a database as it is at one moment: a statement gives rows, not all in memory.

    NotMigratedError for another schema, StoreError when it fails.
    """
    if isinstance(location, Postgres):
        with snapshot_of_postgres(location) as connection:
            yield lambda asked: _fetched(connection, asked)
        return
    with closing(sqlite.connect(location, durable=True, read_only=True)) as opened:
        check_schema(opened, SCHEMA_HEAD)
        with sqlite.faults():
            opened.execute("BEGIN")
            yield opened.execute


@contextmanager
def snapshot_of_postgres(location: Postgres) -> Iterator[postgres.Connection]:
    """Open a connection in a transaction that reads what was there at its start."""
    from latchgate.store import postgres_schema  # noqa: PLC0415 - loads its driver

    with _postgres(location) as connection:
        postgres_schema.check_schema(connection, SCHEMA_HEAD)
        connection.execute(_SNAPSHOT)
        yield connection


def _fetched(connection: postgres.Connection, asked: str) -> Iterator[Sequence[Any]]:
    with connection.cursor(name="rows") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(asked.encode())
        yield from cursor


@contextmanager
def _postgres(location: Postgres) -> Iterator[postgres.Connection]:
    from latchgate.store import postgres  # noqa: PLC0415 - loads its driver

    with closing(postgres.connect(location)) as connection, postgres.faults():
        yield connection
