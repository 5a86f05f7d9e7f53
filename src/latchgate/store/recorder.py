"""Refusals, use and last use: batched into a database of their own, off the verify path.

Rule of this file: losing up to one batch on a crash is accepted, slowing or failing a decision is
not. Memory is bounded; what does not fit is counted and dropped. On the verify path one entry of
one table is counted; everything else is derived from it here, in a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from latchgate.core.explain import record
from latchgate.core.model import Decision, Request
from latchgate.core.reason import Reason
from latchgate.store.access_log import AccessLog
from latchgate.store.batch import AGENT_READ, MINUTE, Batch, Count, Counts, Key
from latchgate.store.errors import StoreError
from latchgate.store.reads import SCHEMA_HEAD, check_schema
from latchgate.store.sqlite import Connection, connect, faults

BATCH_SECONDS = 0.2
KEEP_SECONDS = 7 * 86_400
KEEP_PER_RING = 100_000
TRIM_SECONDS = 60.0
COUNTED_SECONDS = 0.4
MAX_PENDING = 400
# Of keys between two batches: beyond the first number addresses and agents are counted together.
MAX_SOURCES = 40_000
MAX_KEYS = 50_000
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

_REFUSAL = (
    "INSERT INTO refusal (id, at, ring, credential_id, reason, decision)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_TOO_OLD = "DELETE FROM refusal WHERE at < ?"
_RINGS = "SELECT ring FROM refusal GROUP BY ring HAVING COUNT(*) > ?"
_OVER = (
    "DELETE FROM refusal WHERE ring = ? AND id NOT IN"
    " (SELECT id FROM refusal WHERE ring = ? ORDER BY at DESC, id DESC LIMIT ?)"
)


class Usage:
    """The recorder of one process: noted on the verify path, written by a thread of its own.

    `redact` masks secrets in what a request said of itself. `ticks` never jumps. `access_log` is
    written by the same thread, and `on_decision` is what every decision is to be told to.
    """

    def __init__(
        self,
        database: Path,
        *,
        redact: Callable[[str], str],
        ticks: Callable[[], float],
        clock: Callable[[], float],
        keep_per_ring: int = KEEP_PER_RING,
        access_log: AccessLog | None = None,
    ) -> None:
        self._access_log = access_log
        self.on_decision = self.note if access_log is None else _both(access_log.note, self.note)
        self._redact = redact
        self._ticks = ticks
        self._clock = clock
        self._keep_per_ring = keep_per_ring
        self._connection = connect(database, durable=False)
        try:
            check_schema(self._connection, SCHEMA_HEAD)
            self._batch = Batch(self._connection, redact)
        except BaseException:
            self._connection.close()
            raise
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._pending: list[tuple[Decision, Request, float]] = []
        self._minutes: dict[int, Counts] = {}
        self._counts: Counts = {}
        self._begins = self._ends = 0.0  # of the minute that `_counts` is of
        self._held = 0
        self.dropped = self.uncounted = 0  # refusals that were not kept, decisions not counted
        self._told = {"refusal": 0, "count": 0, "line": 0}  # of them, what the database knows
        self._trimmed = self._counted = ticks()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="usage", daemon=True)

    def start(self) -> None:
        """Begin writing batches."""
        self._thread.start()

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Count a decision, and keep it whole when it is a refusal."""
        area, rule, reason = decision.area, decision.rule, decision.reason
        credential, grant = decision.credential, decision.grant
        path = area.path if area is not None else ""
        scope, price = "", None
        if rule is not None and rule.scope is not None:
            scope, price = rule.scope, rule.price
        by = application = ""
        key: Key
        if credential is None:
            # Of those who proved nothing only the sum is kept, so that a flood of them is small.
            key = ("", "", path, scope, reason, None, "", "", "", None)
        else:
            if grant is not None and grant.application is not None:
                by, application = grant.application_key_id, grant.application.id
            key = (
                credential.source_id if credential.minted else credential.id,
                by,
                path,
                scope,
                reason,
                request.client,
                request.headers.get("user-agent", "")[: AGENT_READ + 1],
                credential.tenant_id,
                credential.project_id,
                price if reason is Reason.ALLOWED else None,
            )
        with self._lock:
            if not self._begins <= now < self._ends:
                self._turn(now)
            count = self._counts.get(key)
            if count is not None:
                count.times += 1
                count.last = now
            else:
                self._count_first(key, now, application)
            if reason is not Reason.ALLOWED:
                if len(self._pending) < MAX_PENDING:
                    self._pending.append((decision, request, now))
                else:
                    self.dropped += 1

    def _turn(self, now: float) -> None:
        """Count in another minute from now on: a batch may hold the end of one and the next."""
        minute = int(now // MINUTE)
        self._counts = self._minutes.setdefault(minute, {})
        self._begins, self._ends = float(minute * MINUTE), float(minute * MINUTE + MINUTE)

    def _count_first(self, key: Key, now: float, application: str) -> None:
        """Begin a count; where there are too many, of the credential wherever it was used."""
        if self._held >= MAX_SOURCES:
            key = (*key[:5], None, "", *key[7:])
            count = self._counts.get(key)
            if count is not None:
                count.times += 1
                count.last = now
                return
        if self._held >= MAX_KEYS:
            self.uncounted += 1
            return
        self._held += 1
        self._counts[key] = Count(now, application)

    def flush(self, *, everything: bool = True) -> None:
        """Write what was noted; StoreError when the refusals of a batch were lost.

        Counters wait for their time unless `everything` is asked for: written less often, they
        add up to fewer rows. Those that could not be written wait for the next batch.
        """
        with self._flushing:
            if self._access_log is not None:
                self._access_log.flush()
            minutes: dict[int, Counts] = {}
            with self._lock:
                pending, self._pending = self._pending, []
                if everything or self._ticks() - self._counted >= COUNTED_SECONDS:
                    self._counted = self._ticks()
                    minutes, self._minutes = self._minutes, {}
                    self._counts, self._begins, self._ends = {}, 0.0, 0.0
                    self._held = 0
                lost = {"refusal": self.dropped, "count": self.uncounted, "line": self._unlisted}
            dropped = {what: number - self._told[what] for what, number in lost.items()}
            if pending or minutes or any(dropped.values()):
                self._write(pending, minutes, dropped)
            if self._ticks() - self._trimmed >= TRIM_SECONDS:
                self._trimmed = self._ticks()
                self._batch.forget()
                self.trim()

    @property
    def _unlisted(self) -> int:
        return self._access_log.dropped if self._access_log is not None else 0

    def _row(self, noted: tuple[Decision, Request, float]) -> tuple[Any, ...] | None:
        decision, request, now = noted
        kept = record(decision, request, now, self._redact)
        try:
            written = _encode(kept).decode()
        except UnicodeEncodeError:  # an application handed in a lone surrogate
            self.dropped += 1
            return None
        ring, credential_id = kept["tenant"] or "", kept["credential"]
        return (decision.id, now, ring, credential_id, str(decision.reason), written)

    def _write(
        self,
        pending: list[tuple[Decision, Request, float]],
        minutes: dict[int, Counts],
        dropped: dict[str, int],
    ) -> None:
        refusals = [row for row in map(self._row, pending) if row is not None]
        try:
            with faults(), transaction(self._connection) as connection:
                connection.executemany(_REFUSAL, refusals)
                self._batch.write(minutes, dropped)
        except StoreError:
            with self._lock:
                self._take_back(minutes)
                self.dropped += len(refusals)
            raise
        for what, number in dropped.items():
            self._told[what] += number

    def _take_back(self, minutes: dict[int, Counts]) -> None:
        """Count what could not be written with what comes next."""
        for minute, counts in minutes.items():
            into = self._minutes.setdefault(minute, {})
            for key, count in counts.items():
                found = into.get(key)
                if found is not None:
                    found.times += count.times
                    found.first = count.first
                elif self._held < MAX_KEYS:
                    self._held += 1
                    into[key] = count
                else:
                    self.uncounted += count.times

    def trim(self) -> None:
        """Drop refusals past their age, and the oldest of a ring that is over its number."""
        with faults(), transaction(self._connection) as connection:
            connection.execute(_TOO_OLD, (self._clock() - KEEP_SECONDS,))
            for (ring,) in connection.execute(_RINGS, (self._keep_per_ring,)).fetchall():
                connection.execute(_OVER, (ring, ring, self._keep_per_ring))

    def _write_on(self) -> None:
        while not self._stop.wait(BATCH_SECONDS):
            try:
                self.flush(everything=False)
            except StoreError:
                _log.exception("a batch of usage was lost")
            except Exception:  # noqa: BLE001 - the recorder goes on
                _log.exception("a batch of usage could not be worded")

    def pause(self) -> None:
        """Wait until no thread is inside the database, and keep them out until `resume`."""
        self._flushing.acquire()

    def resume(self) -> None:
        """Let threads in again."""
        self._flushing.release()

    def close(self) -> None:
        """Write what is left and stop; StoreError when that fails."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self.flush()
        finally:
            self._connection.close()
            self.let_go()

    def let_go(self) -> None:
        """Close the file of the access log, which a forked child has too."""
        if self._access_log is not None:
            self._access_log.close()


_Note = Callable[[Decision, Request, float], None]


def _both(first: _Note, second: _Note) -> _Note:
    def note(decision: Decision, request: Request, now: float) -> None:
        first(decision, request, now)
        second(decision, request, now)

    return note


@contextmanager
def transaction(connection: Connection) -> Iterator[Connection]:
    """Hold a write transaction: all of it is written, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
