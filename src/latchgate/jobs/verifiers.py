"""Takes verifiers off the list that write their rows no more, and settles a new history.

Rule of this file: ARCHITECTURE §6, rules 10 and 15. Time is what passes on this process's own clock
since it saw something itself; when another process takes over, it begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from latchgate.jobs.job import Job, Work
from latchgate.store.verifiers import LEAVING, Follower, Following, Verifiers
from latchgate.verify.receipt import RATE

# Beyond its trust a verifier refuses, or reads for every request; that is no reason to make it
# forget all it knows the moment that a network is slow.
MARGIN_SECONDS = 10.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row as it was seen first, and when."""

    state: str
    beat: int
    since: float


class Removal:
    """What was seen, and since when."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._history: tuple[str, str] | None = None
        self._unsettled: tuple[tuple[str, str], float, float] | None = None

    def run(self, work: Work) -> None:
        """Look once; StoreError when the database can't be used."""
        verifiers = Verifiers(work.store)
        found = verifiers.looked()
        now = work.ticks()  # after the read: from then on it was so
        if found.history != self._history:
            # What a database showed that was replaced may have happened nowhere else.
            self._seen, self._history = {}, found.history
        known = {one.incarnation for one in found.followers}
        self._seen = {name: seen for name, seen in self._seen.items() if name in known}
        for one in found.followers:
            self._judge(verifiers, one, now)
        self._settle(verifiers, found, now)

    def _judge(self, verifiers: Verifiers, one: Follower, now: float) -> None:
        seen = self._seen.get(one.incarnation)
        if seen is None or (seen.state, seen.beat) != (one.state, one.beat):
            self._seen[one.incarnation] = _Seen(one.state, one.beat, now)
            return
        quiet = now - seen.since
        if one.state == LEAVING:
            if quiet > RATE * one.trust:
                verifiers.remove(one)
        elif quiet > RATE * one.trust + MARGIN_SECONDS:
            verifiers.expel(one)

    def _settle(self, verifiers: Verifiers, found: Following, now: float) -> None:
        if found.settled:
            self._unsettled = None
            return
        # A longer trust than before counts from when it was seen: it may be of before, too.
        seen = self._unsettled
        if seen is None or seen[:2] != (found.history, found.max_trust):
            self._unsettled = (found.history, found.max_trust, now)
            verifiers.adopt()
            return
        if now - seen[2] > RATE * found.max_trust:
            verifiers.settle(found)


VERIFIERS = Job("verifiers", _LOOK_SECONDS, Removal().run)
