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
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any

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
from latchgate.store.reads import SCHEMA_HEAD
from latchgate.store.rows import Row, Snapshot
from latchgate.store.source import PAGE, Beat, Place, Published, Through

CHANNEL = "latchgate_journal"
POLL_SECONDS = 0.1
_KEPT = 4  # idle connections for reads
_PROBE_SECONDS = 1.0
_PROBE_AGAIN_SECONDS = 60.0
GENESIS = bytes(32)

# The history that the database writes: another number after each promotion.
TIMELINE = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
_SCHEMA = "SELECT version_num FROM alembic_version"
_PLACE = (
    f"SELECT h.epoch, h.n, j.hash, {TIMELINE} FROM journal_head h"  # noqa: S608 - words of our own
    " LEFT JOIN journal j ON j.n = h.n"
)
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
    "UPDATE verifier SET acknowledged = %(position)s, beat = beat + 1, seen_at = %(now)s"
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
            _check_schema(connection)
            (place,), newest = _results(
                self._run(
                    connection, f"{BEGIN}; {_PROMISE}; {_PLACE}; {_POLICY}; {_REGISTER};", told
                ),
            )
        epoch, number, digest, timeline = place
        return (
            Place(epoch, number, bytes(digest) if digest is not None else GENESIS),
            _published(newest),
            timeline,
        )

    def beat(self, incarnation: str, place: Place) -> Beat | None:
        """Acknowledge a place and read on, in one committed transaction."""
        told = {
            "incarnation": incarnation,
            "position": place.position,
            "epoch": place.epoch,
            "hash": place.hash,
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
        head, timeline = found[0][1], found[0][2]
        changes = [(n, (Noun(noun), record)) for *_, n, noun, record, _ in found if n is not None]
        if changes:
            place = Place(place.epoch, changes[-1][0], bytes(found[-1][-1]))
        return Beat(place, changes, place.position == head, timeline)

    def read(self, keys: Sequence[Key]) -> Snapshot:
        """Read records, and what goes with them, in one snapshot and one round trip."""
        reading = _Reading(keys)
        with self._reading() as connection:
            found = self._run(connection, f"{BEGIN_READING}; {_HEAD}; {reading.text}", reading.told)
            (((number,),), *results) = _results(found)
        return Snapshot(number, reading.records(results))

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
            (newest,) = _results(self._run(connection, f"{BEGIN_READING}; {_POLICY};", {}))
        return _published(newest)

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
            with faults():
                connection.execute(f"LISTEN {CHANNEL}")
                connection.execute(f"NOTIFY {CHANNEL}")
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


# Which credentials: those asked for, those of the logins asked for, and the parents of both.
_IDS = (
    "(SELECT UNNEST(%(credential)s::text[]) UNION"
    " SELECT credential_id FROM login_credential WHERE login_id = ANY(%(login)s::text[]))"
)
_CREDENTIALS = (
    f"({_IDS} UNION SELECT parent_id FROM credential WHERE id IN {_IDS} AND parent_id IS NOT NULL)"  # noqa: S608 - words of our own
)


def _also(asked: str, column: str) -> str:
    """Return which ids of a table: those asked for, and those that the credentials name."""
    return (
        f"(SELECT UNNEST(%({asked})s::text[]) UNION"  # noqa: S608 - words of our own
        f" SELECT {column} FROM credential WHERE id IN {_CREDENTIALS})"
    )


_USERS = _also("user", "owner_id")
_USER_ROLES = f"SELECT user_id, project_id, role_id FROM role_assignment WHERE user_id IN {_USERS}"  # noqa: S608 - words of our own


@dataclass(frozen=True, slots=True)
class _Table:
    noun: Noun
    table: str
    columns: str
    ids: str

    @property
    def text(self) -> str:
        return f"SELECT {self.columns} FROM {self.table} WHERE id IN {self.ids};"  # noqa: S608 - words of our own


_MADE: dict[Noun, Callable[[Row], Record]] = {
    Noun.CREDENTIAL: rows.credential,
    Noun.TENANT: rows.tenant,
    Noun.PROJECT: rows.project,
    Noun.ROLE: rows.role,
    Noun.APPLICATION: rows.application,
    Noun.APPLICATION_KEY: rows.application_key,
    Noun.SIGNING_KEY: rows.signing_key,
}
_TABLES = (
    _Table(Noun.CREDENTIAL, "credential", rows.CREDENTIAL, _CREDENTIALS),
    _Table(Noun.TENANT, "tenant", rows.TENANT, _also("tenant", "tenant_id")),
    _Table(Noun.PROJECT, "project", rows.PROJECT, _also("project", "project_id")),
    _Table(
        Noun.ROLE,
        "role",
        rows.ROLE,
        "(SELECT UNNEST(%(role)s::text[]) UNION"  # noqa: S608 - words of our own
        f" SELECT role_id FROM role_assignment WHERE user_id IN {_USERS})",
    ),
    _Table(
        Noun.APPLICATION,
        "application",
        rows.APPLICATION,
        "(SELECT UNNEST(%(application)s::text[]) UNION"  # noqa: S608 - words of our own
        " SELECT application_id FROM application_key WHERE id = ANY(%(application_key)s::text[])"
        f" UNION SELECT application_id FROM credential WHERE id IN {_CREDENTIALS})",
    ),
    _Table(
        Noun.APPLICATION_KEY,
        "application_key",
        rows.APPLICATION_KEY,
        "(SELECT UNNEST(%(application_key)s::text[]))",
    ),
    _Table(
        Noun.SIGNING_KEY,
        "signing_key",
        rows.SIGNING_KEY,
        "(SELECT UNNEST(%(signing_key)s::text[]))",
    ),
)
_PEOPLE = (
    f"SELECT {rows.USER} FROM account WHERE id IN {_USERS};"  # noqa: S608 - words of our own
    f" {_USER_ROLES};"
    f" SELECT user_id, application_id FROM application_block WHERE user_id IN {_USERS};"
)
_LOGINS = (
    "SELECT id, user_id FROM login WHERE id = ANY(%(login)s::text[]);"
    " SELECT login_id, kind, credential_id FROM login_credential"
    " WHERE login_id = ANY(%(login)s::text[]);"
)
_RELATED = frozenset({Noun.CREDENTIAL, Noun.LOGIN})


class _Reading:
    """The statements that some records take, and the records that came of them."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)
        asked: dict[Noun, list[str]] = {noun: [] for noun in (*_MADE, Noun.USER, Noun.LOGIN)}
        for noun, record_id in self._keys:
            asked[noun].append(record_id)
        # A credential comes with what it needs: else each step of it would be a round trip.
        related = any(asked[noun] for noun in _RELATED)
        self._tables = [
            one
            for one in _TABLES
            if asked[one.noun]
            or (related and one.noun not in {Noun.APPLICATION_KEY, Noun.SIGNING_KEY})
            or (one.noun is Noun.APPLICATION and asked[Noun.APPLICATION_KEY])
        ]
        self._people = bool(asked[Noun.USER]) or related
        self._logins = bool(asked[Noun.LOGIN])
        self.told = {str(noun): ids for noun, ids in asked.items()}
        self.text = " ".join(
            [
                *(one.text for one in self._tables),
                *([_PEOPLE] if self._people else []),
                *([_LOGINS] if self._logins else []),
            ]
        )

    def records(self, results: Sequence[Sequence[Row]]) -> dict[Key, Record | None]:
        """Make records of the statements' results; None for each that was asked and isn't there."""
        found: dict[Key, Record | None] = dict.fromkeys(self._keys)
        left = list(results)
        for one in self._tables:
            made = _MADE[one.noun]
            for row in left.pop(0):
                found[one.noun, row[0]] = made(row)
        if self._people:
            people, roles, blocks = left[:3]
            del left[:3]
            held = _grouped(roles)
            blocked = _grouped(blocks)
            for row in people:
                found[Noun.USER, row[0]] = rows.user(
                    row,
                    ((project_id, role_id) for project_id, role_id in held.get(row[0], ())),
                    (application_id for (application_id,) in blocked.get(row[0], ())),
                )
        if self._logins:
            logins, credentials = left
            named = _grouped(credentials)
            for login_id, user_id in logins:
                kinds = dict(named.get(login_id, ()))
                found[Noun.LOGIN, login_id] = Login(id=login_id, user_id=user_id, credentials=kinds)
        return found


def _grouped(pairs: Iterable[Row]) -> dict[str, list[Any]]:
    """Return the rest of each row by its first column."""
    found: dict[str, list[Any]] = {}
    for first, *rest in pairs:
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


def _published(newest: Sequence[Row]) -> Published:
    if not newest:
        return Published(0, {})
    version, files = newest[0]
    return Published(version, rows.files_of(files))


def _check_schema(connection: Connection) -> None:
    try:
        with faults():
            row = connection.execute(_SCHEMA).fetchone()
    except StoreError as error:
        if not isinstance(error.__cause__, psycopg.errors.UndefinedTable):
            raise
        row = None
    if row is None:
        msg = "this is not a Latchgate database yet; run latchgate init"
        raise NotMigratedError(msg)
    if row[0] != SCHEMA_HEAD:
        msg = f"the database has schema {row[0]}, this program needs {SCHEMA_HEAD}"
        raise NotMigratedError(msg)


def read_within(
    connection: psycopg.Connection[Any], keys: Sequence[Key]
) -> dict[Key, Record | None]:
    """Read records, and what goes with them, inside a transaction under way."""
    reading = _Reading(keys)
    cursor = psycopg.ClientCursor(connection)
    with faults():
        cursor.execute(reading.text.encode(), reading.told)
        return reading.records(_results(cursor))
