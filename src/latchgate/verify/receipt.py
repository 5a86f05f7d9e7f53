"""One receipt: who it names, and when nobody can decide any more by what a change took away.

Rule of this file: nothing here waits or asks; rules 11 to 15 of ARCHITECTURE §6, as arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from latchgate.store.bell import Listener
from latchgate.store.errors import StoreError
from latchgate.store.verifiers import Follower, Following

RATE = 1.25  # how much faster one clock may run than another
# How long the first try to list may take before it counts as failed.
PATIENCE_SECONDS = 5.0


class ReceiptError(StoreError):
    """A change was made, and whom it has reached can't be known; never given as a receipt."""


@dataclass(frozen=True, slots=True)
class Named:
    """A verifier as a receipt names it.

    `node` and `trust` (seconds) are None for a cache on this machine: it believes nothing without
    a look at the bell. `stale` says that its trust is a bound above its lease, chosen so that it
    decides on while the database can't be reached.
    """

    id: str
    kind: str
    node: str | None
    process: int
    trust: float | None
    stale: bool
    state: str  # acknowledged, lapsed


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who dropped it: each verifier, and whether it said so or its trust ran out.

    `elapsed` is seconds. Without `known` nobody could list them: so long was waited that none
    trusts what it remembers from before. Without `waited` nobody was waited for. `gateway_tail` is
    for how much of it gateways that remember were waited for (seconds).
    """

    journal: int
    elapsed: float
    acknowledged: tuple[Listener | Follower, ...]
    lapsed: tuple[Listener | Follower, ...]
    known: bool = True
    waited: bool = True
    gateway_tail: float = 0.0

    @property
    def verifiers(self) -> tuple[Named, ...]:
        """Each by its name, those that acknowledged first."""
        return tuple(
            _named(one, state)
            for state, ones in (("acknowledged", self.acknowledged), ("lapsed", self.lapsed))
            for one in ones
        )


def _named(one: Listener | Follower, state: str) -> Named:
    if isinstance(one, Listener):
        return Named(listener_id(one), "node", None, one.process_id, None, stale=False, state=state)
    return Named(one.incarnation, one.kind, one.node, one.process, one.trust, one.stale, state)


def listener_id(one: Listener) -> str:
    """Return the name of a cache on this machine."""
    return f"{one.incarnation:016x}"


def unwaited(journal: int) -> Receipt:
    """Return what is told to somebody who did not want to wait: the number to ask for later."""
    return Receipt(journal, 0.0, (), (), known=False, waited=False)


@dataclass(frozen=True, slots=True)
class Promise:
    """What is known of all verifiers without listing them, in seconds."""

    max_trust: float
    gateway_tail: float


@dataclass(frozen=True, slots=True)
class _Heard:
    """What is known at one time: replaced as one, for it is read on another thread.

    Those `gone` have no row any more: they decide nothing, and never said that they dropped it.
    `shaken` says that acknowledgements prove nothing: history changed, or had not settled yet.
    """

    promise: Promise | None
    listed: Following | None = None
    dropped: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    shaken: bool = False
    failed: bool = False

    @property
    def late(self) -> tuple[Follower, ...]:
        """Those who may still decide by what was before."""
        if self.listed is None:
            return ()
        everybody = self.listed.followers
        if self.shaken:
            return everybody
        done = self.dropped | self.gone
        return tuple(one for one in everybody if one.incarnation not in done)


class Wait:
    """One receipt under way: what was listed, and what was heard since. Nothing here waits."""

    __slots__ = ("_heard", "begun", "journal")

    def __init__(self, journal: int, promise: Promise | None, *, begun: float) -> None:
        self.journal = journal
        self.begun = begun
        self._heard = _Heard(promise)

    @property
    def listed(self) -> bool:
        """Whether it is known who followed."""
        return self._heard.listed is not None

    @property
    def open(self) -> bool:
        """Whether news can shorten it."""
        heard = self._heard
        return not heard.shaken and (heard.listed is None or bool(heard.late))

    def fail(self) -> None:
        """Note that nobody could be listed so far."""
        self._heard = replace(self._heard, failed=True)

    def hear(self, now: Following, reached: Mapping[str, int]) -> bool:
        """Take what was read: who follows, the first time; who dropped it, ever after.

        `reached` is what each of them acknowledged. Returns whether that changes anything.
        """
        heard = self._heard
        listed = heard.listed or now
        late = listed.followers if heard.listed is None else heard.late
        # Whoever is gone left once it decided nothing any more, or was long told off (rule 10).
        gone = {one.incarnation for one in late if one.incarnation not in reached}
        dropped = {
            one.incarnation
            for one in late
            if one.incarnation in reached and reached[one.incarnation] >= self.journal
        }
        # Numbers belong to one history: what another acknowledges says nothing (rule 15).
        shaken = not now.settled or now.history != listed.history
        if heard.listed is not None and not dropped and not gone and not shaken:
            return False
        before = heard.promise or Promise(0.0, 0.0)
        tail = now.gateway_tail
        if heard.shaken or shaken:
            # What this history tells may lack what was declared on the one before.
            tail = max(tail, before.gateway_tail)
        self._heard = _Heard(
            promise=Promise(max(now.max_trust, before.max_trust), tail),
            listed=listed,
            dropped=heard.dropped | dropped,
            gone=heard.gone | gone,
            shaken=heard.shaken or shaken,
            failed=heard.failed,
        )
        return True

    def due(self) -> float:
        """Return how long after the commit the wait ends, without further news (seconds)."""
        heard = self._heard
        if heard.promise is None:
            return PATIENCE_SECONDS
        worst = RATE * heard.promise.max_trust
        if heard.listed is None:
            # Where nobody trusts anything for a while, listing them has its time all the same.
            return worst if heard.failed else worst or PATIENCE_SECONDS
        longest = max((RATE * one.trust for one in heard.late), default=0.0)
        return max(worst, longest) if heard.shaken else longest

    def check(self) -> None:
        """Raise ReceiptError where neither who follows nor what they were promised is known."""
        if self._heard.promise is None:
            msg = f"whom change {self.journal} has reached is not known"
            raise ReceiptError(msg)

    @property
    def tail(self) -> float:
        """For how long gateways go on by what they remember (rule 13; seconds)."""
        promise = self._heard.promise
        return promise.gateway_tail if promise is not None else 0.0

    @property
    def known(self) -> tuple[bool, tuple[Follower, ...], tuple[Follower, ...]]:
        """Whether somebody could list them; who acknowledged it, and who lapsed."""
        heard = self._heard
        if heard.listed is None:
            return False, (), ()
        said = heard.dropped if not heard.shaken else frozenset[str]()
        everybody = heard.listed.followers
        done = tuple(one for one in everybody if one.incarnation in said)
        return True, done, tuple(one for one in everybody if one.incarnation not in said)
