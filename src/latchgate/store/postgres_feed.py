"""What a verifier reads of PostgreSQL, each in one round trip: heartbeats, records, the policy.

Rule of this file: ARCHITECTURE §6 rules 1, 3, 6 and 7. A transaction is one text with its values
in it, sent at once, so that a pooler sees a whole transaction and a cold record costs one round
trip; the head is read before, or in one snapshot with, whatever it dates.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any, NamedTuple

import psycopg

from latchgate.core.location import Postgres
from latchgate.core.model import Key, Login, Noun, Record
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
)
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
            (((longest,),),) = _results(
                self._run(connection, f"{BEGIN}; {_PROMISED}; {_PROMISE};", told)
            )
            if 0 < longest < self._standing.trust:
                time.sleep(KNOWN_SECONDS)
            (place,), newest = _results(
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
            written, found = _results(self._run(connection, f"{BEGIN}; {_BEAT}; {_SINCE};", told))
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
        reading = _Reading(keys)
        with self._reading() as connection:
            text = f"{BEGIN_READING}; {_DATED}; {reading.text}"
            ((dated,), *results) = _results(self._run(connection, text, reading.told))
        number, timeline = dated
        return Snapshot(number, reading.records(results), timeline)

    def read_through(self, incarnation: str, keys: Sequence[Key]) -> Through:
        """Read records in a committed transaction that writes the own row."""
        reading = _Reading(keys)
        told = {**reading.told, "incarnation": incarnation}
        with self._reading() as connection:
            text = f"{BEGIN}; {_WRITTEN}; {_HEAD}; {_POLICY_VERSION}; {reading.text}"
            written, ((number,),), ((version,),), *results = _results(
                self._run(connection, text, told)
            )
        if not written:
            msg = "this verifier was expelled"
            raise StoreError(msg)
        return Through(Snapshot(number, reading.records(results)), version)

    def policy(self) -> Published:
        """Read the newest policy."""
        with self._reading() as connection:
            (dated,), newest = _results(
                self._run(connection, f"{BEGIN_READING}; {_DATED}; {_POLICY};", {})
            )
        return _published(newest, *dated)

    def head(self) -> int:
        """Read the journal's head number."""
        with self._reading() as connection:
            ((found,),) = _results(self._run(connection, f"{BEGIN_READING}; {_HEAD};", {}))
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


class _Related(NamedTuple):
    """Credentials `c` that were asked for, by themselves or through their login."""

    asked: Noun
    source: str
    where: str


_RELATED = (
    _Related(Noun.CREDENTIAL, "credential c", "c.id = ANY(%(credential)s::text[])"),
    _Related(
        Noun.LOGIN,
        "login_credential l JOIN credential c ON c.id = l.credential_id",
        "l.login_id = ANY(%(login)s::text[])",
    ),
)


class _Table(NamedTuple):
    """A table of records, and how what a credential needs of it hangs on the credential `c`."""

    noun: Noun
    table: str
    columns: str
    made: Callable[[Row], Record]
    joined: str | None = None


_TABLES = (
    _Table(Noun.CREDENTIAL, "credential", rows.CREDENTIAL, rows.credential, "t.id = c.parent_id"),
    _Table(Noun.TENANT, "tenant", rows.TENANT, rows.tenant, "t.id = c.tenant_id"),
    _Table(Noun.PROJECT, "project", rows.PROJECT, rows.project, "t.id = c.project_id"),
    _Table(
        Noun.ROLE,
        "role",
        rows.ROLE,
        rows.role,
        "t.id IN (SELECT role_id FROM role_assignment a"
        " WHERE a.user_id = c.owner_id AND a.project_id = c.project_id)",
    ),
    _Table(
        Noun.APPLICATION,
        "application",
        rows.APPLICATION,
        rows.application,
        "t.id = c.application_id",
    ),
    _Table(Noun.APPLICATION_KEY, "application_key", rows.APPLICATION_KEY, rows.application_key),
    _Table(Noun.SIGNING_KEY, "signing_key", rows.SIGNING_KEY, rows.signing_key),
)
_LOGINS = (
    "SELECT id, user_id FROM login WHERE id = ANY(%(login)s::text[]);"
    " SELECT login_id, kind, credential_id FROM login_credential"
    " WHERE login_id = ANY(%(login)s::text[])"
)


