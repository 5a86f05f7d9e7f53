"""Which schema a PostgreSQL database has, and whether this program may work with it."""

from __future__ import annotations

from latchgate.store.errors import NotMigratedError
from latchgate.store.postgres import Connection, faults
from latchgate.store.schema_window import NOT_YET, SCHEMA_HEAD, judge_schema

# Whose table is meant by a name without a schema is the connection's search path to say.
_IS_THERE = "SELECT to_regclass('alembic_version') IS NOT NULL"
_SCHEMA = "SELECT version_num FROM alembic_version"
_OLDEST = "SELECT oldest FROM schema_window"


def read_schema(connection: Connection) -> str | None:
    """Return the number of the newest migration; None where no Latchgate is. StoreError."""
    with faults():
        there = connection.execute(_IS_THERE).fetchone()
        if there is None or not there[0]:
            return None
        row = connection.execute(_SCHEMA).fetchone()
    return str(row[0]) if row is not None else None


def check_schema(connection: Connection, expected: str = SCHEMA_HEAD) -> None:
    """Do over PostgreSQL as `reads.check_schema` does."""
    number = read_schema(connection)
    if number is None:
        raise NotMigratedError(NOT_YET)
    judge_schema((number,), lambda: _oldest(connection), expected)


def _oldest(connection: Connection) -> str | None:
    with faults():
        row = connection.execute(_OLDEST).fetchone()
    return row[0] if row is not None else None
