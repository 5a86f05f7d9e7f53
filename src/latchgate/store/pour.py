"""What a SQLite file holds, put into an empty PostgreSQL database.

Rule of this file: all of it in one transaction, which holds the journal's head, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from latchgate.core.location import Postgres
from latchgate.store import postgres, schema, sqlite
from latchgate.store.errors import StoreError

# Migrations fill these in; what nodes keep of each other is nothing that moves.
_STAYS = frozenset({"schema_window", "promise", "verifier", "receipt", "duty"})
_BEGIN = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; {postgres.HEARD};"
    " SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
)
_HEAD = "SELECT n FROM journal_head FOR UPDATE"


def pour(source: Path, target: Postgres) -> None:
    """Fill a database that was migrated, and holds no records, with those of a file.

    Both have this program's schema. StoreError when it is not empty, can't hold something or fails:
    nothing was changed then; OutcomeUnknownError when the commit may not last.
    """
    with (
        closing(sqlite.connect(source, durable=True, read_only=True)) as before,
        closing(postgres.connect(target)) as connection,
        sqlite.faults(),
        postgres.faults(),
    ):
        connection.execute(_BEGIN)
        if connection.execute(_HEAD).fetchall() != [(0,)]:
            msg = f"{target} holds records already; nothing was changed"
            raise StoreError(msg)
        connection.execute("DELETE FROM journal_head")
        for table in schema.main.sorted_tables:
            if table.name not in _STAYS:
                _copy(table, _rows(before, table), connection)
        connection.execute(postgres.COMMIT)
        connection.confirm()


def _rows(before: sqlite.Connection, table: sa.Table) -> Iterator[Sequence[Any]]:
    names = ", ".join(f'"{column.name}"' for column in table.c)
    truths = [isinstance(column.type, sa.Boolean) for column in table.c]
    for row in before.execute(f'SELECT {names} FROM "{table.name}"'):  # noqa: S608 - names of ours
        yield [
            bool(value) if truth and value is not None else value
            for value, truth in zip(row, truths, strict=True)
        ]


def _copy(table: sa.Table, rows: Iterator[Sequence[Any]], connection: postgres.Connection) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(sql.Identifier(column.name) for column in table.c),
    )
    try:
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        msg = f"{table.name} can't be written: {postgres.said(error)}; nothing was changed"
        raise StoreError(msg) from error
