"""An engine whose records are elsewhere: what it remembers is believed under a lease.

Rule of this file: ARCHITECTURE §6, rules 2 to 8. A heartbeat raises the position, evicts, trusts
and only then, with the next one, acknowledges; nothing else renews trust. Nobody waits for the
network while holding the lock.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Unpack

from latchgate.core.model import Key, Noun
from latchgate.core.policy import Policy
from latchgate.store.errors import StoreError
from latchgate.store.source import Beat, Source
from latchgate.verify.cache import Cache
from latchgate.verify.engine import Engine, EngineParts
from latchgate.verify.given import Aside, Given
from latchgate.verify.walk import Fetch, Records

READS = 4  # at once; more wait
MAX_WAITING = 1_000  # reads beyond them fail at once
BEATS_A_LEASE = 4
_PAUSE, _LONGEST_PAUSE = 0.1, 0.5  # seconds between heartbeats that failed
_log = logging.getLogger(__name__)
_FAILED = Given(failed=True)


# Seconds that go on while this process, or the machine, is suspended; no call of Python's own, as
# each decision reads it.
boot_clock: Callable[[], float] = functools.partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Where records are, and for how many `seconds` memory is believed after a heartbeat began.

    `stale`, longer than that, is for how long while the source can't be reached; None: not at all.
    `boot` is a clock that goes on while the process is suspended.
    """

    source: Source
    seconds: float
    stale: float | None = None
    boot: Callable[[], float] = boot_clock


