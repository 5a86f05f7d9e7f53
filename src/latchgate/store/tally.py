"""What was decided, counted in memory: all that counting costs a request is in this file.

Rule of this file: on the verify path one entry of one table goes up. Entries outlive batches, so
that what a credential, an area or a program is called is worked out once and not for each batch;
those that nobody used between two agings are let go of. Memory is bounded: beyond a number,
addresses and agents are counted together, and beyond another decisions are only counted as lost.
"""

from __future__ import annotations

import threading

import msgspec

from latchgate.core.model import Credential, Decision, Grant, Request
from latchgate.core.network import Address
from latchgate.core.policy import Area, Rule
from latchgate.core.reason import Reason

MINUTE = 60
# Longer agents are cut where a word ends: no part of a secret may be left that nothing masks.
AGENT_READ = 600
# Of entries: beyond the first number addresses and agents are counted together.
MAX_SOURCES = 40_000
MAX_KEYS = 50_000

# What tells entries apart, cheap to make and to compare. Objects are in it by their identity: the
# entry keeps them, so that no other can have it in the meantime.
Key = tuple[object, ...]
# What an entry is of: the columns of a batch between its minute and how often, how first and last.
Row = tuple[str, str, str, str, str, str, str, int, str, str, str, str, float]


class Count(msgspec.Struct, gc=False, eq=False):
    """How often something was seen, first and last when (Unix seconds), and of what it is.

    `times` only grows; `taken` is how many of them were taken already, `turn` when it was seen
    last. `row` is its wording, as of `wording`. The collector of cycles need not look at it: what
    it holds holds no count.
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
    times: int = 1
    taken: int = 0
    turn: int = -1
    row: Row | None = None
    wording: int = -1


# Of one minute (its first second): how often each was seen in it.
Minute = tuple[int, dict[Count, int]]
_Seen = tuple[int, list[tuple[Count, int]]]


class Tally:
    """The counts of one process: added to by any thread, taken from by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, Count] = {}
        self._older: dict[Key, Count] = {}  # not used since the last aging
        self._fresh: list[Count] = []  # seen in this turn
        self._ended: list[_Seen] = []
        self._turn = 0
        self._begins = self._ends = 0.0  # of the minute that is counted in
        self.crowded = False  # whether there was no room for an entry since the last aging
        self.uncounted = 0

    def add(self, decision: Decision, request: Request, now: float) -> None:
        """Count one decision of a moment (Unix seconds)."""
        reason, credential = decision.reason, decision.credential
        agent = None
        key: Key
        if credential is None:
            # Of those who proved nothing only the sum is kept, so that a flood of them is small.
            key = (id(reason), id(decision.area), id(decision.rule))
        else:
            grant = decision.grant
            agent = request.headers.get("user-agent")
            if agent is not None and len(agent) > AGENT_READ:
                agent = agent[: AGENT_READ + 1]
            key = (
                credential.id,
                id(decision.rule),
                id(decision.area),
                id(reason),
                id(request.client),
                agent,
                "" if grant is None else grant.application_key_id,
            )
        with self._lock:
            if not self._begins <= now < self._ends:
                self._turn_to(now)
            count = self._counts.get(key)
            if count is None:
                count = self._first(key, decision, request, now, agent or "")
                if count is None:
                    return
            else:
                count.times += 1
                count.last = now
            if count.turn != self._turn:
                count.turn = self._turn
                self._fresh.append(count)

    def _turn_to(self, now: float) -> None:
        """Count in another minute from now on: what was seen up to now is of the one before."""
        self._end()
        minute = int(now // MINUTE) * MINUTE
        self._begins, self._ends = float(minute), float(minute + MINUTE)

    def _end(self) -> None:
        """Keep what was seen in this turn, and begin another; with the lock."""
        if self._fresh:
            seen = [(count, count.times) for count in self._fresh]
            self._ended.append((int(self._begins), seen))
            self._fresh = []
        self._turn += 1

    def _first(
        self, key: Key, decision: Decision, request: Request, now: float, agent: str
    ) -> Count | None:
        """Begin an entry; where there are too many, of the credential wherever it was used."""
        known = self._older.pop(key, None)
        client = request.client if decision.credential is not None else None
        if known is None and len(self._counts) >= MAX_SOURCES:
            self.crowded = True
            if decision.credential is not None:
                client, agent = None, ""
                key = (*key[:4], id(client), None, key[6])
                known = self._counts.get(key) or self._older.pop(key, None)
        if known is not None:
            self._counts[key] = known
            known.times += 1
            known.last = now
            return known
        if len(self._counts) >= MAX_KEYS:
            self.uncounted += 1
            return None
        count = self._counts[key] = Count(
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

    def take(self) -> list[Minute]:
        """Return how often each was seen since the last call, by minute."""
        with self._lock:
            self._end()
            ended, self._ended = self._ended, []
        taken: list[Minute] = []
        for minute, seen in ended:
            more: dict[Count, int] = {}
            for count, times in seen:
                more[count] = times - count.taken
                count.taken = times
            taken.append((minute, more))
        return taken

    def age(self) -> None:
        """Let go of what was not used since the last call."""
        with self._lock:
            # Freed without the lock: that takes milliseconds.
            before, self._older, self._counts = self._older, self._counts, {}
            self.crowded = False
        del before
