"""Usage in PostgreSQL, where all nodes count together: one command writes a batch everywhere.

Rule of this file: nobody waits long for anybody. Rows are written in the order of their keys, so
that two nodes don't each hold what the other wants, and what the database ends nevertheless is
repeated. Commits don't wait for a disk or a standby: a crash of the server itself costs the counts
of its last moments, and nothing else. What is left in doubt by a lost connection is asked for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

import psycopg

from latchgate.core.location import Postgres
from latchgate.core.reason import Reason
from latchgate.store.batch import DAY, EVERYBODY, HOUR
from latchgate.store.errors import NotMigratedError, OutcomeUnknownError, StoreError
from latchgate.store.postgres import IDLE_MS, Connection, Watchdog, connect, said
from latchgate.store.postgres_schema import check_schema
from latchgate.store.tally import MINUTE
from latchgate.store.usage_database import COLUMNS, OF_DAY, OF_USE, Cursor, Line

STATEMENT_MS = 20_000
LOCK_MS = 5_000
SECONDS = 30.0  # of a transaction, or of one statement that reads
RETRY_SECONDS = 1.0  # between attempts to connect
TRIES = 4
ABREAST = 5_000  # lines to a command
_ASKED, _ASKED_SECONDS = 20, 0.05  # how often, at once, what became of a commit
# Others were writing the same rows in another order: the database has undone this one.
_AGAIN = frozenset({"40001", "40P01"})
_OUTCOME = "SELECT txid_status(%s)"
_UNANSWERED = "the commit was not answered; whether it was written is not known"
_log = logging.getLogger(__name__)


def _roll_up(table: str, seconds: int, columns: tuple[str, ...]) -> str:
    listed = ", ".join(columns)
    return (
        f"{table}_written AS (INSERT INTO {table} (at, {listed}, count)"  # noqa: S608 - words of this program
        f" SELECT at - at % {seconds}, {listed}, SUM(count) FROM batch"
        f" GROUP BY 1, {listed} ORDER BY 1, {listed}"
        f" ON CONFLICT (at, {listed}) DO UPDATE SET count = {table}.count + excluded.count)"
    )


_TYPES = {"at": "bigint", "price": "bigint", "count": "bigint", "first": "float8", "last": "float8"}
_ARRAYS = ", ".join(f"?::{_TYPES.get(name, 'text')}[]" for name in COLUMNS)
_BATCH = (
    f"batch AS MATERIALIZED (SELECT * FROM unnest({_ARRAYS})"  # noqa: S608 - words of this program
    f" AS told ({', '.join(COLUMNS)}))"
)
_TENANT = (
    "use_tenant_written AS (INSERT INTO use_tenant (at, tenant_id, reason, count)"  # noqa: S608 - words of this program
    f" SELECT at - at % {HOUR}, who, reason, SUM(count) FROM"
    " (SELECT at, tenant_id AS who, reason, count FROM batch"
    f" UNION ALL SELECT at, '{EVERYBODY}', reason, count FROM batch) AS each"
    " GROUP BY 1, who, reason ORDER BY 1, who, reason ON CONFLICT (at, tenant_id, reason)"
    " DO UPDATE SET count = use_tenant.count + excluded.count)"
)
_TOTAL = (
    "use_total_written AS (INSERT INTO use_total (counted, area, reason, count)"
    " SELECT 'decision', area, reason, SUM(count) FROM batch GROUP BY area, reason"
    " ORDER BY area, reason ON CONFLICT (counted, area, reason)"
    " DO UPDATE SET count = use_total.count + excluded.count)"
)
# One row of each, the last of all: a command may not write a row twice.
_USED = " UNION ALL ".join(
    f"SELECT {column} AS who, last, NULLIF(address, '') AS address, agent FROM batch"  # noqa: S608 - words of this program
    f" WHERE reason = '{Reason.ALLOWED}' AND {column} <> ''{more}"
    for column, more in (
        ("credential_id", ""),
        ("application_id", " AND key_id <> ''"),
        ("key_id", ""),
    )
)
_LAST = (
    "last_use_written AS (INSERT INTO last_use (credential_id, at, address, agent)"  # noqa: S608 - words of this program
    f" SELECT DISTINCT ON (who) who, last, address, agent FROM ({_USED}) AS used"
    " ORDER BY who, last DESC, address, agent ON CONFLICT (credential_id)"
    " DO UPDATE SET at = excluded.at, address = excluded.address, agent = excluded.agent"
    " WHERE excluded.at >= last_use.at)"
)
_PLACE = "address, agent, area, application_id"
_SEEN = " UNION ALL ".join(
    f"SELECT {column} AS who, {_PLACE}, reason, count, first, last FROM batch WHERE {column} <> ''"  # noqa: S608 - words of this program
    for column in ("credential_id", "key_id")
)
_SOURCE = (
    "use_source_written AS (INSERT INTO use_source"  # noqa: S608 - words of this program
    f" (credential_id, {_PLACE}, count, refused, first_at, last_at)"
    f" SELECT who, {_PLACE}, SUM(count),"
    f" SUM(CASE reason WHEN '{Reason.ALLOWED}' THEN 0 ELSE count END), MIN(first), MAX(last)"
    f" FROM ({_SEEN}) AS seen GROUP BY who, {_PLACE} ORDER BY who, {_PLACE}"
    f" ON CONFLICT (credential_id, {_PLACE}) DO UPDATE SET"
    " count = use_source.count + excluded.count, refused = use_source.refused + excluded.refused,"
    " first_at = LEAST(use_source.first_at, excluded.first_at),"
    " last_at = GREATEST(use_source.last_at, excluded.last_at))"
)
_TABLES = (
    _roll_up("use_minute", MINUTE, OF_USE),
    _roll_up("use_hour", HOUR, OF_USE),
    _roll_up("use_day", DAY, OF_DAY),
    _TENANT,
    _TOTAL,
    _LAST,
    _SOURCE,
)
_ADD = f"WITH {', '.join((_BATCH, *_TABLES))} SELECT 1"
_FLOATS = frozenset({"first", "last"})


class PostgresUsage:
    """One connection at a time, made anew when it is lost; told of in `UsageDatabase`."""

    among = "= ANY(?)"
    locking = " FOR UPDATE"
    by_first = ""

    def __init__(self, at: Postgres, *, read_only: bool) -> None:
        self._at = at
        self._read_only = read_only
        self._watchdog = Watchdog()
        self._connection: Connection | None = None
        self._closed = False
        self._not_before = 0.0
        self._number = 0  # of the transaction under way, or of the last one
        self._doubt = False
        if read_only:
            return
        try:
            self._connected()
        except NotMigratedError:
            self.close()
            raise
        except StoreError as error:
            _log.warning("usage waits for its database: %s", error)

    def several(self, values: Collection[Any]) -> list[Any]:
        """Return values as a list: an array, to the database."""
        return list(values)

    def alphabetic(self, column: str) -> str:
        """Return the column, whatever language the database sorts by."""
        return f'{column} COLLATE "C"'

    def transact(self, work: Callable[[], None]) -> None:
        """Run work in a transaction, again where others or a lost connection ended it."""
        for left in reversed(range(TRIES)):
            connection = self._connected()
            try:
                with self._watchdog.within(connection, SECONDS):
                    return self._attempt(connection, work)
            except psycopg.Error as error:
                if self._doubt:
                    if self.outcome():
                        return None
                elif error.sqlstate not in _AGAIN and not connection.closed:
                    raise _failed(error) from error
                if not left:
                    raise _failed(error) from error
        return None

    def _attempt(self, connection: Connection, work: Callable[[], None]) -> None:
        self._doubt = False
        try:
            self._number = connection.execute(_begin()).set_result(-1).fetchall()[0][0]
            work()
        except BaseException:
            _roll_back(connection)
            raise
        try:
            told = connection.execute("COMMIT").statusmessage
        except psycopg.Error:
            self._doubt = connection.closed
            raise
        if told != "COMMIT":
            msg = "the database rolled the transaction back"
            raise StoreError(msg)

    def outcome(self) -> bool:
        """Return what the database says of the transaction whose commit was not answered.

        One that it does not know was not written: another server has taken the place of its.
        """
        for _ in range(_ASKED):
            found = self._asked()
            if found != "in progress":
                self._doubt = False
                return found == "committed"
            time.sleep(_ASKED_SECONDS)
        raise OutcomeUnknownError(_UNANSWERED)

    def _asked(self) -> str | None:
        try:
            connection = self._connected()
            with self._watchdog.within(connection, SECONDS):
                row = connection.execute(_OUTCOME, (self._number,)).fetchone()
        except psycopg.errors.InvalidParameterValue:  # a number that is still to come
            return None
        except (StoreError, psycopg.Error) as error:
            raise OutcomeUnknownError(_UNANSWERED) from error
        return row[0] if row is not None else None

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement."""
        return self._under_way().execute(_spelled(statement), _stored(values))

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row, in few packets."""
        self._under_way().cursor().executemany(_spelled(statement), list(map(_stored, rows)))

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines to every table, thousands with one command."""
        for at in range(0, len(lines), ABREAST):
            columns = zip(COLUMNS, zip(*lines[at : at + ABREAST], strict=True), strict=True)
            self.execute(
                _ADD,
                [
                    list(map(float, values)) if name in _FLOATS else list(values)
                    for name, values in columns
                ],
            )

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of one statement, asked again where the connection was lost."""
        for left in (True, False):
            connection = self._connected()
            try:
                with self._watchdog.within(connection, SECONDS):
                    return connection.execute(_spelled(statement), _stored(values)).fetchall()
            except psycopg.Error as error:
                if not (left and connection.closed):
                    raise _failed(error) from error
        raise AssertionError

    def close(self) -> None:
        """Close the connection, and make no other."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
        self._watchdog.close()

    def _under_way(self) -> Connection:
        if self._connection is None:
            msg = "no transaction is under way"
            raise StoreError(msg)
        return self._connection

    def _connected(self) -> Connection:
        """Return the connection, a new one where it was lost; StoreError while there is none."""
        if self._connection is not None and not self._connection.closed:
            return self._connection
        if self._closed or time.monotonic() < self._not_before:
            msg = f"there is no connection to the database {self._at}"
            raise StoreError(msg)
        self._connection = None
        try:
            made = connect(self._at)
        except StoreError:
            self._not_before = time.monotonic() + RETRY_SECONDS
            raise
        try:
            if not self._read_only:
                with self._watchdog.within(made, SECONDS):
                    check_schema(made)
        except StoreError:
            made.close()
            raise
        self._connection = made
        return made


def _begin() -> bytes:
    return (
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off;"
        f" SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL lock_timeout = {LOCK_MS};"
        f" SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}; SELECT txid_current()"
    ).encode()


def _roll_back(connection: Connection) -> None:
    try:
        connection.execute("ROLLBACK")
    except psycopg.Error:
        connection.close()


def _failed(error: psycopg.Error) -> StoreError:
    return StoreError(f"the database failed: {said(error)}")


@cache
def _spelled(statement: str) -> bytes:
    """Return a statement with the driver's own marks for values."""
    return statement.replace("%", "%%").replace("?", "%s").encode()


def _stored(values: Sequence[Any]) -> list[Any]:
    """Return values without NUL, which no text may hold there: it is in nothing of ours."""
    return [_without_nul(value) for value in values]


def _without_nul(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [one.replace("\0", "\ufffd") for one in value]
    return value
