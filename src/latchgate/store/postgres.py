"""PostgreSQL: plain connections for the hot statements, and what its commits must have meant.

Rule of this file: nothing is left in a session between transactions, so that a pooler may hand
each to another (PgBouncer in transaction mode): no prepared statements, no settings but SET LOCAL.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from latchgate.core.location import Postgres
from latchgate.store.errors import OutcomeUnknownError, StoreError
from latchgate.store.rows import Row

STATEMENT_MS = 5_000
# A process that is stopped within a change must not keep all others waiting until they give up.
IDLE_MS = 3_000
# A commit that gives up its wait for the standby says so in a warning alone, which a setting of
# the role or the database (client_min_messages) would keep from us.
HEARD = "SET LOCAL client_min_messages = warning"
BEGIN = (
    f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; {HEARD};"
    f" SET LOCAL statement_timeout = {STATEMENT_MS}; SET LOCAL lock_timeout = {STATEMENT_MS};"
    f" SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}"
)
BEGIN_READING = (
    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {STATEMENT_MS}"
)
# A time-out while a commit waits for its standby would end the wait, and call it a success.
COMMIT = "SET LOCAL statement_timeout = 0; COMMIT"
# What a silent network may cost before a connection is given up, unless the URI says otherwise.
_PATIENCE: dict[str, Any] = {
    "connect_timeout": 3,
    "tcp_user_timeout": 3_000,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "application_name": "latchgate",
    "target_session_attrs": "read-write",
}
_BALANCES = 160_000  # the first libpq that knows the option
# What in the server warns of it, in every version: its words are in the server's language, by
# lc_messages, and its SQLSTATE is that of any warning.
_WAITS_FOR_STANDBY = "SyncRepWaitForLSN"


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that knows when a commit of its own was not waited for until replicated."""

    unreplicated = False

    def heed(self, told: psycopg.errors.Diagnostic) -> None:
        """Note the server's warning that a wait for replication was given up."""
        if told.source_function == _WAITS_FOR_STANDBY:
            self.unreplicated = True

    def confirm(self) -> None:
        """Raise OutcomeUnknownError, and close, when a commit since the start may not last."""
        if self.unreplicated:
            self.close()
            msg = "the database gave up waiting for its standby; whether it will last is not known"
            raise OutcomeUnknownError(msg)


def conninfo(at: Postgres) -> str:
    """Return libpq's connection string for a database; StoreError where the URI is none."""
    try:
        given = conninfo_to_dict(at.uri.reveal())
    except psycopg.ProgrammingError:
        msg = f"{at}: not a connection URI as libpq reads it"
        raise StoreError(msg) from None  # the driver's own words repeat the URI
    chosen = _PATIENCE
    if psycopg.pq.version() >= _BALANCES:
        # Of several hosts one that was replaced and still answers is not always asked first.
        chosen = {**chosen, "load_balance_hosts": "random"}
    return make_conninfo("", **{**chosen, **given})


def connect(at: Postgres) -> Connection:
    """Open a connection in autocommit; StoreError when there is none to be had."""
    try:
        connection = Connection.connect(conninfo(at), autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        msg = f"cannot reach the database {at}: {said(error)}"
        raise StoreError(msg) from None
    connection.add_notice_handler(connection.heed)
    return connection


@contextmanager
def faults() -> Iterator[None]:
    """Turn the driver's errors into StoreError."""
    try:
        yield
    except psycopg.Error as error:
        msg = f"the database failed: {said(error)}"
        raise StoreError(msg) from error


def said(error: psycopg.Error) -> str:
    """Return the server's message, without the statement and its values."""
    primary = error.diag.message_primary
    return primary if primary is not None else str(error).strip().partition("\n")[0]


def results_of(cursor: psycopg.Cursor[Row]) -> list[list[Row]]:
    """Return the rows of each statement that has any to give."""
    found = []
    while True:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            return found


class Watchdog:
    """Ends what waits too long for the database, from a thread of its own.

    libpq waits for an answer for as long as the connection lives; a commit whose standby is away
    is never answered.
    """

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, int]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes = 0.0  # when the thread looks again by itself
        self._next = 0
        self._closed = False

    @contextmanager
    def within(self, connection: Connection, seconds: float) -> Iterator[None]:
        """Shut the connection's socket down when the block takes longer; it then raises."""
        descriptor = os.dup(connection.fileno())
        due = time.monotonic() + seconds
        with self._changed:
            self._next += 1
            name = self._next
            self._due[name] = (due, descriptor)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            elif due < self._wakes:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(name, None)
            os.close(descriptor)

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for name, (due, descriptor) in list(self._due.items()):
                    if due <= now:
                        del self._due[name]
                        _shut(descriptor)
                first = min((due for due, _ in self._due.values()), default=None)
                self._wakes = math.inf if first is None else first
                self._changed.wait(None if first is None else max(0.0, first - now))


def _shut(descriptor: int) -> None:
    shared = socket.socket(fileno=os.dup(descriptor))
    with shared, suppress(OSError):
        shared.shutdown(socket.SHUT_RDWR)
