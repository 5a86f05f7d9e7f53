"""How decisions compared with those of old systems: counted by hour, differences kept whole.

Rule of this file: as for usage, losing a batch on a crash is accepted, slowing or failing a
decision is not. Memory and rows are bounded; a process without shadows opens nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from latchgate.core.explain import record
from latchgate.core.location import Location
from latchgate.core.model import Decision, Request
from latchgate.core.shadow import Outcome
from latchgate.store.errors import StoreError
from latchgate.store.usage_database import UsageDatabase, removed, usage_database

BATCH_SECONDS = 0.5
TRIM_SECONDS = 60.0
KEEP_SECONDS = 30 * 86_400
KEEP = 100_000
MAX_PENDING = 2_000
MAX_COUNTERS = 5_000
HOUR = 3_600
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

_COLUMNS = (
    "at", "area", "outcome", "reason", "decision_id", "status",
    "credential_id", "method", "host", "path", "address",
)  # fmt: skip
_DIFFERENCE = (
    f"INSERT INTO shadow_difference ({', '.join(_COLUMNS)})"  # noqa: S608 - columns of ours
    f" VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_COUNT = (
    "INSERT INTO shadow_count (area, outcome, reason, hour, count) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (area, outcome, reason, hour)"
    " DO UPDATE SET count = shadow_count.count + excluded.count"
)
_TOO_OLD = "DELETE FROM shadow_difference WHERE at < ?"
_TOO_OLD_COUNT = "DELETE FROM shadow_count WHERE hour < ?"
_TOO_MANY = (
    "DELETE FROM shadow_difference WHERE id <="
    " (SELECT id FROM shadow_difference ORDER BY id DESC LIMIT 1 OFFSET ?)"
)
_TOTALS = (
    "SELECT area, outcome, reason, CAST(SUM(count) AS BIGINT), MIN(hour) FROM shadow_count"
    " WHERE hour >= ? GROUP BY area, outcome, reason ORDER BY area, outcome, reason"
)
_LAST = (
    f"SELECT {', '.join(_COLUMNS)} FROM shadow_difference"  # noqa: S608 - columns of ours
    " WHERE area = ? AND at >= ? ORDER BY id DESC LIMIT ?"
)

_Counted = tuple[str, str, str, int]


class ShadowLog:
    """The recorder of one process; its thread and connection begin with the first comparison.

    `redact` masks secrets in what a request said of itself. `ticks` never jumps.
    """

    def __init__(
        self,
        database: Location,
        *,
        redact: Callable[[str], str],
        ticks: Callable[[], float],
        clock: Callable[[], float],
        keep: int = KEEP,
    ) -> None:
        self._at = database
        self._redact = redact
        self._ticks = ticks
        self._clock = clock
        self._keep = keep
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._database: UsageDatabase | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._pending: list[tuple[Outcome, Decision, Request, int | None, float]] = []
        self._counters: dict[_Counted, int] = {}
        self._trimmed = ticks()
        self.dropped = 0

    def note(
        self,
        outcome: Outcome,
        decision: Decision,
        request: Request,
        status: int | None,
        now: float,
    ) -> None:
        """Count a comparison, and keep it whole where the two differ."""
        area = decision.area.name if decision.area is not None else ""
        key = (area, str(outcome), str(decision.reason), int(now) // HOUR)
        with self._lock:
            if key in self._counters or len(self._counters) < MAX_COUNTERS:
                self._counters[key] = self._counters.get(key, 0) + 1
            else:
                self.dropped += 1
            if outcome is not Outcome.SAME:
                if len(self._pending) < MAX_PENDING:
                    self._pending.append((outcome, decision, request, status, now))
                else:
                    self.dropped += 1
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._write_on, name="shadows", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write what was noted; StoreError when the batch was lost."""
        with self._flushing:
            with self._lock:
                pending, self._pending = self._pending, []
                counters, self._counters = self._counters, {}
            if pending or counters:
                self._write([self._row(*one) for one in pending], counters)
            if self._database is not None and self._ticks() - self._trimmed >= TRIM_SECONDS:
                self._trimmed = self._ticks()
                self._trim(self._database)

    def _row(
        self, outcome: Outcome, decision: Decision, request: Request, status: int | None, at: float
    ) -> tuple[Any, ...]:
        kept = record(decision, request, at, self._redact)
        area = decision.area.name if decision.area is not None else ""
        row = (
            at, area, str(outcome), kept["reason"], decision.id or None, status,
            kept["credential"], kept["method"], kept["host"], kept["path"], kept["client"],
        )  # fmt: skip
        return tuple(
            one.encode("utf-8", "replace").decode().replace("\0", "?")
            if isinstance(one, str)
            else one
            for one in row
        )

    def _write(self, rows: list[tuple[Any, ...]], counters: dict[_Counted, int]) -> None:
        if self._database is None:
            self._database = usage_database(self._at)
        database = self._database

        def work() -> None:
            database.execute_many(_DIFFERENCE, rows)
            # In one order, whoever counts: else two could wait for each other.
            database.execute_many(
                _COUNT, [(*key, count) for key, count in sorted(counters.items())]
            )

        database.transact(work)

    def _trim(self, database: UsageDatabase) -> None:
        """Drop what is past its age, and the oldest of too many."""
        since = self._clock() - KEEP_SECONDS
        removed(database, _TOO_OLD, (since,))
        removed(database, _TOO_OLD_COUNT, (int(since) // HOUR,))
        removed(database, _TOO_MANY, (self._keep,))

    def _write_on(self) -> None:
        while not self._stop.wait(BATCH_SECONDS):
            try:
                self.flush()
            except StoreError:
                _log.exception("a batch of shadow comparisons was lost")
            except Exception:  # noqa: BLE001 - the recorder goes on
                _log.exception("a batch of shadow comparisons could not be worded")

    def pause(self) -> None:
        """Wait until no thread is inside the database, and keep them out until `resume`."""
        self._flushing.acquire()

    def resume(self) -> None:
        """Let threads in again."""
        self._flushing.release()

    def close(self) -> None:
        """Write what is left and stop; StoreError when that fails."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        try:
            self.flush()
        finally:
            if self._database is not None:
                self._database.close()


@dataclass(frozen=True, slots=True)
class Difference:
    """One request that the two decided differently; `status` None where the old one was silent."""

    at: float
    area: str
    outcome: str
    reason: str
    decision_id: str | None
    status: int | None
    credential_id: str | None
    method: str
    host: str
    path: str
    address: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How often an area's decisions came to one outcome, for one reason of ours."""

    area: str
    outcome: Outcome
    reason: str
    count: int
    since: float


class ShadowReader:
    """What was compared, by any process."""

    def __init__(self, database: Location) -> None:
        self._database = usage_database(database, read_only=True)
        self._lock = threading.Lock()

    def comparisons(self, since: float) -> list[Comparison]:
        """Return the counts of every area from the hour of `since` on."""
        with self._lock:
            rows = self._database.rows(_TOTALS, (int(since) // HOUR,))
        return [
            Comparison(area, Outcome(outcome), reason, count, float(hour * HOUR))
            for area, outcome, reason, count, hour in rows
        ]

    def last(
        self, areas: Iterable[str], *, since: float, limit: int
    ) -> dict[str, list[Difference]]:
        """Return the newest differences of each area, newest first."""
        with self._lock:
            return {
                area: [Difference(*row) for row in self._database.rows(_LAST, (area, since, limit))]
                for area in areas
            }

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._database.close()
