"""What was decided, counted in memory: all that counting costs a request is in this file.

Rule of this file: on the verify path an entry and the time go to the end of one list, without a
lock: adding to a list is a single step of the interpreter. Nothing of the entry itself is looked
at, which many keys in use would have to be fetched from far for. Entries outlive batches, so that
what a credential, an area or a program is called is worked out once and not for each batch; those
that nobody used between two agings are let go of. Memory is bounded: beyond a number, addresses
and agents are counted together, and beyond another decisions are only counted as lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

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
MAX_LOG = 40_000  # of entries and times in one list: then they are added up, whoever comes
_MAX_AGENTS = 4_096

# What tells entries apart, cheap to make and to compare. Objects are in it by their identity: the
# entry keeps them, so that no other can have it in the meantime.
Key = tuple[object, ...]
# What an entry is of: the columns of a batch between its minute and how often, how first and last.
Row = tuple[str, str, str, str, str, str, str, int, str, str, str, str, float]


class Count(msgspec.Struct, gc=False, eq=False):
    """When something was seen, first and last (Unix seconds), and what it is.

    `row` is its wording, as of `wording`. The collector of cycles need not look at it: what it
    holds holds no count.
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
    row: Row | None = None
    wording: int = -1


_NOWHERE: tuple[None, None, None, None] = (None, None, None, None)

# Of one minute (its first second): how often each was seen in it.
Minute = tuple[int, dict[Count, int]]


class _Log(list[Any]):
    """Entries, and after each the moment it was seen, all from `since` to before `until`."""

    __slots__ = ("since", "until")

    def __init__(self, since: int) -> None:
        super().__init__()
        self.since = since
        self.until = since + MINUTE


class Tally:
    """The counts of one process: added to by any thread, taken from by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, Count] = {}
        self._older: dict[Key, Count] = {}  # not used since the last aging
        self._age = object()  # another one since each aging
        self._agents: dict[str, str] = {}
        self._log = _Log(0)
        self._closed: list[_Log] = []
        self._before: list[tuple[_Log, int]] = []  # added up already, to this length
        self._minutes: dict[int, Counter[Count]] = {}
        self.crowded = False  # whether there was no room for an entry since the last aging
        self.uncounted = 0

    def add(self, decision: Decision, request: Request, now: float) -> None:
        """Count one decision of a moment (Unix seconds)."""
        agent = request.headers.get("user-agent")
        memo = decision.memo
        age, client, known, count = _NOWHERE if memo is None else memo.counted or _NOWHERE
        if age is not self._age or client is not request.client or known != agent:
            count = self._find(decision, request, agent, now)
            if count is None:
                return
        log = self._log
        if not log.since <= now < log.until:
            log = self._turn(now)
        log.extend((count, now))
        if len(log) >= MAX_LOG:
            self._add_up()

    def _find(
        self, decision: Decision, request: Request, agent: str | None, now: float
    ) -> Count | None:
        """Return the entry that a decision is counted in; None where it can't be counted."""
        age, credential = self._age, decision.credential
        key: Key
        if credential is None:
            # Of those who proved nothing only the sum is kept, so that a flood of them is small.
            key = (id(decision.reason), id(decision.area), id(decision.rule))
        else:
            grant = decision.grant
            if agent is not None:
                agent = self._agents.get(agent) or self._agent(agent)
            key = (
                credential.id,
                id(decision.rule),
                id(decision.area),
                id(decision.reason),
                id(request.client),
                agent,
                "" if grant is None else grant.application_key_id,
            )
        count = self._counts.get(key) or self._first(key, decision, request, now)
        memo = decision.memo
        if memo is not None and count is not None and (agent is None or len(agent) <= AGENT_READ):
            memo.counted = age, request.client, agent, count
        return count

    def _agent(self, told: str) -> str:
        """Return what is read of an agent, one object for all that say the same."""
        agent = told[: AGENT_READ + 1]
        if len(self._agents) >= _MAX_AGENTS:
            self._agents.clear()
        if agent is told:
            self._agents[agent] = agent
        return agent

    def _turn(self, now: float) -> _Log:
        """Begin the log of another minute."""
        with self._lock:
            minute = int(now // MINUTE) * MINUTE
            if self._log.since != minute:
                self._closed.append(self._log)
                self._log = _Log(minute)
            return self._log

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
                )
            self._counts[key] = known
            return known

    def take(self) -> list[Minute]:
        """Return how often each was seen since the last call, by minute.

        What another thread adds at this very moment may be left for the next call.
        """
        self._add_up()
        with self._lock:
            taken, self._minutes = self._minutes, {}
        return list(taken.items())

    def _add_up(self) -> None:
        """Add up what was seen since the last time.

        Lists from then are looked at once more: a thread may have found one just before another
        took its place.
        """
        with self._lock:
            again = self._before
            logs, self._closed = [*self._closed, self._log], []
            self._log = _Log(self._log.since)
            self._before = [(log, self._sum(log, 0)) for log in logs]
            for log, done in again:
                self._sum(log, done)
            self._bound()

    def _sum(self, log: _Log, done: int) -> int:
        """Add up a list from a length on; returns the length that it has."""
        length = len(log)
        if length > done:
            counts, times = log[done:length:2], log[done + 1 : length : 2]
            self._minutes.setdefault(log.since, Counter()).update(counts)
            for count, last in zip(counts, times, strict=True):
                count.last = max(count.last, last)
        return length

    def put_back(self, taken: Iterable[Minute]) -> None:
        """Have something taken again that could not be written; too much of it is lost."""
        with self._lock:
            for minute, counts in taken:
                self._minutes.setdefault(minute, Counter()).update(counts)
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
            self._older, self._counts = self._counts, {}
            self._age = object()
            self.crowded = False
