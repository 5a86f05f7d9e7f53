"""Migrations on PostgreSQL: one at a time, in one transaction, and with texts in byte order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler
from sqlalchemy.pool import NullPool

from latchgate.core.location import Postgres
from latchgate.store.errors import StoreError
from latchgate.store.postgres import HEARD, Connection, connect, faults

# Whoever waits for a table's lock keeps all behind it waiting: half of what nodes have time for.
LOCK_MS = 500
PAUSE_SECONDS = 0.5
GIVE_UP_SECONDS = 60.0
_NO_LOCK = "55P03"  # lock_not_available
_BEGIN = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; {HEARD};"
    " SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
    " SET LOCAL lock_timeout = "
)
# As Alembic makes it, but first: it is what others who migrate wait for. Readers don't.
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS alembic_version"
    " (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY)"
)
_LOCK = "LOCK TABLE alembic_version IN SHARE UPDATE EXCLUSIVE MODE"


class _ByBytes(PGTypeCompiler):
    """Declares every text to be ordered by its bytes, as SQLite orders it.

    A page's cursor must mean the same whatever language a database was made for, and an order
    that changes with the system's C library breaks indices.
    """

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:  # noqa: ANN401, N802 - SQLAlchemy's
        return f'{super().visit_TEXT(type_, **kw)} COLLATE "C"'


def migrated(at: Postgres, run: Callable[[sa.Connection], None]) -> None:
    """Run a migration in one transaction, again for a minute while others hold what it locks.

    StoreError where the database can't be used or is too busy, OutcomeUnknownError where it may
    not last; what `run` raises.
    """
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            with _migrating(at) as connection:
                run(connection)
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _NO_LOCK:
                raise
            if time.monotonic() >= give_up:
                msg = f"{at}: others held what the migration locks, whenever it was tried; run it"
                msg += " again when less is going on. Nothing was changed"
                raise StoreError(msg) from error
            time.sleep(PAUSE_SECONDS)
        else:
            return


@contextmanager
def _migrating(at: Postgres) -> Iterator[sa.Connection]:
    """Give a transaction that nobody else migrates in, and commit it.

    StoreError where the database can't be used, OutcomeUnknownError where it may not last.
    """
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(at),
        hide_parameters=True,
        use_native_hstore=False,
        poolclass=NullPool,
    )
    engine.dialect.type_compiler_instance = _ByBytes(engine.dialect)
    with faults(), engine.connect() as connection:
        driver = connection.connection.driver_connection
        if not isinstance(driver, Connection):
            msg = "not a connection of ours"
            raise StoreError(msg)
        # Of two who make it at once, one is told that it is there: its row, the type, or the table.
        there = psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject
        with suppress(*there, psycopg.errors.DuplicateTable):
            driver.execute(_VERSIONS)
        connection.exec_driver_sql(f"{_BEGIN}{LOCK_MS}")
        connection.exec_driver_sql(_LOCK)
        yield connection
        connection.commit()
        driver.confirm()
