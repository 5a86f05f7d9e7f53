"""Counts that are not in their tables yet, written down so that a crash loses none of them.

Rule of this file: a row of `use_pending` is deleted in the transaction that adds its counts to the
tables, whoever does it: the recorder that wrote it, or one that starts after it crashed. So each
count is added once, whether or not its recorder was believed dead with reason.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import msgspec

from latchgate.store.batch import Batch, Count, Row
from latchgate.store.sqlite import Connection

STALE_SECONDS = 30.0  # three times as long as a living recorder leaves anything here

_APPEND = "INSERT INTO use_pending (writer, at, counts) VALUES (?, ?, ?)"
_THERE = "SELECT 1 FROM use_pending WHERE id = ? AND writer = ?"
_CLEAR = "DELETE FROM use_pending WHERE writer = ?"
_LEFT = "SELECT writer FROM use_pending GROUP BY writer HAVING MAX(at) < ?"
_OF = "SELECT counts FROM use_pending WHERE writer = ? ORDER BY id"
_encode = msgspec.json.Encoder().encode

# Of each count: its number, how often more it was seen, when last, and the first time what it is.
Told = list[tuple[int, int, float, Row | None]]
_decode = msgspec.json.Decoder(Told).decode


class Pending:
    """What one recorder has written down since it last wrote into the tables.

    Every method is called inside the caller's transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.writer = secrets.token_hex(8)
        self._last: int | None = None
        self._next: int | None = None
        self._numbers = 0

    def append(self, counts: Iterable[Count], batch: Batch, at: float) -> Told:
        """Write down how often more counts were seen since they were told last.

        The first time a count is told with what it is, afterwards by its number alone.
        """
        rows: Told = []
        add = rows.append
        for count in counts:
            told = count.told
            if told:
                add((count.number, count.times - told, count.last, None))
            else:
                self._numbers = count.number = self._numbers + 1
                add((count.number, count.times, count.last, count.row or batch.describe(count)))
        if rows:
            self._write(rows, at)
        return rows

    def _write(self, rows: Told, at: float) -> None:
        self._next = self._connection.execute(
            _APPEND, (self.writer, at, _encode(rows).decode())
        ).lastrowid

    def settled(self, counts: Iterable[Count], at: float) -> None:
        """Write down that counts are in the tables, where others told with them are not yet."""
        rows: Told
        rows = [(count.number, -count.told, 0.0, None) for count in counts if count.told]
        if rows:
            self._write(rows, at)

    def taken(self) -> bool:
        """Whether somebody else has added what was written down to the tables."""
        if self._last is None:
            return False
        return self._connection.execute(_THERE, (self._last, self.writer)).fetchone() is None

    def clear(self) -> None:
        """Delete what was written down; it is in the tables."""
        self._connection.execute(_CLEAR, (self.writer,))
        self._next = None

    def confirm(self) -> None:
        """Know that the transaction was committed."""
        self._last = self._next

    def revert(self) -> None:
        """Know that the transaction was rolled back."""
        self._next = self._last


def forget_told(counts: Iterable[Count]) -> None:
    """Count anew what somebody else has added to the tables as far as it was told."""
    for count in counts:
        count.times -= count.told
        count.told = 0


def left(connection: Connection, *, before: float) -> list[str]:
    """Return recorders that wrote their last row before then and never cleared it."""
    return [writer for (writer,) in connection.execute(_LEFT, (before,)).fetchall()]


def adopt(connection: Connection, batch: Batch, writer: str) -> None:
    """Add what a recorder left to the tables, inside the caller's transaction.

    Nothing is there any more when another process was faster.
    """
    found: dict[int, tuple[int, float, Row]] = {}
    for (text,) in connection.execute(_OF, (writer,)).fetchall():
        for number, times, last, row in _decode(text):
            if row is not None:
                found[number] = (times, last, row)
            elif number in found:
                former, seen, what = found[number]
                found[number] = (former + times, max(seen, last), what)
    batch.add([(*row, times, last) for times, last, row in found.values() if times > 0])
    connection.execute(_CLEAR, (writer,))