class LeaseEngine(Engine):
    """One cache over a `Source`; StoreError, PolicyError when it can't start."""

    waits = True

    def __init__(self, lease: Lease, **parts: Unpack[EngineParts]) -> None:
        super().__init__(**parts)
        self._source = source = lease.source
        self._lease = lease.seconds
        self._stale = lease.stale if lease.stale is not None else lease.seconds
        self._boot = lease.boot
        self._until = self._stale_until = self._renewed = 0.0
        self._unreachable = False
        self._policy_due = False
        self._unsettled = False  # whether what was decided before it followed may not have left
        self._compiled: Policy | None = None
        self._waiting = 0
        self._stopping = threading.Event()
        self._reads = ThreadPoolExecutor(READS, thread_name_prefix="latchgate-read")
        self._thread = threading.Thread(target=self._keep_up, name="latchgate-beat", daemon=True)
        with ExitStack() as undo:
            undo.callback(source.close)
            undo.callback(self._reads.shutdown)
            self._begin()
            while not self._until:
                self.beat()
            self._thread.start()
            undo.pop_all()

    # --- what a decision asks

    def _believed(self) -> Cache | None:
        # A clock that is read after the request arrived (rule 7).
        now = self._boot()
        if now < self._until:
            return self._cache
        if self._unreachable:
            if now < self._stale_until:
                return self._cache
            msg = "the database can't be reached, and what is remembered is too old to be believed"
            raise StoreError(msg)
        return None

    def _read(self, keys: tuple[Key, ...], cache: Cache) -> Records | Fetch:
        return Fetch(keys, cache if cache is self._cache else None)

    def _broke(self) -> None:
        """Change nothing: memory is as right as it was, and heartbeats find out about the store."""

    def _fetch(self, need: Fetch) -> Future[Given]:
        with self._lock:
            if self._waiting >= MAX_WAITING:
                refused: Future[Given] = Future()
                refused.set_result(_FAILED)
                return refused
            self._waiting += 1
        try:
            work = self._reads.submit(self._fetched, need)
        except RuntimeError:  # closed meanwhile
            work = Future()
            work.set_result(_FAILED)
        work.add_done_callback(self._one_less)
        return work

    def _one_less(self, _: Future[Given]) -> None:
        with self._lock:
            self._waiting -= 1

    def _fetched(self, need: Fetch) -> Given:
        try:
            if need.cache is None:
                return self._read_aside(need.keys)
            snapshot = self._source.read(need.keys)
            with self._lock:
                # Into the memory it was read for: one that was begun since has another history.
                # Numbers of another timeline say nothing beside those of this one: read again.
                if snapshot.timeline == self._timeline:
                    need.cache.insert(snapshot.number, snapshot.records.items())
        except Exception as error:  # noqa: BLE001 - whoever waits is refused
            self._tell_of("a record could not be read", error)
            return _FAILED
        return Given()

    def _read_aside(self, keys: tuple[Key, ...]) -> Given:
        """Read for one request alone, begun after it arrived, with proof of the true primary."""
        with self._lock:
            moment = self.history, self._cache.position
        try:
            through = self._source.read_through(f"{self.incarnation:016x}", keys)
            policy = self.policy
            if policy.version != through.policy_version:
                policy = self._policy_of(through.policy_version)
        except StoreError:
            # Others need not wait for the same; a heartbeat that gets through ends it.
            self._unreachable = True
            raise
        cache = Cache(through.snapshot.number)
        cache.insert(through.snapshot.number, through.snapshot.records.items())
        return Given(aside=Aside(keys, cache, policy, moment))

    def _policy_of(self, version: int) -> Policy:
        """Return a policy at least as new as a version, compiled once."""
        known = self._compiled
        if known is None or known.version < version:
            published = self._source.policy()
            if published.version < version:
                msg = "the policy was read of a database that is behind"
                raise StoreError(msg)
            known = self._compiled = self._compile(published.files, published.version)
        return known

    # --- what keeps it right

    def _begin(self) -> None:
        """Start over with an empty memory under a new name (rule 2); it gives no trust."""
        self.incarnation = int.from_bytes(self._entropy(8), "big") | 1
        place, published, timeline = self._source.register(f"{self.incarnation:016x}")
        policy = self._compile(published.files, published.version)
        with self._lock:
            self._until = self._stale_until = 0.0
            self._cache = Cache(place.position)
            self.history += 1
            self._place, self._timeline = place, timeline
            self.policy = self._compiled = policy
            self._policy_due = False

    def beat(self) -> bool:
        """Follow the journal with one heartbeat; True where another is due at once.

        StoreError when the source can't be reached, PolicyError when a new policy can't be read:
        then nothing is believed for longer than it was.
        """
        if self._unsettled:
            self.settle()
            self._unsettled = False
        began = self._boot()
        told = self._source.beat(f"{self.incarnation:016x}", self._place)
        if told is None:
            self._start_over()
            return True
        self._policy_due = self._policy_due or any(key[0] is Noun.POLICY for _, key in told.changes)
        policy = None
        if self._policy_due:
            published = self._source.policy()
            if published.position < told.place.position or published.timeline != told.timeline:
                msg = "the policy was read of a database that is behind, or is another"
                raise StoreError(msg)
            policy = self._compiled = self._compile(published.files, published.version)
        self._follow_to(told, policy, began)
        self._unsettled = bool(told.changes)
        return bool(told.changes) or not told.reached

    def _follow_to(self, told: Beat, policy: Policy | None, began: float) -> None:
        with self._lock:
            if told.timeline != self._timeline:
                self._timeline = told.timeline
                self.history += 1
                if self._cache.newest > self._cache.position:
                    # What was read ahead of the journal may never have been, on this timeline.
                    self._cache = Cache(self._cache.position)
            self._cache.advance(told.changes)
            self._place = told.place
            if policy is not None:
                self.policy, self._policy_due = policy, False
            if told.reached:
                from_then = began - told.age
                self._renewed = max(self._renewed, began)
                self._until = max(self._until, from_then + self._lease)
                self._stale_until = max(self._stale_until, from_then + self._stale)
                self._unreachable = False

    def _start_over(self) -> None:
        """Forget everything: the own row is not live any more, or the history is another."""
        _log.warning("all is forgotten: this verifier was expelled, or the history is another")
        with self._lock:
            self._until = self._stale_until = 0.0
        self.settle()  # nobody is waited for whose row is gone
        before = f"{self.incarnation:016x}"
        self._begin()
        self._source.leave(before)

    def _keep_up(self) -> None:
        pause = _PAUSE
        while not self._stopping.is_set():
            try:
                if not self.beat():
                    self._source.wait(self._lease / BEATS_A_LEASE, self._place)
            except Exception as error:  # noqa: BLE001 - it is tried again, and trust ends by itself
                # Matters once trust has ended; until then memory is believed all the same.
                self._unreachable = True
                self._tell_of("the journal could not be followed", error)
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _PAUSE

    def _tell_of(self, what: str, error: Exception) -> None:
        """Log a fault, once a second at most."""
        if self._ticks() - self._told >= 1.0:
            self._told = self._ticks()
            _log.error("%s: %s", what, error, exc_info=not isinstance(error, StoreError))

    def follow(self) -> None:
        """Do nothing: a thread of its own follows."""

    def trust_left(self, since: float) -> float:
        """Return for how long memory may be believed if nothing is heard (seconds).

        0 where no heartbeat that began after `since` has renewed it.
        """
        with self._lock:
            if self._renewed < since:
                return 0.0
            until = self._stale_until if self._unreachable else self._until
            return max(0.0, until - self._boot())

    def head(self) -> int:
        """Return the journal's head; StoreError when the source can't be reached."""
        return self._source.head()

    def ready(self) -> str | None:
        """Return why requests can't be decided now; None when they can."""
        with self._lock:
            try:
                believed = self._believed()
            except StoreError as error:
                return str(error)
        return None if believed is not None else "the journal is not being followed in time"

    def close(self) -> None:
        """Stop following, forget, and give the own row back."""
        self._stopping.set()
        self._source.interrupt()
        self._thread.join()
        with self._lock:
            self._until = self._stale_until = 0.0
            self._unreachable = True
        self._reads.shutdown(cancel_futures=True)
        try:
            self._source.leave(f"{self.incarnation:016x}")
        except StoreError as error:
            _log.warning("the row of this verifier stays until it is removed: %s", error)
        self._source.close()
