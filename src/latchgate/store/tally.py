"""What was decided, counted in memory: all that counting costs a request is in this file.

Rule of this file: on the verify path the time goes to the end of one entry's list, without a lock:
appending to a list and cutting its front are single steps of the interpreter. Entries outlive
batches, so that what a credential, an area or a program is called is worked out once and not for
each batch; those that nobody used between two agings are let go of. Memory is bounded: beyond a
number, addresses and agents are counted together, and beyond another decisions are only counted
as lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import chain

import msgspec

from latchgate.core.model import Credential, Decision, Grant, Request
from latchgate.core.network import Address
from latchgate.core.policy import Area, Rule
from latchgate.core.reason import Reason

MINUTE = 60
# Longer agents are cut where a word ends: no part of a secret may be left that nothing masks.
AGENT_READ = 600
# Of entries: beyond the first number addresses and agents are counted together.
MAX_SOURCES = 160_000
MAX_KEYS = 200_000
MAX_SEEN = 1_000  # times in one list: then they are added up, whoever comes

# What tells entries apart, cheap to make and to compare. Objects are in it by their identity: the
# entry keeps them, so that no other can have it in the meantime.
Key = tuple[object, ...]
# What an entry is of: the columns of a batch between its minute and how often, how first and last.
Row = tuple[str, str, str, str, str, str, str, int, str, str, str, str, float]


class Count(msgspec.Struct, gc=False, eq=False):
    """When something was seen, first and last (Unix seconds), and what it is.

    `seen` are the times that are still to be added up. `row` is its wording, as of `wording`. The
    collector of cycles need not look at it: what it holds holds no count.
    """

    reason: Reason
    credential: Credential | None
    grant: Grant | None
    area: Area | None
    rule: Rule | None
    client: Address | None
    agent: str
    first: float
    last: float
    seen: list[float]
    row: Row | None = None
    wording: int = -1


# Of one minute (its first second): how often each was seen in it.
Minute = tuple[int, dict[Count, int]]


class Tally:
    """The counts of one process: added to by any thread, taken from by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, Count] = {}
        self._older: dict[Key, Count] = {}  # not used since the last aging
        self._fresh: list[Count] = []  # those whose list is no longer empty
        self._before: list[Count] = []
        self._minutes: dict[int, dict[Count, int]] = {}
        self.crowded = False  # whether there was no room for an entry since the last aging
        self.uncounted = 0

    def add(self, decision: Decision, request: Request, now: float) -> None:
        """Count one decision of a moment (Unix seconds)."""
        credential = decision.credential
        key: Key
        if credential is None:
            # Of those who proved nothing only the sum is kept, so that a flood of them is small.
            key = (id(decision.reason), id(decision.area), id(decision.rule))
        else:
            grant = decision.grant
            agent = request.headers.get("user-agent")
            if agent is not None and len(agent) > AGENT_READ:
                agent = agent[: AGENT_READ + 1]
            key = (
                credential.id,
                id(decision.rule),
                id(decision.area),
                id(decision.reason),
                id(request.client),
                agent,
                "" if grant is None else grant.application_key_id,
            )
        count = self._counts.get(key)
        if count is None:
            count = self._first(key, decision, request, now)
            if count is None:
                return
        seen = count.seen
        if not seen:
            self._fresh.append(count)
        seen.append(now)
        if len(seen) >= MAX_SEEN:
            self._add_up([count])

    def _first(self, key: Key, decision: Decision, request: Request, now: float) -> Count | None:
        """Begin an entry; where there are too many, of the credential wherever it was used."""
        client, agent = None, ""
        if decision.credential is not None:
            client, agent = request.client, str(key[5] or "")
        with self._lock:
            known = self._counts.get(key) or self._older.pop(key, None)
            if known is None and len(self._counts) >= MAX_SOURCES:
                self.crowded = True
                if decision.credential is not None:
                    client, agent = None, ""
                    key = (*key[:4], id(client), None, key[6])
                    known = self._counts.get(key) or self._older.pop(key, None)
            if known is None and len(self._counts) >= MAX_KEYS:
                self.uncounted += 1
                return None
            if known is None:
                known = Count(
                    decision.reason,
                    decision.credential,
                    decision.grant,
                    decision.area,
                    decision.rule,
                    client,
                    agent,
                    now,
                    now,
                    [],
                )
            self._counts[key] = known
            return known

    def take(self, *, everything: bool = False) -> list[Minute]:
        """Return how often each was seen since the last call, by minute.

        A time that another thread adds at this very moment may be left for the next call, but not
        when `everything` is asked for and nobody adds any more.
        """
        left = [count for count in list(self._counts.values()) if count.seen] if everything else ()
        self._add_up(left)
        with self._lock:
            taken, self._minutes = self._minutes, {}
        return list(taken.items())

    def _add_up(self, more: Iterable[Count]) -> None:
        """Add up what was seen since the last time, and of some counts whatever there is.

        Those before are looked at once more: a thread may have found its list filled, or the list
        of filled ones, just before both were emptied.
        """
        with self._lock:
            before, fresh, self._fresh = self._before, self._fresh, []
            late = [count for count in before if count.seen]
            for count in chain(fresh, late, more):
                times = count.seen[:]
                if times:
                    del count.seen[: len(times)]
                    self._put(count, times)
            fresh += late
            self._before = fresh
            self._bound()

    def _put(self, count: Count, times: list[float]) -> None:
        """Add times to the minutes that they are of."""
        first, last = (times[0], times[0]) if len(times) == 1 else (min(times), max(times))
        count.last = max(count.last, last)
        minute = int(first // MINUTE) * MINUTE
        if last < minute + MINUTE:
            self._sum(minute, count, len(times))
        else:
            for at in times:
                self._sum(int(at // MINUTE) * MINUTE, count, 1)

    def _sum(self, minute: int, count: Count, times: int) -> None:
        counts = self._minutes.setdefault(minute, {})
        counts[count] = counts.get(count, 0) + times

    def put_back(self, taken: Iterable[Minute]) -> None:
        """Have something taken again that could not be written; too much of it is lost."""
        with self._lock:
            for minute, counts in taken:
                for count, times in counts.items():
                    self._sum(minute, count, times)
            self._bound()

    def _bound(self) -> None:
        """Let go of the oldest minutes where nobody could write for long; with the lock."""
        if len(self._minutes) < 2:  # noqa: PLR2004 - the one that is counted in is always kept
            return
        held = sum(map(len, self._minutes.values()))
        for minute in sorted(self._minutes)[:-1]:
            if held <= MAX_KEYS:
                return
            lost = self._minutes.pop(minute)
            held -= len(lost)
            self.uncounted += sum(lost.values())

    def age(self) -> None:
        """Let go of what was not used since the last call."""
        with self._lock:
            before, self._older, self._counts = self._older, self._counts, {}
            self.crowded = False
        # And of nothing that a thread filled while both lists were emptied under it.
        left = [*before.values(), *self._older.values()]
        self._add_up([count for count in left if count.seen])