class _Reading:
    """The statements that some records take, and the records that came of them.

    A credential comes with what it needs, as far as it is one step away: else each step would be
    a round trip. Statements are joins on keys: they are planned anew each time.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)
        nouns = (*(one.noun for one in _TABLES), Noun.USER, Noun.LOGIN)
        asked: dict[Noun, list[str]] = {noun: [] for noun in nouns}
        for noun, record_id in self._keys:
            asked[noun].append(record_id)
        self._asked = asked
        self._related = [one for one in _RELATED if asked[one.asked]]
        self.told = {str(noun): ids for noun, ids in asked.items()}
        statements = []
        self._tables = []
        for one in _TABLES:
            parts = self._parts(one.table, one.columns, one.noun, one.joined)
            if one.noun is Noun.CREDENTIAL and asked[Noun.LOGIN]:
                parts.append(_selected("c", one.columns, _RELATED[1].source, _RELATED[1].where))
            if one.noun is Noun.APPLICATION and asked[Noun.APPLICATION_KEY]:
                where = "k.id = ANY(%(application_key)s::text[])"
                source = "application_key k JOIN application t ON t.id = k.application_id"
                parts.append(_selected("t", one.columns, source, where))
            if parts:
                self._tables.append(one)
                statements.append(" UNION ALL ".join(parts))
        self._people = bool(self._related or asked[Noun.USER])
        if self._people:
            statements += [" UNION ALL ".join(parts) for parts in self._people_parts()]
        if asked[Noun.LOGIN]:
            statements.append(_LOGINS)
        self.text = "".join(f"{one};" for one in statements)

    def _parts(self, table: str, columns: str, noun: Noun, joined: str | None) -> list[str]:
        parts = []
        if self._asked[noun]:
            parts.append(_selected("t", columns, f"{table} t", f"t.id = ANY(%({noun})s::text[])"))
        if joined is not None:
            parts += [
                _selected("t", columns, f"{one.source} JOIN {table} t ON {joined}", one.where)
                for one in self._related
            ]
        return parts

    def _people_parts(self) -> Iterator[list[str]]:
        yield self._parts("account", rows.USER, Noun.USER, "t.id = c.owner_id")
        for table, columns in (
            ("role_assignment", "user_id, project_id, role_id"),
            ("application_block", "user_id, application_id"),
        ):
            parts = [
                _selected(
                    "t",
                    columns,
                    f"{one.source} JOIN {table} t ON t.user_id = c.owner_id",
                    one.where,
                )
                for one in self._related
            ]
            if self._asked[Noun.USER]:
                where = "t.user_id = ANY(%(user)s::text[])"
                parts.append(_selected("t", columns, f"{table} t", where))
            yield parts

    def records(self, results: Sequence[Sequence[Row]]) -> dict[Key, Record | None]:
        """Make records of the statements' results; None for each that was asked and isn't there."""
        found: dict[Key, Record | None] = dict.fromkeys(self._keys)
        left = list(results)
        for one in self._tables:
            for row in left.pop(0):
                found[one.noun, row[0]] = one.made(row)
        if self._people:
            people, roles, blocks = left[:3]
            del left[:3]
            held, blocked = _grouped(roles), _grouped(blocks)
            for row in people:
                found[Noun.USER, row[0]] = rows.user(
                    row,
                    ((project_id, role_id) for project_id, role_id in held.get(row[0], ())),
                    (application_id for (application_id,) in blocked.get(row[0], ())),
                )
        if self._asked[Noun.LOGIN]:
            logins, credentials = left
            named = _grouped(credentials)
            for login_id, user_id in logins:
                kinds = dict(named.get(login_id, ()))
                found[Noun.LOGIN, login_id] = Login(id=login_id, user_id=user_id, credentials=kinds)
        return found


def _selected(alias: str, columns: str, source: str, where: str) -> str:
    listed = ", ".join(f"{alias}.{column}" for column in columns.split(", "))
    return f"SELECT {listed} FROM {source} WHERE {where}"  # noqa: S608 - words of our own


def _grouped(pairs: Iterable[Row]) -> dict[str, list[Any]]:
    """Return the rest of each row by its first column."""
    found: dict[str, list[Any]] = {}
    for first, *rest in dict.fromkeys(map(tuple, pairs)):
        found.setdefault(first, []).append(tuple(rest))
    return found


def _results(cursor: psycopg.ClientCursor[Row]) -> list[list[Row]]:
    """Return the rows of each statement that has any to give."""
    found = []
    while True:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        if not cursor.nextset():
            return found


def _published(newest: Sequence[Row], position: int, timeline: str) -> Published:
    if not newest:
        return Published(0, {}, position, timeline)
    version, files = newest[0]
    return Published(version, rows.files_of(files), position, timeline)


def read_within(
    connection: psycopg.Connection[Any], keys: Sequence[Key]
) -> dict[Key, Record | None]:
    """Read records, and what goes with them, inside a transaction under way."""
    reading = _Reading(keys)
    cursor = psycopg.ClientCursor(connection)
    with faults():
        cursor.execute(reading.text.encode(), reading.told)
        return reading.records(_results(cursor))
