"""Refusals, kept whole for whoever asks why: a bounded number waits, a bounded number is stored.

Rule of this file: what does not fit, or can't be written, is counted as dropped. A flood is kept in
samples, so that it costs the door no more than what it asks: thousands at once are kept whole, then
so many a batch; and whoever is refused seldom is kept whole beside it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from latchgate.core.explain import record
from latchgate.core.model import Decision, Request
from latchgate.store.usage_database import UsageDatabase, removed

KEEP_SECONDS = 7 * 86_400
KEEP_PER_RING = 100_000
MAX_PENDING = 400
BURST = 2_000  # kept of what comes at once, …
PER_BATCH = 20  # … and of what goes on, with five batches a second
RESERVE = 20  # of a batch, for sources that had fewer than SELDOM of it
SELDOM = 8
_encode = msgspec.json.Encoder().encode
_Noted = tuple[Decision, Request, float]
Rows = list[tuple[Any, ...]]

_REFUSAL = (
    "INSERT INTO refusal (id, at, ring, credential_id, reason, decision)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
# A piece at a time, so that nothing else waits for the database for long.
PIECE = 5_000
PIECES = 100  # each time
_TOO_OLD = "DELETE FROM refusal WHERE id IN (SELECT id FROM refusal WHERE at < ? LIMIT ?)"
_RINGS = "SELECT ring FROM refusal GROUP BY ring HAVING COUNT(*) > ?"
_OVER = (
    "DELETE FROM refusal WHERE id IN (SELECT id FROM refusal WHERE ring = ? AND (at, id) <"
    " (SELECT at, id FROM refusal WHERE ring = ? ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?)"
    " LIMIT ?)"
)


class Refusals:
    """The refusals of one process: noted by any thread, worded and written by one.

    `redact` masks secrets in what a request said of itself.
    """

    def __init__(self, redact: Callable[[str], str], *, keep_per_ring: int) -> None:
        self._redact = redact
        self._keep_per_ring = keep_per_ring
        self._noted: deque[_Noted] = deque()
        self._room, self._reserve = BURST, RESERVE
        self._given: dict[str, int] = {}  # of this batch, by source
        self._lock = threading.Lock()
        self.dropped = 0

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Keep a refusal for the next batch, or count that there was no room.

        A source is a tenant, or whoever was refused for one reason without a credential.
        """
        credential = decision.credential
        source = decision.reason if credential is None else credential.tenant_id
        given = self._given.get(source, 0)
        waiting = len(self._noted)
        # The reserve's places are free of the burst too: a flood's first seconds are no exception.
        if self._room > 0 and waiting < MAX_PENDING - self._reserve:
            self._room -= 1
        elif self._reserve > 0 and given < SELDOM and waiting < MAX_PENDING:
            self._reserve -= 1
        else:
            self.drop(1)
            return
        self._given[source] = given + 1
        self._noted.append((decision, request, now))

    def drop(self, number: int) -> None:
        """Count refusals that are kept nowhere."""
        with self._lock:
            self.dropped += number

    def take(self) -> Rows:
        """Return what was noted, worded without secrets."""
        taken = [self._noted.popleft() for _ in range(len(self._noted))]
        self._given, self._reserve = {}, RESERVE
        self._room = min(BURST, self._room + PER_BATCH)
        return [row for row in map(self._row, taken) if row is not None]

    def _row(self, noted: _Noted) -> tuple[Any, ...] | None:
        decision, request, now = noted
        kept = record(decision, request, now, self._redact)
        try:
            written = _encode(kept).decode()
        except UnicodeEncodeError:  # an application handed in a lone surrogate
            self.drop(1)
            return None
        ring, credential_id = kept["tenant"] or "", kept["credential"]
        return (decision.id, now, ring, credential_id, str(decision.reason), written)

    def write(self, database: UsageDatabase, rows: Rows) -> None:
        """Write rows, inside the caller's transaction."""
        if rows:
            database.execute_many(_REFUSAL, rows)

    def trim(self, database: UsageDatabase, *, now: float) -> None:
        """Drop those past their age, and the oldest of a ring over its number."""
        _drop(database, _TOO_OLD, (now - KEEP_SECONDS,))
        for (ring,) in database.rows(_RINGS, (self._keep_per_ring,)):
            _drop(database, _OVER, (ring, ring, self._keep_per_ring - 1))


def _drop(database: UsageDatabase, statement: str, values: tuple[object, ...]) -> None:
    for _ in range(PIECES):
        if removed(database, statement, (*values, PIECE)) < PIECE:
            return
