"""Refusals, use and last use: batched into a database of their own, off the verify path.

Rule of this file: losing up to one batch on a crash is accepted, slowing or failing a decision is
not. Memory is bounded; what does not fit is counted and dropped. On the verify path one entry of
one table is counted; everything else is derived from it here, in a thread of its own.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

from latchgate.core.location import Location
from latchgate.core.model import Decision, Request
from latchgate.core.reason import Reason
from latchgate.core.redact import Redactor
from latchgate.store.access_log import AccessLog
from latchgate.store.batch import Batch, Total
from latchgate.store.errors import OutcomeUnknownError, StoreError
from latchgate.store.pending import STALE_SECONDS, Due, Names, Pending, adopt, left
from latchgate.store.refusals import KEEP_PER_RING, Refusals
from latchgate.store.tally import Minute, Tally
from latchgate.store.usage_database import Line, usage_database

BATCH_SECONDS = 0.2
TRIM_SECONDS = 60.0
# An entry that is gone is made anew, which costs ten times what counting does: of 100,000 keys many
# come a few times in ten minutes. Where there is no room, entries age at once.
AGE_SECONDS = 300.0
# Counts are written down after the first, and into their tables after a time that grows with
# their number: what many keys cost is then shared by many requests of each.
COUNTED_SECONDS = 0.55
KEY_SECONDS = 0.005
SETTLED_SECONDS = 30.0
SETTLED_KEYS = 250_000
TELL_SECONDS = 30.0
PIECE = 1_000  # of keys to a transaction, so that nothing else waits for the database for long
_ALLOWED = Reason.ALLOWED  # looked up through its class it takes a third of a count
_log = logging.getLogger(__name__)


class Usage:
    """The recorder of one process: noted on the verify path, written by a thread of its own.

    `redact` masks secrets in what a request said of itself. `ticks` never jumps. `access_log` is
    written by the same thread, and `on_decision` is what every decision is to be told to.
    """

    def __init__(
        self,
        database: Location,
        *,
        redact: Redactor,
        ticks: Callable[[], float],
        clock: Callable[[], float],
        keep_per_ring: int = KEEP_PER_RING,
        access_log: AccessLog | None = None,
    ) -> None:
        self._access_log = access_log
        self.on_decision = self.note if access_log is None else _both(access_log.note, self.note)
        self._ticks = ticks
        self._clock = clock
        self._database = usage_database(database)
        self._batch = Batch(self._database, redact)
        self._flushing = threading.Lock()
        self._tally = Tally()
        self._add = self._tally.add
        self._refusals = Refusals(redact, keep_per_ring=keep_per_ring)
        self._untold: list[Minute] = []
        self._current = self._former = self._anew()
        self._pieces: list[list[Due]] = []  # of the former, on the way into the tables
        self._doubt: Callable[[bool], None] | None = None  # to be told if the last was written
        self._away: Counter[tuple[str, str]] = Counter()
        self._told: Counter[Total] = Counter()  # of totals, what the database knows
        self._trimmed = self._aged = self._counted = ticks()
        self._since: float | None = None  # when counting began of what the tables do not have yet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="usage", daemon=True)

    def start(self) -> None:
        """Begin writing batches."""
        self._thread.start()

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Count a decision, and keep it whole when it is a refusal."""
        self._add(decision, request, now)
        if decision.reason is not _ALLOWED:
            self._refusals.note(decision, request, now)

    def turned_away(self, listener: str, why: str) -> None:
        """Count a request that a listener answered or ended itself; of one thread only."""
        self._away[listener, why] += 1

    @property
    def dropped(self) -> int:
        """How many refusals were not kept."""
        return self._refusals.dropped

    @property
    def uncounted(self) -> int:
        """How many decisions were not counted."""
        return self._tally.uncounted

    def flush(self, *, everything: bool = True) -> None:
        """Write what was noted; StoreError when the refusals of a batch were lost.

        Counters wait for their time unless `everything` is asked for: written less often, they
        add up to fewer rows. Those that could not be written wait for the next batch.
        """
        with self._flushing:
            if self._access_log is not None:
                self._access_log.flush()
            self._end_doubt()
            taken = self._take(everything=everything)
            self._write(settle=taken and not self._pieces and (everything or self._full()))
            self._settle_rest()
            if everything and self._current.held:  # those before had waited for the database
                self._begin_to_settle()
                self._settle_rest()
            self._age(crowded=taken and self._tally.crowded)
            due = self._ticks() - self._trimmed >= TRIM_SECONDS
            if everything or due:
                self._look_after_names(let_go=everything)
            if due:
                self._trimmed = self._ticks()
                self._batch.forget()
                self.trim()
                self.adopt(before=self._clock() - STALE_SECONDS)

    def _age(self, *, crowded: bool) -> None:
        """Let go of entries that nobody used for a while, at once where there is no room."""
        if crowded or self._ticks() - self._aged >= AGE_SECONDS:
            self._aged = self._ticks()
            self._tally.age()
            self._current.names.worn = True

    def _take(self, *, everything: bool) -> bool:
        """Take what was counted when it is time to; whether it is."""
        ticks = self._ticks()
        if not everything and ticks - self._counted < COUNTED_SECONDS:
            return False
        before, self._counted = self._counted, ticks
        self._untold += self._tally.take()
        if self._untold and self._since is None:
            self._since = before
        return True

    def _full(self) -> bool:
        """Whether it is time to write into the tables: after a burst, not in its midst."""
        if self._since is None:
            return False
        held = self._current.held + sum(len(more) for _, more in self._untold)
        waits = min(SETTLED_SECONDS, held * KEY_SECONDS)
        return held >= SETTLED_KEYS or self._ticks() - self._since >= waits

    def _write(self, *, settle: bool) -> None:
        """Write refusals, and counts down, or into the tables at once where they are few."""
        refusals, untold = self._refusals.take(), self._untold
        totals = self._totals()
        held = self._current.held + sum(len(more) for _, more in untold)
        if not (refusals or untold or any(totals.values()) or (settle and held)):
            return
        at_once = settle and held <= PIECE

        def work() -> None:
            self._look_after_current()
            self._refusals.write(self._database, refusals)
            self._batch.total(totals)
            if at_once:
                self._batch.add(self._lines(_due(self._current, untold)))
                self._current.names.clear()
            elif untold:
                self._current.append(untold, self._batch, self._clock())

        def after(written: bool) -> None:  # noqa: FBT001 - as it is asked for
            self._untold = []
            if not written:
                self._refusals.drop(len(refusals))
                self._tally.put_back(untold)
                return
            self._told.update(totals)
            if at_once:
                self._since = None
                self._current = self._anew()
                return
            self._current.owe(untold)
            if settle:
                self._begin_to_settle()

        self._transact(work, after)

    def _totals(self) -> dict[Total, int]:
        """Return what was dropped or turned away that the database does not know of yet."""
        unlisted = self._access_log.dropped if self._access_log is not None else 0
        now: dict[Total, int] = {
            ("dropped", "", "refusal"): self.dropped,
            ("dropped", "", "count"): self.uncounted,
            ("dropped", "", "line"): unlisted,
        }
        # One step of the interpreter: the listeners' thread goes on counting.
        away = dict(self._away)
        now |= {("turned_away", listener, why): number for (listener, why), number in away.items()}
        return {total: number - self._told[total] for total, number in now.items()}

    def _anew(self) -> Pending:
        """Return where to write down under names that nobody has told yet."""
        return Pending(self._database, Names(self._database, self._batch.wording))

    def _begin_to_settle(self) -> None:
        """Have the tables told what was written down, and write down elsewhere from now on."""
        self._since = None
        self._former, names = self._current, self._current.names
        again = not names.worn and names.wording == self._batch.wording
        self._current = Pending(self._database, names) if again else self._anew()
        self._pieces = in_pieces(_due(self._former, []))

    def _settle_rest(self) -> None:
        """Write into the tables, and down in the meantime what is counted in the meantime."""
        while self._pieces:
            self._transact(self._settle, self._after_piece)
            if self._pieces and self._take(everything=False):
                self._write(settle=False)

    def _settle(self) -> None:
        """Write the next piece into the tables, inside a transaction."""
        names = self._former.names
        if names.taken():
            self._pieces = []
            return
        piece = self._pieces[0]
        self._batch.add(self._lines(piece))
        if len(self._pieces) > 1:
            self._former.settled(piece, self._clock())
        elif self._current.names is names:
            self._former.clear()
            self._current.live(self._clock())
        else:
            names.clear()

    def _after_piece(self, written: bool) -> None:  # noqa: FBT001 - as it is asked for
        if written:
            self._pieces = self._pieces[1:]

    def _look_after_current(self) -> None:
        """Begin anew when somebody else has added what was written down, believing this dead."""
        if self._current.names.taken():
            self._current = self._anew()

    def _look_after_names(self, *, let_go: bool) -> None:
        """Delete names under which nothing waits once they are worn; before, keep them alive."""
        current, names = self._current, self._current.names
        if self._pieces or current.held or not names.told:
            return
        ends = let_go or names.worn

        def work() -> None:
            if names.taken():
                return
            if ends:
                names.clear()
            else:
                current.live(self._clock())

        def after(written: bool) -> None:  # noqa: FBT001 - as it is asked for
            if written and ends:
                self._former = self._current = self._anew()

        self._transact(work, after)

    def _lines(self, piece: list[Due]) -> list[Line]:
        describe = self._batch.describe
        return [
            (minute, *describe(count), times, count.last) for minute, count, times in piece if times
        ]

    def _transact(self, work: Callable[[], None], after: Callable[[bool], None]) -> None:
        """Run work in a transaction, and what depends on whether it was written: once that's known.

        That may be later; nothing else is written until then.
        """

        def attempt() -> None:
            self._former.revert()  # of what an attempt before this one left
            self._current.revert()
            work()

        def known(written: bool) -> None:  # noqa: FBT001 - as it is asked for
            for pending in (self._former, self._current):
                (pending.confirm if written else pending.revert)()
            after(written)

        try:
            self._database.transact(attempt)
        except OutcomeUnknownError:
            self._doubt = known
            raise
        except BaseException:
            known(False)  # noqa: FBT003 - as it is asked for
            raise
        known(True)  # noqa: FBT003 - as it is asked for

    def _end_doubt(self) -> None:
        """Ask whether the last transaction was written, where its commit was not answered."""
        if self._doubt is None:
            return
        try:
            written = self._database.outcome()
        except StoreError:
            self._tally.put_back(self._tally.take())  # within what memory may hold
            raise
        known, self._doubt = self._doubt, None
        known(written)

    def adopt(self, *, before: float) -> None:
        """Add what recorders left that crashed, and wrote nothing since then (Unix seconds)."""
        for writer in left(self._database, before=before):
            if writer not in {self._current.names.writer, self._former.names.writer}:
                self._database.transact(partial(adopt, self._database, self._batch, writer))

    def trim(self) -> None:
        """Drop refusals past their age, and the oldest of a ring that is over its number."""
        self._refusals.trim(self._database, now=self._clock())

    def _write_on(self) -> None:
        try:
            # Of living ones too: they see it, and begin anew.
            with self._flushing:
                self.adopt(before=math.inf)
        except StoreError:
            _log.exception("what a crash left of usage is still to be counted")
        told = -math.inf
        while not self._stop.wait(BATCH_SECONDS):
            try:
                self.flush(everything=False)
                told = -math.inf
            except StoreError:
                # A database that is away for long is told of now and then, not five times a second.
                if self._ticks() - told >= TELL_SECONDS:
                    told = self._ticks()
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
            self._database.close()
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


def _due(pending: Pending, more: list[Minute]) -> list[Due]:
    """Return what the tables are to be told: what is owed already, and more."""
    due = {minute: dict(counts) for minute, counts in pending.due.items()}
    for minute, counts in more:
        known = due.setdefault(minute, {})
        for count, times in counts.items():
            known[count] = known.get(count, 0) + times
    return [
        (minute, count, times) for minute, known in due.items() for count, times in known.items()
    ]


def in_pieces(due: list[Due]) -> list[list[Due]]:
    """Return counts in the order of the tables' keys, one list for each transaction."""
    due.sort(key=_place)
    return [due[at : at + PIECE] for at in range(0, len(due), PIECE)]


def _place(due: Due) -> tuple[str, int]:
    minute, count, _ = due
    return (count.credential.source_id if count.credential is not None else "", minute)
