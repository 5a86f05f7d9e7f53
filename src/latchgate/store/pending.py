"""Counts that are not in their tables yet, written down so that a crash loses none of them.

Rule of this file: a row of `use_pending` is deleted in the transaction that adds its counts to the
tables, whoever does it: the recorder that wrote it, or one that starts after it crashed. So each
count is added once, whether or not its recorder was believed dead with reason. Whoever writes or
deletes rows of a recorder holds its first one: where several write at once, no row of it comes
between another's reading and deleting.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from itertools import chain

import msgspec

from latchgate.store.batch import Batch
from latchgate.store.tally import Count, Minute, Row
from latchgate.store.usage_database import Line, UsageDatabase

STALE_SECONDS = 90.0  # three times as long as a living recorder leaves anything here

_APPEND = "INSERT INTO use_pending (writer, at, counts) VALUES (?, ?, ?) RETURNING id"
_THERE = "SELECT 1 FROM use_pending WHERE id = ? AND writer = ?"
_FIRST = "SELECT id FROM use_pending WHERE writer = ? ORDER BY id LIMIT 1"
_CLEAR = "DELETE FROM use_pending WHERE writer = ?"
_LEFT = "SELECT writer FROM use_pending GROUP BY writer HAVING MAX(at) < ?"
_OF = "SELECT at, counts FROM use_pending WHERE writer = ? ORDER BY id"
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)

Due = tuple[int, Count, int]  # the minute, what was seen in it, how often


class Told(msgspec.Struct, array_like=True, frozen=True):
    """What one row says of one minute: what is new to it, and pairs of number and how often."""

    minute: int
    what: list[tuple[int, Row]]
    times: list[int]


_decode = msgspec.json.Decoder(Told).decode


class Pending:
    """What one recorder has written down since it last wrote into the tables.

    `due` is that, by minute: what the tables are still to be told.
    """

    def __init__(self, database: UsageDatabase) -> None:
        self._database = database
        self.writer = secrets.token_hex(8)
        self.due: dict[int, dict[Count, int]] = {}
        self.held = 0
        self._numbers: dict[Count, int] = {}
        self._new: dict[Count, int] = {}
        self._first: int | None = None  # of its rows
        self._begun: int | None = None  # the same, as the transaction under way leaves it

    def append(self, taken: Iterable[Minute], batch: Batch, at: float) -> None:
        """Write down how often more was seen, inside the caller's transaction.

        What was never told before is told with what it is, afterwards by its number alone.
        """
        for minute, more in taken:
            what: list[tuple[int, Row]] = []
            names = self._names(more, what, batch)
            pairs = zip(names, more.values(), strict=True)
            self._write(Told(minute, what, list(chain.from_iterable(pairs))), at)

    def _names(self, more: Iterable[Count], what: list[tuple[int, Row]], batch: Batch) -> list[int]:
        """Return the numbers of counts; in C where all were told of before, as most often."""
        try:
            return list(map(self._numbers.__getitem__, more))
        except KeyError:
            return [self._numbers.get(count) or self._name(count, what, batch) for count in more]

    def _name(self, count: Count, what: list[tuple[int, Row]], batch: Batch) -> int:
        """Return the number of a count that no transaction before this one has told of."""
        name = self._new.get(count)
        if name is None:
            name = self._new[count] = len(self._numbers) + len(self._new) + 1
            what.append((name, batch.describe(count)))
        return name

    def _write(self, told: Told, at: float) -> None:
        values = (self.writer, at, _encode(told).decode())
        ((number,),) = self._database.execute(_APPEND, values).fetchall()
        if self._begun is None:
            self._begun = number

    def owe(self, taken: Iterable[Minute]) -> None:
        """Have the tables told this too, once it is written down, or else in the next breath."""
        for minute, more in taken:
            due = self.due.get(minute)
            if due is None:
                self.due[minute] = dict(more)
                self.held += len(more)
                continue
            for count, number in more.items():
                due[count] = due.get(count, 0) + number
            self.held = sum(map(len, self.due.values()))

    def settled(self, piece: Iterable[Due], at: float) -> None:
        """Write down that these are in the tables, where others told with them are not yet."""
        by_minute: dict[int, list[int]] = {}
        for minute, count, times in piece:
            name = self._numbers.get(count)
            if name is not None:
                by_minute.setdefault(minute, []).extend((name, -times))
        for minute, less in by_minute.items():
            self._write(Told(minute, [], less), at)

    def taken(self) -> bool:
        """Whether somebody else has added what was written down to the tables.

        If not, nobody else will before the transaction ends.
        """
        if self._first is None:
            return False
        there = _THERE + self._database.locking
        return self._database.execute(there, (self._first, self.writer)).fetchone() is None

    def clear(self) -> None:
        """Delete what was written down, inside the caller's transaction; it is in the tables."""
        self._database.execute(_CLEAR, (self.writer,))
        self._begun = None

    def confirm(self) -> None:
        """Know that the transaction was committed."""
        self._first = self._begun
        self._numbers |= self._new
        self._new = {}

    def revert(self) -> None:
        """Know that the transaction was rolled back."""
        self._begun = self._first
        self._new = {}


def left(database: UsageDatabase, *, before: float) -> list[str]:
    """Return recorders that wrote their last row before then and never cleared it."""
    return [writer for (writer,) in database.rows(_LEFT, (before,))]


def adopt(database: UsageDatabase, batch: Batch, writer: str) -> None:
    """Add what a recorder left to the tables, inside the caller's transaction.

    Nothing is there any more when another process was faster. When something was seen last is then
    told to within a batch. A row that nobody can read is lost, aloud: it must not stand in the way.
    """
    rows: dict[int, Row] = {}
    found: dict[tuple[int, int], tuple[int, float]] = {}
    database.execute(_FIRST + database.locking, (writer,)).fetchall()
    # Only now: what a living one added while the first was waited for is read too.
    for at, text in database.execute(_OF, (writer,)).fetchall():
        try:
            told = _decode(text)
        except (msgspec.DecodeError, TypeError):
            _log.exception("counts that a recorder left can't be read")
            continue
        rows.update(told.what)
        for number, times in zip(told.times[::2], told.times[1::2], strict=False):
            former, seen = found.get((told.minute, number), (0, 0.0))
            # A row that takes back says nothing of when.
            seen = max(seen, at) if times > 0 else seen
            found[told.minute, number] = (former + times, seen)
    lines: list[Line] = [
        (minute, *rows[number], times, last)
        for (minute, number), (times, last) in found.items()
        if times > 0 and number in rows
    ]
    batch.add(lines)
    database.execute(_CLEAR, (writer,))
