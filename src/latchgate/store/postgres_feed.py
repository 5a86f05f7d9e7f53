"""What a verifier reads of PostgreSQL, each in one round trip: heartbeats, records, the policy.

Rule of this file: ARCHITECTURE §6 rules 1, 3, 6 and 7. A transaction is one text with its values
in it, sent at once, so that a pooler sees a whole transaction and a cold record costs one round
trip; the head is read before, or in one snapshot with, whatever it dates.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any

import psycopg

from latchgate.core.location import Postgres
from latchgate.core.model import Key, Noun
from latchgate.store import rows
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.postgres import (
    BEGIN,
    BEGIN_READING,
    COMMIT,
    Connection,
    Watchdog,
    connect,
    faults,
    results_of,
)
from latchgate.store.postgres_records import Reading
from latchgate.store.postgres_schema import check_schema
from latchgate.store.rows import Row, Snapshot
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.source import KNOWN_SECONDS, PAGE, Beat, Place, Published, Through

CHANNEL = "latchgate_journal"
POLL_SECONDS = 0.1
_KEPT = 4  # idle connections for reads
_PROBE_SECONDS = 1.0
_PROBE_AGAIN_SECONDS = 60.0
GENESIS = bytes(32)

# The history that the database writes: another number after each promotion.
TIMELINE = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_PLACE = (
    f"SELECT h.epoch, h.n, j.hash, {TIMELINE} FROM journal_head h"  # noqa: S608 - words of our own
    " LEFT JOIN journal j ON j.n = h.n"
)
_PROMISED = "SELECT max_trust FROM promise WHERE id = 1"
_PROMISE = (
    "UPDATE promise SET max_trust = %(trust)s WHERE id = 1 AND max_trust < %(trust)s;"  # noqa: S608 - words of our own
    # Nobody trusted any history before the first verifier of all.
    f" UPDATE promise SET timeline = {TIMELINE}, settled = TRUE WHERE id = 1 AND timeline = ''"
)
# Nothing is acknowledged yet, whatever the journal has: a receipt waits for the first heartbeat.
_REGISTER = (
    "INSERT INTO verifier (incarnation, kind, node, process, program, schema, trust, stale,"
    " acknowledged, beat, state, joined_at, seen_at, tenants)"
    " VALUES (%(incarnation)s, 'node', %(node)s, %(process)s, %(program)s, %(schema)s, %(trust)s,"
    " %(stale)s, 0, 0, 'live', %(now)s, %(now)s, NULL)"
)
# Written only by who is live, and follows the history that is here.
_BEAT = (
    # On a timeline that it hasn't heard of, it may hold what never was there.
    f"UPDATE verifier SET acknowledged = CASE WHEN {TIMELINE} = %(timeline)s"  # noqa: S608 - words of our own
    " THEN %(position)s ELSE 0 END, beat = beat + 1, seen_at = %(now)s"
    " WHERE incarnation = %(incarnation)s AND state = 'live'"
    " AND EXISTS (SELECT 1 FROM journal_head WHERE epoch = %(epoch)s)"
    " AND (%(position)s = 0 OR EXISTS"
    " (SELECT 1 FROM journal WHERE n = %(position)s AND hash = %(hash)s))"
    " RETURNING beat"
)
_SINCE = (
    f"SELECT h.epoch, h.n, {TIMELINE}, j.n, j.noun, j.record, j.hash FROM journal_head h"  # noqa: S608 - words of our own
    f" LEFT JOIN journal j ON j.n > %(position)s ORDER BY j.n LIMIT {PAGE}"
)
_WRITTEN = "UPDATE verifier SET beat = beat + 1 WHERE incarnation = %(incarnation)s RETURNING beat"
_HEAD = "SELECT n FROM journal_head"
_DATED = f"SELECT n, {TIMELINE} FROM journal_head"  # noqa: S608 - words of our own
_POLICY = "SELECT version, files FROM policy_version ORDER BY version DESC LIMIT 1"
_POLICY_VERSION = "SELECT COALESCE(MAX(version), 0) FROM policy_version"
_LEAVE = "DELETE FROM verifier WHERE incarnation = %(incarnation)s"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a verifier's row says of it; `trust` in seconds, `stale` whether past its lease."""

    node: str
    process: int
    program: str
    trust: float
    stale: bool


