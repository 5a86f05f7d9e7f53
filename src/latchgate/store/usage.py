"""Refusals, use and last use: batched into a database of their own, off the verify path.

Rule of this file: losing up to one batch on a crash is accepted, slowing or failing a decision is
not. Memory is bounded; what does not fit is counted and dropped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from latchgate.core.explain import record
from latchgate.core.model import Decision, Request
from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.store.errors import StoreError
from latchgate.store.reads import SCHEMA_HEAD, check_schema
from latchgate.store.sqlite import Connection, connect, faults

BATCH_SECONDS = 0.2
KEEP_SECONDS = 7 * 86_400
KEEP_PER_RING = 100_000
TRIM_SECONDS = 60.0
COUNTED_SECONDS = 1.0
MAX_PENDING = 400
MAX_COUNTERS = 50_000
HOUR = 3_600
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_REFUSAL = (
    "INSERT INTO refusal (id, at, ring, credential_id, reason, decision)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
# Whole batches go in as one JSON value: one statement, run without Python's lock, instead of
# thousands that hold it between rows.
_USE = (
    "INSERT INTO credential_use (credential_id, reason, scope, hour, count)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
    " FROM json_each(?) WHERE TRUE ON CONFLICT (credential_id, reason, scope, hour)"
    " DO UPDATE SET count = credential_use.count + excluded.count"
)
_LAST = (
    "INSERT INTO last_use (credential_id, at, address)"
    " SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE TRUE"
    " ON CONFLICT (credential_id) DO UPDATE SET at = excluded.at, address = excluded.address"
    " WHERE excluded.at >= last_use.at"
)
_TOO_OLD = "DELETE FROM refusal WHERE at < ?"
_RINGS = "SELECT ring FROM refusal GROUP BY ring HAVING COUNT(*) > ?"
_OVER = (
    "DELETE FROM refusal WHERE ring = ? AND id NOT IN"
    " (SELECT id FROM refusal WHERE ring = ? ORDER BY at DESC, id DESC LIMIT ?)"
)
_FIND = "SELECT ring, decision FROM refusal WHERE id = ?"
_LAST_OF = "SELECT at, address FROM last_use WHERE credential_id = ?"

UseKey = tuple[str, str, str, int]


class Usage:
    """The recorder of one process: noted on the verify path, written by a thread of its own.

    `redact` masks secrets in what a request said of itself. `ticks` never jumps.
    """

    def __init__(
        self,
        database: Path,
        *,
        redact: Callable[[str], str],
        ticks: Callable[[], float],
        clock: Callable[[], float],
        keep_per_ring: int = KEEP_PER_RING,
    ) -> None:
        self._redact = redact
        self._ticks = ticks
        self._clock = clock
        self._keep_per_ring = keep_per_ring
        self._connection = connect(database, durable=False)
        try:
            check_schema(self._connection, SCHEMA_HEAD)
        except BaseException:
            self._connection.close()
            raise
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._pending: list[tuple[Decision, Request, float]] = []
        self._counters: dict[UseKey, int] = {}
        self._last: dict[str, tuple[float, Address | None]] = {}
        self.dropped = 0
        self._trimmed = self._counted = ticks()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="usage", daemon=True)

    def start(self) -> None:
        """Begin writing batches."""
        self._thread.start()

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Count a decision, and keep it whole when it is a refusal.

        It counts for its credential, and for the application that it was made with.
        """
        credential, grant = decision.credential, decision.grant
        refused = decision.reason is not Reason.ALLOWED
        with self._lock:
            if credential is not None:
                self._count(credential.source_id, decision, now)
                if not refused:
                    self._last[credential.source_id] = (now, request.client)
            if grant is not None and grant.application is not None:
                self._count(grant.application.id, decision, now)
                self._last[grant.application.id] = (now, request.client)
            if refused:
                if len(self._pending) < MAX_PENDING:
                    self._pending.append((decision, request, now))
                else:
                    self.dropped += 1

    def _count(self, counted: str, decision: Decision, now: float) -> None:
        rule = decision.rule
        scope = (rule.scope or "") if rule is not None else ""
        key = (counted, decision.reason, scope, int(now) // HOUR)
        counters = self._counters
        if key in counters:
            counters[key] += 1
        elif len(counters) < MAX_COUNTERS:
            counters[key] = 1
        else:
            self.dropped += 1

    def flush(self, *, everything: bool = True) -> None:
        """Write what was noted; StoreError when the batch was lost.

        Counters wait for a second unless `everything` is asked for: written less often, they
        add up to fewer rows.
        """
        with self._flushing:
            with self._lock:
                pending, self._pending = self._pending, []
                counters: dict[UseKey, int] = {}
                last: dict[str, tuple[float, Address | None]] = {}
                if everything or self._ticks() - self._counted >= COUNTED_SECONDS:
                    self._counted = self._ticks()
                    counters, self._counters = self._counters, counters
                    last, self._last = self._last, last
            if pending or counters or last:
                refusals = [row for row in map(self._row, pending) if row is not None]
                self._write(refusals, counters, last)
            if self._ticks() - self._trimmed >= TRIM_SECONDS:
                self._trimmed = self._ticks()
                self.trim()

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
        refusals: list[tuple[Any, ...]],
        counters: dict[UseKey, int],
        last: dict[str, tuple[float, Address | None]],
    ) -> None:
        uses = [(*key[:1], str(key[1]), *key[2:], count) for key, count in counters.items()]
        lasts = [
            (credential_id, at, str(address) if address is not None else None)
            for credential_id, (at, address) in last.items()
        ]
        with faults(), _transaction(self._connection) as connection:
            connection.executemany(_REFUSAL, refusals)
            if uses:
                connection.execute(_USE, (_encode(sorted(uses)).decode(),))
            if lasts:
                connection.execute(_LAST, (_encode(sorted(lasts)).decode(),))

    def trim(self) -> None:
        """Drop refusals past their age, and the oldest of a ring that is over its number."""
        with faults(), _transaction(self._connection) as connection:
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


@dataclass(frozen=True, slots=True)
class LastUse:
    """When a credential was last accepted, and from where."""

    at: float
    address: str | None


class UsageReader:
    """What was recorded, by any process."""

    def __init__(self, database: Path) -> None:
        self._connection = connect(database, durable=False, read_only=True)
        self._lock = threading.Lock()

    def refusal(self, decision_id: str) -> tuple[str, dict[str, Any]] | None:
        """Return a refusal's ring (tenant id, or empty) and what was kept; None if not kept."""
        with self._lock, faults():
            row = self._connection.execute(_FIND, (decision_id,)).fetchone()
        return (row[0], _decode(row[1])) if row is not None else None

    def last_uses(self, credential_ids: Iterable[str]) -> dict[str, LastUse]:
        """Return the last use of each credential that was ever accepted."""
        found: dict[str, LastUse] = {}
        with self._lock, faults():
            for credential_id in credential_ids:
                row = self._connection.execute(_LAST_OF, (credential_id,)).fetchone()
                if row is not None:
                    found[credential_id] = LastUse(at=row[0], address=row[1])
        return found

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()


@contextmanager
def _transaction(connection: Connection) -> Iterator[Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
