"""Counts that are not in their tables yet, written down so that a crash loses none of them.

Rule of this file: a row of `use_pending` that says how often is deleted in the transaction which
adds its counts to the tables, whoever does it: the recorder that wrote it, or one that starts after
it crashed. So each count is added once, whether or not its recorder was believed dead with reason.
Rows that say what was counted stay until no other row needs them. Whoever writes or deletes rows of
a recorder holds its first one: where several write at once, no row of it comes between another's
reading and deleting.
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
_CLEAR_ROWS = "DELETE FROM use_pending WHERE id"
_LEFT = "SELECT writer FROM use_pending GROUP BY writer HAVING MAX(at) < ?"
_OF = "SELECT at, counts FROM use_pending WHERE writer = ? ORDER BY id"
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)

Due = tuple[int, Count, int]  # the minute, what was seen in it, how often


class Told(msgspec.Struct, array_like=True, frozen=True):
    """What one row says: what numbers are of, or of one minute pairs of number and how often.

    Rows of earlier versions say both.
    """

    minute: int
    what: list[tuple[int, Row]]
    times: list[int]


_decode = msgspec.json.Decoder(Told).decode


class Names:
    """What one recorder calls its counts in what it writes down: a number for each, told once.

    They outlive what is written down with them, for telling what 100,000 counts are takes ten times
    what their numbers do. `wording` is the batch's when they were begun; `worn` ones are let go of
    at the next opportunity, and with them the counts that nobody uses any more.
    """

    def __init__(self, database: UsageDatabase, wording: int) -> None:
        self._database = database
        self.writer = secrets.token_hex(8)
        self.wording = wording
        self.worn = False
        self._numbers: dict[Count, int] = {}
        self._new: dict[Count, int] = {}
        self._first: int | None = None  # of the recorder's rows
        self._begun: int | None = None  # the same, as the transaction under way leaves it

    @property
    def told(self) -> bool:
        """Whether there are rows of this writer."""
        return self._first is not None

    def tell(self, counts: Iterable[Count], batch: Batch, at: float) -> list[int]:
        """Return the numbers of counts, in order; those that are new are written down first."""
        try:
            return list(map(self._numbers.__getitem__, counts))  # in C, as most often
        except KeyError:
            pass
        what: list[tuple[int, Row]] = []
        numbers = [self._numbers.get(count) or self._name(count, what, batch) for count in counts]
        if what:
            self.write(Told(0, what, []), at)
        return numbers

    def of(self, count: Count) -> int | None:
        """Return the number of a count; None where it has none."""
        return self._numbers.get(count)

    def _name(self, count: Count, what: list[tuple[int, Row]], batch: Batch) -> int:
        """Return the number of a count that no transaction before this one has told of."""
        name = self._new.get(count)
        if name is None:
            name = self._new[count] = len(self._numbers) + len(self._new) + 1
            what.append((name, batch.describe(count)))
        return name

    def write(self, told: Told, at: float) -> int:
        """Write a row inside the caller's transaction; returns its id."""
        values = (self.writer, at, _encode(told).decode())
        ((number,),) = self._database.execute(_APPEND, values).fetchall()
        if self._begun is None:
            self._begun = number
        return int(number)

    def taken(self) -> bool:
        """Whether somebody else has added what was written down to the tables.

        If not, nobody else will before the transaction ends.
        """
        if self._first is None:
            return False
        there = _THERE + self._database.locking
        return self._database.execute(there, (self._first, self.writer)).fetchone() is None

    def clear(self) -> None:
        """Delete all rows of this writer, inside the caller's transaction."""
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


class Pending:
    """What one recorder has written down under such names since it last began to settle.

    `due` is that, by minute: what the tables are still to be told.
    """

    def __init__(self, database: UsageDatabase, names: Names) -> None:
        self._database = database
        self.names = names
        self.due: dict[int, dict[Count, int]] = {}
        self.held = 0
        self._rows: list[int] = []
        self._more: list[int] = []  # of the transaction under way

    def append(self, taken: Iterable[Minute], batch: Batch, at: float) -> None:
        """Write down how often more was seen, inside the caller's transaction."""
        for minute, more in taken:
            pairs = zip(self.names.tell(more, batch, at), more.values(), strict=True)
            self._write(Told(minute, [], list(chain.from_iterable(pairs))), at)

    def _write(self, told: Told, at: float) -> None:
        self._more.append(self.names.write(told, at))

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
            name = self.names.of(count)
            if name is not None:
                by_minute.setdefault(minute, []).extend((name, -times))
        for minute, less in by_minute.items():
            self._write(Told(minute, [], less), at)

    def clear(self) -> None:
        """Delete what was written down here, inside the caller's transaction; names are left."""
        rows = self._database.several([*self._rows, *self._more])
        self._database.execute(f"{_CLEAR_ROWS} {self._database.among}", (rows,))
        self._more = []

    def live(self, at: float) -> None:
        """Give a sign of life: names alone would soon be taken for what somebody dead left."""
        self._write(Told(0, [], []), at)

    def confirm(self) -> None:
        """Know that the transaction was committed."""
        self.names.confirm()
        self._rows += self._more
        self._more = []

    def revert(self) -> None:
        """Know that the transaction was rolled back."""
        self.names.revert()
        self._more = []


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
