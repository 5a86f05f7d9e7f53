"""Refusals, use and last use: batched into a database of their own, off the verify path.

Rule of this file: losing up to one batch on a crash is accepted, slowing or failing a decision is
not. Memory is bounded; what does not fit is counted and dropped. On the verify path one entry of
one table is counted; everything else is derived from it here, in a thread of its own.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from latchgate.core.explain import record
from latchgate.core.model import Decision, Request
from latchgate.core.network import Address
from latchgate.core.reason import Reason
from latchgate.store.access_log import AccessLog
from latchgate.store.batch import AGENT_READ, MINUTE, Batch, Count, Counts, Key, place
from latchgate.store.errors import StoreError
from latchgate.store.pending import STALE_SECONDS, Pending, Told, adopt, forget_told, left
from latchgate.store.reads import SCHEMA_HEAD, check_schema
from latchgate.store.sqlite import Connection, connect, faults

BATCH_SECONDS = 0.2
KEEP_SECONDS = 7 * 86_400
KEEP_PER_RING = 100_000
TRIM_SECONDS = 60.0
# Counts are written down after the first, and into their tables after a time that grows with
# their number: what many keys cost is then shared by many requests of each.
COUNTED_SECONDS = 0.4
KEY_SECONDS = 0.005
SETTLED_SECONDS = 10.0
SETTLED_KEYS = 30_000
PIECE = 1_000  # of keys to a transaction, so that nothing else waits for the database for long
MAX_PENDING = 400
# Of keys between two times: beyond the first number addresses and agents are counted together.
MAX_SOURCES = 40_000
MAX_KEYS = 50_000
_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_Noted = tuple[Decision, Request, float]

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
        self._pending: list[_Noted] = []
        self._fresh: list[Count] = []  # those counted since they were written down
        self._turn = 0
        self._current = self._former = Pending(self._connection)
        self._settling: list[list[Count]] = []  # on the way into the tables, in pieces
        self._minutes: dict[int, Counts] = {}
        self._counts: Counts = {}
        self._begins = self._ends = 0.0  # of the minute that `_counts` is of
        self._held = 0
        self.dropped = self.uncounted = 0  # refusals that were not kept, decisions not counted
        self._told = {"refusal": 0, "count": 0, "line": 0}  # of them, what the database knows
        self._trimmed = self._counted = self._settled = ticks()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="usage", daemon=True)

    def start(self) -> None:
        """Begin writing batches."""
        self._thread.start()

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Count a decision, and keep it whole when it is a refusal."""
        credential, reason = decision.credential, decision.reason
        client, agent = None, ""
        key: Key
        if credential is None:
            # Of those who proved nothing only the sum is kept, so that a flood of them is small.
            key = (id(reason), id(decision.area), id(decision.rule))
        else:
            grant, client = decision.grant, request.client
            agent = request.headers.get("user-agent", "")[: AGENT_READ + 1]
            key = (
                id(reason),
                id(decision.area),
                id(decision.rule),
                credential.id,
                grant.application_key_id if grant is not None else "",
                id(client),
                agent,
            )
        with self._lock:
            if not self._begins <= now < self._ends:
                self._turn_to(now)
            count = self._counts.get(key)
            if count is None:
                count = self._first(key, decision, now, client, agent)
            else:
                count.times += 1
                count.last = now
            if count is not None and count.turn != self._turn:
                count.turn = self._turn
                self._fresh.append(count)
            if reason is not Reason.ALLOWED:
                if len(self._pending) < MAX_PENDING:
                    self._pending.append((decision, request, now))
                else:
                    self.dropped += 1

    def _turn_to(self, now: float) -> None:
        """Count in another minute from now on: a batch may hold the end of one and the next."""
        minute = int(now // MINUTE)
        self._counts = self._minutes.setdefault(minute, {})
        self._begins, self._ends = float(minute * MINUTE), float(minute * MINUTE + MINUTE)

    def _first(
        self, key: Key, decision: Decision, now: float, client: Address | None, agent: str
    ) -> Count | None:
        """Begin a count; where there are too many, of the credential wherever it was used."""
        if self._held >= MAX_SOURCES and decision.credential is not None:
            client, agent = None, ""
            key = (*key[:5], id(client), agent)
            count = self._counts.get(key)
            if count is not None:
                count.times += 1
                count.last = now
                return count
        if self._held >= MAX_KEYS:
            self.uncounted += 1
            return None
        self._held += 1
        count = self._counts[key] = Count(
            int(self._begins),
            decision.reason,
            decision.credential,
            decision.grant,
            decision.area,
            decision.rule,
            client,
            agent,
            now,
            now,
        )
        return count

    def flush(self, *, everything: bool = True) -> None:
        """Write what was noted; StoreError when the refusals of a batch were lost.

        Counters wait for their time unless `everything` is asked for: written less often, they
        add up to fewer rows. Those that could not be written wait for the next batch.
        """
        with self._flushing:
            if self._access_log is not None:
                self._access_log.flush()
            self._write(everything=everything)
            if everything and self._held:  # those before had waited for the database
                self._write(everything=True)
            if self._ticks() - self._trimmed >= TRIM_SECONDS:
                self._trimmed = self._ticks()
                self._batch.forget()
                self.trim()
                self.adopt(before=self._clock() - STALE_SECONDS)

    @property
    def _unlisted(self) -> int:
        return self._access_log.dropped if self._access_log is not None else 0

    def _write(self, *, everything: bool) -> None:
        noted, fresh, begun, lost = self._take(everything=everything)
        if begun:
            self._former, self._current = self._current, Pending(self._connection)
            self._settling = in_pieces(begun)
            if len(self._settling) == 1:
                fresh = []  # they need not be written down first
        dropped = {what: number - self._told[what] for what, number in lost.items()}
        refusals = [row for row in map(self._row, noted) if row is not None]
        at_once = bool(self._settling) and not fresh
        if not (refusals or fresh or at_once or any(dropped.values())):
            return
        try:
            with self._transaction():
                self._connection.executemany(_REFUSAL, refusals)
                self._batch.drop(dropped)
                told = self._tell(fresh, former=bool(begun))
                if at_once:
                    self._settle()
        except StoreError:
            with self._lock:
                self.dropped += len(refusals)
                if not begun:
                    self._look_again(fresh)
            raise
        for what, number in dropped.items():
            self._told[what] += number
        self._have_told(told, fresh)
        if at_once:
            self._settling.pop(0)
        self._settle_rest()

    def _take(
        self, *, everything: bool
    ) -> tuple[list[_Noted], list[Count], list[Count], dict[str, int]]:
        """Return refusals, the counts to write down, those to settle, and what was lost so far."""
        with self._lock:
            noted, self._pending = self._pending, []
            fresh: list[Count] = []
            begun: list[Count] = []
            ticks = self._ticks()
            if everything or ticks - self._counted >= COUNTED_SECONDS:
                self._counted = ticks
                fresh = self._turn_over()
                if self._held and not self._settling and (everything or self._full(ticks)):
                    self._settled = ticks
                    begun = self._begin_anew()
            lost = {"refusal": self.dropped, "count": self.uncounted, "line": self._unlisted}
            return noted, fresh, begun, lost

    def _settle_rest(self) -> None:
        """Write into the tables, and down in the meantime what is counted in the meantime."""
        while self._settling:
            with self._transaction():
                self._settle()
            self._settling.pop(0)
            if self._settling and self._ticks() - self._counted >= COUNTED_SECONDS:
                with self._lock:
                    self._counted = self._ticks()
                    fresh = self._turn_over()
                try:
                    with self._transaction():
                        told = self._tell(fresh, former=False)
                except StoreError:
                    with self._lock:
                        self._look_again(fresh)
                    raise
                self._have_told(told, fresh)

    def _full(self, ticks: float) -> bool:
        """Whether it is time to write into the tables."""
        waits = min(SETTLED_SECONDS, self._held * KEY_SECONDS)
        return self._held >= SETTLED_KEYS or ticks - self._settled >= waits

    def _turn_over(self) -> list[Count]:
        """Return the counts that went up since the last turn, and begin another; with the lock."""
        fresh, self._fresh = self._fresh, []
        self._turn += 1
        return fresh

    def _look_again(self, fresh: list[Count]) -> None:
        """Have counts written down in the next turn, which could not be in this; with the lock."""
        for count in fresh:
            if count.turn != self._turn:
                count.turn = self._turn
                self._fresh.append(count)

    def _begin_anew(self) -> list[Count]:
        """Return all counts, and begin to count from nothing; with the lock."""
        counts = [count for minute in self._minutes.values() for count in minute.values()]
        self._minutes, self._counts, self._begins, self._ends = {}, {}, 0.0, 0.0
        self._held = 0
        return counts

    def _tell(self, fresh: list[Count], *, former: bool) -> Told:
        """Write counts down, inside a transaction; return how often more they are then told."""
        if former:
            self._look_after_former()
        elif self._current.taken():
            self._current = Pending(self._connection)
            with self._lock:
                for counts in self._minutes.values():
                    forget_told(counts.values())
        pending = self._former if former else self._current
        return pending.append(fresh, self._batch, self._clock())

    def _have_told(self, told: Told, fresh: list[Count]) -> None:
        for count, row in zip(fresh, told, strict=True):
            count.told += row[1]

    def _look_after_former(self) -> None:
        if self._former.taken():
            self._former = Pending(self._connection)
            for piece in self._settling:
                forget_told(piece)

    def _settle(self) -> None:
        """Write the next piece into the tables, inside a transaction."""
        self._look_after_former()
        piece = self._settling[0]
        describe = self._batch.describe
        self._batch.add(
            [(*(one.row or describe(one)), one.times, one.last) for one in piece if one.times]
        )
        if len(self._settling) == 1:
            self._former.clear()
            self._batch.begin()
        else:
            self._former.settled(piece, self._clock())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with faults(), transaction(self._connection):
                yield
        except BaseException:
            self._former.revert()
            self._current.revert()
            raise
        self._former.confirm()
        self._current.confirm()

    def adopt(self, *, before: float) -> None:
        """Add what recorders left that crashed, and wrote nothing since then (Unix seconds)."""
        for writer in left(self._connection, before=before):
            if writer in {self._current.writer, self._former.writer}:
                continue
            with faults(), transaction(self._connection) as connection:
                adopt(connection, self._batch, writer)

    def _row(self, noted: _Noted) -> tuple[Any, ...] | None:
        decision, request, now = noted
        kept = record(decision, request, now, self._redact)
        try:
            written = _encode(kept).decode()
        except UnicodeEncodeError:  # an application handed in a lone surrogate
            self.dropped += 1
            return None
        ring, credential_id = kept["tenant"] or "", kept["credential"]
        return (decision.id, now, ring, credential_id, str(decision.reason), written)

    def trim(self) -> None:
        """Drop refusals past their age, and the oldest of a ring that is over its number."""
        with faults(), transaction(self._connection) as connection:
            connection.execute(_TOO_OLD, (self._clock() - KEEP_SECONDS,))
            for (ring,) in connection.execute(_RINGS, (self._keep_per_ring,)).fetchall():
                connection.execute(_OVER, (ring, ring, self._keep_per_ring))

    def _write_on(self) -> None:
        try:
            # Of living ones too: they see it, and begin anew.
            with self._flushing:
                self.adopt(before=math.inf)
        except StoreError:
            _log.exception("what a crash left of usage is still to be counted")
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


def in_pieces(counts: list[Count]) -> list[list[Count]]:
    """Return counts in the order of the tables' keys, one list for each transaction."""
    counts.sort(key=place)
    return [counts[at : at + PIECE] for at in range(0, len(counts), PIECE)]


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
