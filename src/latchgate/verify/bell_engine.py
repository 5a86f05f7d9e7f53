"""An engine beside a SQLite database: exact, by the bell in shared memory.

Rule of this file: the bell is read before the journal, and before each decision after its request
arrived, so that what was revoked before it is known (ARCHITECTURE §6, last paragraph).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar, Unpack

from latchgate.core.model import Key, Noun
from latchgate.store.bell import RINGS, Bell
from latchgate.store.errors import StoreError
from latchgate.store.reads import (
    PAGE,
    check_schema,
    count_ids,
    read_changes,
    read_head,
    read_ids,
    read_policy_files,
    read_records,
)
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import Connection, connect, faults
from latchgate.verify.cache import Cache
from latchgate.verify.engine import Engine, EngineParts
from latchgate.verify.given import Given
from latchgate.verify.known import Known
from latchgate.verify.walk import Fetch, Records

POLL_SECONDS = 0.1
LEARN_AFTER = 1_000  # unknown ids that were read in vain; few servers ever meet so many
# Between two pages of ids: a thread that is always at work makes others wait for the interpreter.
_LEARN_PAUSE = 0.002
_T = TypeVar("_T")


class BellEngine(Engine):
    """One cache over one SQLite database; StoreError, PolicyError when it can't start."""

    def __init__(self, database: Path, **parts: Unpack[EngineParts]) -> None:
        super().__init__(**parts)
        self._database = database
        self.incarnation = int.from_bytes(self._entropy(8), "big") | 1
        self._broken = False
        self._in_vain = 0
        self._learning: threading.Thread | None = None
        self._stopping = threading.Event()
        with ExitStack() as undo:
            self._reader = connect(database, durable=True, read_only=True)
            undo.callback(self._reader.close)
            # Idle and in autocommit: a half-read cursor would hide other writers' commits.
            self._watcher = connect(database, durable=True, read_only=True)
            undo.callback(self._watcher.close)
            check_schema(self._reader, SCHEMA_HEAD)
            self._bell = Bell.beside(database)
            self._words = self._bell.words
            undo.callback(self._bell.close)
            self._begin()
            self._slot = self._bell.join(self.incarnation, self.position)
            undo.pop_all()

    def _reopen(self) -> None:
        """Start over after the store failed: new connections, an empty memory."""
        self._reader.close()
        self._watcher.close()
        self._reader = connect(self._database, durable=True, read_only=True)
        self._watcher = connect(self._database, durable=True, read_only=True)
        self._begin()
        self._broken = False
        self._bell.acknowledge(self._slot, self.position)

    def _begin(self) -> None:
        self._seen = self._bell.rings()
        self._version = self._data_version()
        self._polled = self._ticks()
        position, self._epoch = read_head(self._reader)
        self._cache = Cache(position)
        self.history += 1
        self._policy_due = True
        self._renew_policy()

    def _believed(self) -> Cache | None:
        if (
            self._words[RINGS] != self._seen
            or self._ticks() - self._polled >= POLL_SECONDS
            or self._broken
        ):
            self._follow_if_rung()
        return self._cache

    def _read(self, keys: tuple[Key, ...], cache: Cache) -> Records | Fetch:
        snapshot = read_records(self._reader, keys)
        cache.insert(snapshot.number, snapshot.records.items())
        for noun, record_id in keys:
            if noun is Noun.CREDENTIAL and snapshot.records[noun, record_id] is None:
                self._in_vain += 1
                if self._in_vain >= LEARN_AFTER:
                    self.learn()
        return snapshot.records

    def _fetch(self, need: Fetch) -> Future[Given]:
        raise NotImplementedError  # every record is at hand

    def _broke(self) -> None:
        self._broken = True

    def follow(self) -> None:
        """Catch up with the journal if the bell has rung; for idle times and acknowledgements."""
        with self._lock:
            try:
                self._follow_if_rung()
            except Exception:  # noqa: BLE001 - the next decision meets the same fault, and refuses
                self._broken = True
                self._tell("the journal could not be followed")

    def _follow_if_rung(self) -> None:
        if self._broken:
            self._reopen()
        if self._bell.rings() != self._seen or self._ticks() - self._polled >= POLL_SECONDS:
            self._follow()

    def _follow(self) -> None:
        """Read the bell before the journal, so that every ring seen is in the rows read.

        The database's own version is looked at too: it catches a writer that died after its
        commit and before its ring.
        """
        self._polled = self._ticks()
        rings, version = self._bell.rings(), self._data_version()
        if rings == self._seen and version == self._version:
            return
        while True:
            changes = read_changes(self._reader, self._cache.position, epoch=self._epoch)
            if changes is None:
                # A backup was restored: what is remembered is of a history that never was (rule 2).
                self._broken = True  # until all was read anew: what fails half-way is refused
                self._begin()
                self._broken = False
                self._bell.acknowledge(self._slot, self.position)
                return
            self._policy_due = self._cache.advance(changes) or self._policy_due
            if len(changes) < PAGE:
                break
        self._renew_policy()
        self._seen, self._version = rings, version
        self._bell.acknowledge(self._slot, self._cache.position)

    def _renew_policy(self) -> None:
        """Load the newest policy when it changed; stays due, and refuses, until that succeeded."""
        if self._policy_due:
            version, files = read_policy_files(self._reader)
            self.policy = self._compile(files, version)
            self._policy_due = False

    def _data_version(self) -> int:
        with faults():
            version: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        return version

    # --- which ids there are

    def learn(self) -> None:
        """Begin to read which credentials there are, so that unknown ids cost no read any more.

        Called under the lock; does nothing while it is under way, or done.
        """
        self._in_vain = 0
        if self._cache.known is None and self._learning is None:
            self._cache.begin_to_know()
            self._learning = threading.Thread(
                target=self._learn, args=(self._cache,), name="latchgate-ids", daemon=True
            )
            self._learning.start()

    def _learn(self, cache: Cache) -> None:
        """Read all ids, and add those that changed meanwhile: from then on memory follows them.

        Each page is read at a number of its own, at or past the one where noting them began: what
        a page lacks was not there then, or was deleted since, or is noted.
        """
        known = None
        try:
            known = self._ids(cache)
            with self._lock:
                late = cache.noted()
            if known is not None:
                known.add_all(late)
        except Exception:  # noqa: BLE001 - unknown ids are read, as they were
            self._tell("the ids of all credentials could not be read")
            known = None
        with self._lock:
            cache.end_to_know(known)
            self._learning = None

    def _ids(self, cache: Cache) -> Known | None:
        """Return all credentials' ids; None when memory is another by now, or this ends."""
        count, after = 0, ""
        while True:
            told = self._between(cache, partial(count_ids, after=after))
            if told is None:
                return None
            count += told[0]
            if told[1] is None:
                break
            after = told[1]
        known, after = Known(count), ""
        while True:
            ids = self._between(cache, partial(read_ids, after=after))
            if not ids:
                return known if ids is not None else None
            known.add_all(ids)
            after = ids[-1]

    def _between(self, cache: Cache, ask: Callable[[Connection], _T]) -> _T | None:
        """Have something read between two decisions, so that none waits for more than a page."""
        self._stopping.wait(_LEARN_PAUSE)
        with self._lock:
            if self._cache is not cache or self._stopping.is_set():
                return None
            return ask(self._reader)

    def trust_left(self, since: float) -> float:  # noqa: ARG002 - whatever was heard is exact
        """Return infinity: every decision looks at the bell."""
        return math.inf

    def head(self) -> int:
        """Return the journal's head as the file of the database has it now.

        StoreError when it can't be read. On a connection of its own: one that was open before
        answers from pages that it remembers, and goes on when the file was overwritten or is gone.
        """
        connection = connect(self._database, durable=True, read_only=True)
        try:
            return read_head(connection)[0]
        finally:
            connection.close()

    def ready(self) -> str | None:
        """Return why requests can't be decided now; None when they can."""
        try:
            self.head()
        except StoreError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Leave the bell and close the connections."""
        self._stopping.set()
        learning = self._learning
        if learning is not None:
            learning.join()
        with self._lock:
            self._bell.leave(self._slot, self.incarnation)
            self._reader.close()
            self._watcher.close()
            self._bell.close()