class PostgresFeed:
    """A `Source` over PostgreSQL; `limit` is how long a heartbeat may take (seconds)."""

    def __init__(self, database: Postgres, standing: Standing, *, limit: float) -> None:
        self._database = database
        self._standing = standing
        self._limit = limit
        self._watchdog = Watchdog()
        self._idle: LifoQueue[Connection] = LifoQueue()
        self._beating: Connection | None = None
        self._timeline = ""  # that the verifier last heard of
        self._hint = _Hint(database)
        self._closed = False

    def register(self, incarnation: str) -> tuple[Place, Published, str]:
        """Add the row of a new memory; NotMigratedError when the schema is another."""
        told = {
            "incarnation": incarnation,
            "node": self._standing.node,
            "process": self._standing.process,
            "program": self._standing.program,
            "schema": SCHEMA_HEAD,
            "trust": self._standing.trust,
            "stale": self._standing.stale,
            "now": time.time(),
        }
        with self._reading() as connection:
            check_schema(connection)
            (((longest,),),) = results_of(
                self._run(connection, f"{BEGIN}; {_PROMISED}; {_PROMISE};", told)
            )
            if 0 < longest < self._standing.trust:
                time.sleep(KNOWN_SECONDS)
            (place,), newest = results_of(
                self._run(connection, f"{BEGIN}; {_PLACE}; {_POLICY}; {_REGISTER};", told)
            )
            try:
                # Again: a migration looks at rows, and none was there when it did.
                check_schema(connection)
            except NotMigratedError:
                self.leave(incarnation)
                raise
        epoch, number, digest, self._timeline = place
        return (
            Place(epoch, number, bytes(digest) if digest is not None else GENESIS),
            _published(newest, number, self._timeline),
            self._timeline,
        )

    def beat(self, incarnation: str, place: Place) -> Beat | None:
        """Acknowledge a place and read on, in one committed transaction."""
        told = {
            "incarnation": incarnation,
            "position": place.position,
            "epoch": place.epoch,
            "hash": place.hash,
            "timeline": self._timeline,
            "now": time.time(),
        }
        connection = self._beating
        if connection is None or connection.closed:
            connection = self._beating = connect(self._database)
        try:
            written, found = results_of(self._run(connection, f"{BEGIN}; {_BEAT}; {_SINCE};", told))
        except StoreError:
            connection.close()
            raise
        if not written:
            return None
        head, self._timeline = found[0][1], found[0][2]
        changes = [(n, (Noun(noun), record)) for *_, n, noun, record, _ in found if n is not None]
        if changes:
            place = Place(place.epoch, changes[-1][0], bytes(found[-1][-1]))
        return Beat(place, changes, place.position == head, self._timeline)

    def read(self, keys: Sequence[Key]) -> Snapshot:
        """Read records, and what goes with them, in one snapshot and one round trip."""
        reading = Reading(keys)
        with self._reading() as connection:
            text = f"{BEGIN_READING}; {_DATED}; {reading.text}"
            ((dated,), *results) = results_of(self._run(connection, text, reading.told))
        number, timeline = dated
        return Snapshot(number, reading.records(results), timeline)

    def read_through(self, incarnation: str, keys: Sequence[Key]) -> Through:
        """Read records in a committed transaction that writes the own row."""
        reading = Reading(keys)
        told = {**reading.told, "incarnation": incarnation}
        with self._reading() as connection:
            text = f"{BEGIN}; {_WRITTEN}; {_HEAD}; {_POLICY_VERSION}; {reading.text}"
            written, ((number,),), ((version,),), *results = results_of(
                self._run(connection, text, told)
            )
        if not written:
            msg = "this verifier was expelled"
            raise StoreError(msg)
        return Through(Snapshot(number, reading.records(results)), version)

    def policy(self) -> Published:
        """Read the newest policy."""
        with self._reading() as connection:
            (dated,), newest = results_of(
                self._run(connection, f"{BEGIN_READING}; {_DATED}; {_POLICY};", {})
            )
        return _published(newest, *dated)

    def head(self) -> int:
        """Read the journal's head number."""
        with self._reading() as connection:
            ((found,),) = results_of(self._run(connection, f"{BEGIN_READING}; {_HEAD};", {}))
        number: int = found[0]
        return number

    def wait(self, seconds: float, place: Place) -> bool:
        """Wait for a notification, or look at the head now and then where none arrive."""
        return self._hint.wait(seconds, lambda: self.head() != place.position)

    def interrupt(self) -> None:
        """End a `wait` under way."""
        self._hint.interrupt()

    def leave(self, incarnation: str) -> None:
        """Delete the own row."""
        with self._reading() as connection:
            self._run(connection, f"{BEGIN}; {_LEAVE};", {"incarnation": incarnation})

    def close(self) -> None:
        """Close every connection."""
        self._closed = True
        self._hint.close()
        self._watchdog.close()
        if self._beating is not None:
            self._beating.close()
        with contextlib.suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _run(
        self, connection: Connection, text: str, told: Mapping[str, Any]
    ) -> psycopg.ClientCursor[Row]:
        """Send a whole transaction at once; StoreError, with nothing known, when any of it failed.

        Values are in the text: only so does one message hold several statements.
        """
        cursor = psycopg.ClientCursor(connection)
        with faults(), self._watchdog.within(connection, self._limit):
            cursor.execute(f"{text} {COMMIT}".encode(), told)
        connection.confirm()
        return cursor

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Lend a connection; one on which anything failed is closed."""
        connection = self._lent()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed or self._idle.qsize() >= _KEPT:
            connection.close()
        else:
            self._idle.put(connection)

    def _lent(self) -> Connection:
        with contextlib.suppress(Empty):
            while True:
                connection = self._idle.get_nowait()
                if not connection.closed:
                    return connection
        return connect(self._database)


class _Hint:
    """Notifications that there may be something new: a hint, never needed (a pooler drops them)."""

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._probe_at = 0.0
        self._interrupted = threading.Event()

    def wait(self, seconds: float, moved: Callable[[], bool]) -> bool:
        """Wait for one, or until `moved()` where none arrive; False when nothing came in time."""
        listening = self._listening()
        if listening is None:
            until = time.monotonic() + seconds
            while not self._interrupted.wait(min(POLL_SECONDS, max(0.0, until - time.monotonic()))):
                if moved():
                    return True
                if time.monotonic() >= until:
                    return False
            return False
        try:
            with faults():
                return any(True for _ in listening.notifies(timeout=seconds, stop_after=1))
        except StoreError:
            self._drop()
            return False

    def _listening(self) -> Connection | None:
        """Return a connection that notifications do arrive on, looked for once a minute."""
        if self._connection is not None or time.monotonic() < self._probe_at:
            return self._connection
        self._probe_at = time.monotonic() + _PROBE_AGAIN_SECONDS
        connection = connect(self._database)
        try:
            # By another connection: a pooler gives one its own notifications, and no others.
            with faults(), closing(connect(self._database)) as other:
                connection.execute(f"LISTEN {CHANNEL}")
                other.execute(f"NOTIFY {CHANNEL}")
                told = any(True for _ in connection.notifies(timeout=_PROBE_SECONDS, stop_after=1))
        except StoreError:
            told = False
        if told:
            self._connection = connection
        else:
            connection.close()
        return self._connection

    def interrupt(self) -> None:
        """End a wait; later ones end at once."""
        self._interrupted.set()

    def close(self) -> None:
        """Close the connection."""
        self._interrupted.set()
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._probe_at = None, 0.0


def _published(newest: Sequence[Row], position: int, timeline: str) -> Published:
    if not newest:
        return Published(0, {}, position, timeline)
    version, files = newest[0]
    return Published(version, rows.files_of(files), position, timeline)
