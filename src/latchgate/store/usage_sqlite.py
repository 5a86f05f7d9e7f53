"""Usage in a SQLite file: one transaction at a time by its own rule, counts added in memory.

Rule of this file: a batch goes into a table in memory, many rows at once, and from there into the
others: statements that run without Python's lock, instead of thousands that hold it between rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from latchgate.core.reason import Reason
from latchgate.store.batch import DAY, EVERYBODY, HOUR
from latchgate.store.reads import check_schema
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import Connection, connect, faults
from latchgate.store.tally import MINUTE
from latchgate.store.usage_database import COLUMNS, OF_DAY, OF_USE, Cursor, Line

_KEY_ID = COLUMNS.index("key_id")
_encode = msgspec.json.Encoder().encode

_TABLE = f"CREATE TEMP TABLE batch ({', '.join(COLUMNS)})"
_EMPTY = "DELETE FROM temp.batch"
# Materialized: otherwise each column would write out and read the row's JSON anew.
_OUT = ", ".join(f"row ->> {n}" for n in range(len(COLUMNS)))
_ABREAST = 100
# A third of what JSON costs, and without Python's lock for as long; too few rows go as JSON.
_PLACES = f"({', '.join('?' * len(COLUMNS))})"
_FILL_ABREAST = f"INSERT INTO temp.batch VALUES {', '.join([_PLACES] * _ABREAST)}"  # noqa: S608 - words of this program
_FILL = (
    "INSERT INTO temp.batch WITH one(row) AS MATERIALIZED (SELECT value FROM json_each(?))"  # noqa: S608 - words of this program
    f" SELECT {_OUT} FROM one"
)


def _roll_up(table: str, seconds: int, columns: tuple[str, ...]) -> str:
    listed = ", ".join(columns)
    return (
        f"INSERT INTO {table} (at, {listed}, count)"  # noqa: S608 - words of this program
        f" SELECT at - at % {seconds}, {listed}, count FROM temp.batch WHERE TRUE"
        f" ON CONFLICT (at, {listed}) DO UPDATE SET count = {table}.count + excluded.count"
    )


_LAST = (
    "INSERT INTO last_use (credential_id, at, address, agent)"  # noqa: S608 - words of this program
    " SELECT {column}, last, NULLIF(address, ''), agent FROM temp.batch"
    f" WHERE reason = '{Reason.ALLOWED}' AND {{column}} <> ''"
    " ON CONFLICT (credential_id)"
    " DO UPDATE SET at = excluded.at, address = excluded.address, agent = excluded.agent"
    " WHERE excluded.at >= last_use.at"
)
_SOURCE = (
    "INSERT INTO use_source (credential_id, address, agent, area, application_id,"  # noqa: S608 - words of this program
    " count, refused, first_at, last_at)"
    " SELECT {column}, address, agent, area, application_id,"
    f" count, CASE reason WHEN '{Reason.ALLOWED}' THEN 0 ELSE count END, first, last"
    " FROM temp.batch"
    " WHERE {column} <> ''"
    " ON CONFLICT (credential_id, address, agent, area, application_id)"
    " DO UPDATE SET count = use_source.count + excluded.count,"
    " refused = use_source.refused + excluded.refused,"
    " last_at = MAX(use_source.last_at, excluded.last_at)"
)
_TOTAL = (
    "INSERT INTO use_total (counted, area, reason, count)"
    " SELECT 'decision', area, reason, count FROM temp.batch WHERE TRUE"
    " ON CONFLICT (counted, area, reason) DO UPDATE SET count = use_total.count + excluded.count"
)
_TENANT = (
    "INSERT INTO use_tenant (at, tenant_id, reason, count)"  # noqa: S608 - words of this program
    f" SELECT at - at % {HOUR}, {{tenant}}, reason, SUM(count) FROM temp.batch WHERE TRUE"
    f" GROUP BY at - at % {HOUR}, {{tenant}}, reason ON CONFLICT (at, tenant_id, reason)"
    " DO UPDATE SET count = use_tenant.count + excluded.count"
)
_OF_CREDENTIALS = (
    _roll_up("use_minute", MINUTE, OF_USE),
    _roll_up("use_hour", HOUR, OF_USE),
    _roll_up("use_day", DAY, OF_DAY),
    _TENANT.format(tenant="tenant_id"),
    _TENANT.format(tenant=f"'{EVERYBODY}'"),
    _TOTAL,
    _LAST.format(column="credential_id"),
    _SOURCE.format(column="credential_id"),
)
_OF_APPLICATIONS = (
    _LAST.format(column="application_id"),
    _LAST.format(column="key_id"),
    _SOURCE.format(column="key_id"),
)


class SqliteUsage:
    """One connection to a file; what it is asked is told in `UsageDatabase`."""

    among = "IN (SELECT value FROM json_each(?))"
    locking = ""  # a transaction that writes is alone from its beginning
    by_first = " INDEXED BY use_source_by_first"

    def __init__(self, database: Path, *, read_only: bool) -> None:
        self._connection: Connection = connect(database, durable=False, read_only=read_only)
        if read_only:
            return
        try:
            check_schema(self._connection, SCHEMA_HEAD)
            with faults():
                self._connection.execute("PRAGMA temp_store=MEMORY")
                self._connection.execute(_TABLE)
        except BaseException:
            self._connection.close()
            raise

    def several(self, values: Collection[Any]) -> str:
        """Return values as JSON."""
        return _encode(list(values)).decode()

    def alphabetic(self, column: str) -> str:
        """Return the column: texts compare so by themselves."""
        return column

    def transact(self, work: Callable[[], None]) -> None:
        """Run work in a transaction; a commit that fails was none."""
        execute = self._connection.execute
        with faults():
            execute("BEGIN IMMEDIATE")
            try:
                work()
            except BaseException:
                execute("ROLLBACK")
                raise
            execute("COMMIT")

    def outcome(self) -> bool:
        """Return False: what failed was not written."""
        return False

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement."""
        return self._connection.execute(statement, values)

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row."""
        self._connection.executemany(statement, rows)

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines to every table, in the order of their credentials."""
        execute = self._connection.execute
        whole = len(lines) - len(lines) % _ABREAST
        for at in range(0, whole, _ABREAST):
            execute(_FILL_ABREAST, tuple(chain.from_iterable(lines[at : at + _ABREAST])))
        if whole < len(lines):
            execute(_FILL, (_encode(lines[whole:]).decode(),))
        for statement in _OF_CREDENTIALS:
            execute(statement)
        if any(line[_KEY_ID] for line in lines):
            for statement in _OF_APPLICATIONS:
                execute(statement)
        execute(_EMPTY)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        with faults():
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
