"""The shell: answers what a decision needs, from memory, from the store or by slow work.

Rule of this file: whatever goes wrong is a refusal. One lock per engine makes "look whether memory
may be believed, decide" one step, so that an acknowledgement is never overtaken by an older accept
(§6 rule 8). How memory is kept right is another's: exactly, beside a SQLite database
(`bell_engine.py`), or under a lease where the records are elsewhere (`lease_engine.py`). Server and
in-process verifier both decide here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future
from typing import TypedDict, TypeVar, Unpack

import msgspec

from latchgate.core.model import (
    AccessToken,
    Credential,
    Decision,
    Facts,
    Grant,
    Key,
    Presented,
    Record,
    Refused,
    Request,
    Token,
)
from latchgate.core.policy import Policy
from latchgate.core.reason import Reason, Step
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store.errors import StoreError
from latchgate.verify.cache import Cache, Moment
from latchgate.verify.check import begin, check
from latchgate.verify.decision_ids import DecisionIds
from latchgate.verify.ends import ends_at
from latchgate.verify.gather import person, proven, recalled, stand_for
from latchgate.verify.given import NOTHING, Aside, Given, given_by, read_for
from latchgate.verify.passes import Passes
from latchgate.verify.walk import Claim, Derive, Fetch, Need, Prove, Records, Slow, Told

_MAX_ATTEMPTS = 8  # some reads and a password; more only where all changes as fast as it is read
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class EngineParts(TypedDict):
    """What every engine is made with.

    `clock` gives Unix seconds, `ticks` a clock that never jumps, `entropy` n random bytes,
    `compile_policy` turns published policy files and their version into a Policy, `passwords` works
    out digests of chosen passwords and `assertions` those of whom signed statements name,
    `on_decision` is told each decision, its request and its time.
    """

    clock: Callable[[], float]
    ticks: Callable[[], float]
    entropy: Callable[[int], bytes]
    compile_policy: Callable[[dict[str, str], int], Policy]
    passwords: Passwords
    assertions: Assertions
    on_decision: Callable[[Decision, Request, float], None]


class Engine(ABC):
    """One cache, and the decisions made with it.

    `settle` returns once what had been decided before was answered; whoever answers by way of an
    event loop sets it.
    """

    policy: Policy
    incarnation: int
    history: int = 0  # counts the histories that memory was of: each has numbers of its own
    waits = False  # whether what reads records may wait for a network
    settle: Callable[[], None]

    def __init__(self, **parts: Unpack[EngineParts]) -> None:
        self._clock = parts["clock"]
        self._ticks = parts["ticks"]
        self._entropy = parts["entropy"]
        self._compile = parts["compile_policy"]
        self._passwords = parts["passwords"]
        self._assertions = parts["assertions"]
        self._on_decision = parts["on_decision"]
        self._lock = threading.Lock()
        self._passes = Passes(self._entropy)
        self._new_id = DecisionIds(self._entropy).draw
        self._told = -1.0
        self._cache: Cache
        self.settle = _nothing

    @property
    def position(self) -> int:
        """The journal number that memory follows up to."""
        return self._cache.position

    def moment(self) -> Moment:
        """Return where memory is, when it may be believed; StoreError when it may not.

        What was read after one call of this is right for as long as later ones return the same.
        """
        with self._lock:
            cache = self._believed()
            if cache is None:
                msg = "the journal is not being followed in time"
                raise StoreError(msg)
            return self.history, cache.position

    def decide(self, request: Request) -> Decision:
        """Decide one request; a fault while deciding is a refusal with status 503, never a pass.

        Waits where a chosen password has to be worked out, or a record is elsewhere; an event loop
        takes `attempt`.
        """
        given = NOTHING
        for _ in range(_MAX_ATTEMPTS):
            decision = self.attempt(request, given)
            if isinstance(decision, Decision):
                return decision
            try:
                given = given.then(self._submit(decision).result())
            except CancelledError:  # the pool was closed meanwhile
                closed = Refused(Reason.FAULT, "nothing slow is done here any more")
                given = given.then(Given(closed, failed=True))
        return self._give_up(request, given, None)

    async def decide_later(
        self, request: Request, need: Slow, claim: Claim | None = None
    ) -> Decision:
        """Finish what `attempt` could not: wait for the slow work, then decide anew."""
        due: Decision | Slow = need
        given = NOTHING
        for _ in range(_MAX_ATTEMPTS):
            if isinstance(due, Decision):
                return due
            # Shielded: the work goes on when the caller is gone, so its permit stays taken (D4.31).
            given = given.then(await asyncio.shield(asyncio.wrap_future(self._submit(due))))
            due = self.attempt(request, given, claim)
        return due if isinstance(due, Decision) else self._give_up(request, given, claim)

    def _give_up(self, request: Request, given: Given, claim: Claim | None) -> Decision:
        lost = given.then(Given(Refused(Reason.PASSWORDS_BUSY, "its digest was lost"), failed=True))
        decision = self.attempt(request, lost, claim)
        return decision if isinstance(decision, Decision) else self._fault(Reason.FAULT, request)

    def _submit(self, need: Slow) -> Future[Given]:
        if isinstance(need, Fetch):
            return self._fetch(need)
        if isinstance(need, Prove):
            return given_by(self._assertions.submit(need))
        return given_by(self._passwords.submit(need))

    def _recall(self, need: Derive | Prove) -> bytes | Refused | None:
        if isinstance(need, Prove):
            return self._assertions.recall(need)
        return self._passwords.recall(need)

    def attempt(
        self, request: Request, given: Given | None = None, claim: Claim | None = None
    ) -> Decision | Slow:
        """Decide one request, or return the slow work that it needs first; never waits for it.

        `given` says what came of the work that it needed before. With a `claim`, whether that
        stands is decided instead of what the request's headers present.
        """
        with self._lock:
            try:
                # Looked at after the request arrived: what was revoked before it holds (§6 rule 7).
                cache, now = self._believed(), self._clock()
                passes = self._passes if claim is None else None
                if cache is not None and passes is not None:
                    known = passes.recall(request, self.policy, cache, now)
                    if known is not None:
                        self._on_decision(known, request, now)
                        return known
                decision = self._decided(request, now, given or NOTHING, claim, cache, passes)
                if isinstance(decision, Decision):
                    self._on_decision(decision, request, now)
            except StoreError:
                self._broke()
                self._tell("a decision could not be made: the store failed")
                return self._fault(Reason.STORE_UNAVAILABLE, request)
            except Exception:  # noqa: BLE001 - whatever fails is a refusal
                self._tell("a decision could not be made")
                return self._fault(Reason.FAULT, request)
            return decision

    def ends_at(self, grant: Grant) -> float | None:
        """Return when a grant ends by itself (Unix seconds, infinity: never); None if unknown."""
        with self._lock:
            return ends_at(self._cache, grant)

    def explain(self, request: Request) -> Decision:
        """Decide a request that nobody made: the same path, but neither kept nor counted.

        Waits where a record is elsewhere. StoreError when the database can't be read.
        """
        # Nobody guesses passwords here: one that is not remembered is not worked out.
        busy = Given(Refused(Reason.PASSWORDS_BUSY, "explain works out no password or signature"))
        decision = self._waited(
            lambda given: self._decided(request, self._clock(), given, None, self._believed()), busy
        )
        return decision if isinstance(decision, Decision) else self._fault(Reason.FAULT, request)

    def refused(
        self, request: Request, refused: Refused, credential: Credential | None, what: str
    ) -> str:
        """Keep a refusal that a door found by itself, so that it is explained; returns its id.

        It is counted and told as every decision is: to the tenant of `credential`, or where that is
        None to the operator. `what` names what was presented.
        """
        now = self._clock()
        decision = msgspec.structs.replace(
            self._fault(refused.reason, request),
            trace=((Step.READ, False, (what, refused.detail)),),
            credential=credential,
        )
        self._on_decision(decision, request, now)
        return decision.id

    def standing(self, kind: str, token: Token | AccessToken) -> Facts | None:
        """Return what a token would stand for now, before it is signed; None without its source.

        StoreError when the database can't be read.
        """

        def steps(cache: Cache) -> Generator[Need, Told, Facts | None]:
            return (yield from stand_for(cache, kind, token, b""))

        return self._ask(steps)

    def proven(self, presented: Presented) -> Facts | None:
        """Return what a signed token stands for now; None unless this very text was signed here.

        Whether it has ended, and from where it may be used, is for the caller to judge: nobody
        came with it. StoreError when the database can't be read.
        """
        return self._ask(lambda cache: proven(cache, presented))

    def person(self, credential: Credential) -> Facts:
        """Return what somebody signed in stands for now; StoreError when that can't be read.

        `credential` is what their session is: it is kept nowhere.
        """
        return self._ask(lambda cache: person(cache, credential))

    def records(self, keys: Iterable[Key]) -> dict[Key, Record | None]:
        """Return records, from memory where they are remembered; None for one that isn't there.

        StoreError when the database can't be read.
        """
        wanted = tuple(keys)

        def steps(cache: Cache) -> Generator[Need, Told, dict[Key, Record | None]]:
            return (yield from recalled(cache, wanted))

        return self._ask(steps)

    def _ask(self, steps: Callable[[Cache], Generator[Need, Told, _T]]) -> _T:
        def ask(given: Given) -> _T | Slow:
            cache = self._believed()
            if cache is not None:
                return self._run(steps(cache), given, cache)
            aside = self._aside(given)
            # Which records it takes shows from an empty memory; they are read with proof.
            cache = aside.cache if aside is not None else Cache(0)
            return read_for(aside, self._run(steps(cache), given, cache), given)

        found = self._waited(ask, NOTHING)
        if isinstance(found, Derive | Prove | Fetch):
            msg = "the records change faster than they can be read"
            raise StoreError(msg)
        return found

    def _waited(self, step: Callable[[Given], _T | Slow], given: Given) -> _T | Slow:
        """Take a step again and again, waiting for the reads that it needs; StoreError."""
        attempts = 0
        while True:
            with self._lock:
                try:
                    found = step(given)
                except StoreError:
                    self._broke()
                    raise
            attempts += 1
            if not isinstance(found, Fetch) or attempts == _MAX_ATTEMPTS:
                return found
            given = given.then(self._fetch(found).result())

    def _decided(
        self,
        request: Request,
        now: float,
        given: Given,
        claim: Claim | None,
        believed: Cache | None,
        passes: Passes | None = None,
    ) -> Decision | Slow:
        policy = self.policy
        if believed is not None:
            begun = begin(
                request, policy=policy, now=now, cache=believed, new_id=self._new_id, claim=claim,
                passes=passes,
            )  # fmt: skip
            return begun if isinstance(begun, Decision) else self._run(begun, given, believed)
        aside = self._aside(given)
        cache, policy = (aside.cache, aside.policy) if aside is not None else (Cache(0), policy)
        steps = check(
            request, policy=policy, now=now, cache=cache, new_id=self._new_id, claim=claim
        )
        return read_for(aside, self._run(steps, given, cache), given)

    def _aside(self, given: Given) -> Aside | None:
        """Return what was read aside, unless memory has moved on since."""
        aside = given.aside
        here = self.history, self._cache.position
        return aside if aside is not None and aside.moment == here else None

    def _run(
        self,
        walk: Generator[Need | Derive | Prove, Told, _T],
        given: Given,
        cache: Cache,
    ) -> _T | Slow:
        """Go on until it ends or needs what takes time."""
        try:
            need = next(walk)
            while True:
                if isinstance(need, Derive | Prove):
                    told = self._recall(need) or given.refused
                    if told is None:
                        return need
                    need = walk.send(told)
                    continue
                records = self._read(need.keys, cache)
                if isinstance(records, Fetch):
                    return given.further(records)
                need = walk.send(records)
        except StopIteration as done:
            found: _T = done.value
            return found

    def _tell(self, what: str) -> None:
        """Log the exception under way, once a second at most: an outage must not fill a disk."""
        if self._ticks() - self._told >= 1.0:
            self._told = self._ticks()
            _log.exception(what)

    def _fault(self, reason: Reason, request: Request) -> Decision:
        path = request.target.partition("?")[0]
        return Decision(
            id=self._new_id(),
            reason=reason,
            area=None,
            rule=None,
            grant=None,
            dialect=self.policy.dialect(path),
            policy_version=self.policy.version,
            journal=self._cache.position,
            trace=(),
        )

    @abstractmethod
    def _believed(self) -> Cache | None:
        """Return memory where it may be believed now, None where all is to be read for the request.

        StoreError where neither can be had. Called under the lock.
        """

    @abstractmethod
    def _read(self, keys: tuple[Key, ...], cache: Cache) -> Records | Fetch:
        """Read records into a cache at once, or return the work that it takes. StoreError."""

    @abstractmethod
    def _fetch(self, need: Fetch) -> Future[Given]:
        """Begin to read what is elsewhere; its outcome never raises."""

    @abstractmethod
    def _broke(self) -> None:
        """Note that the store failed within a decision. Called under the lock."""

    @abstractmethod
    def follow(self) -> None:
        """Catch up with the journal where that takes no wait; for idle times."""

    @abstractmethod
    def trust_left(self, since: float) -> float:
        """Return for how long memory may be believed if nothing is heard (seconds).

        0 where that rests on what was heard before `since`, on the clock of leases. Infinity where
        each decision looks anew.
        """

    @abstractmethod
    def head(self) -> int:
        """Return the journal's head as the database has it now; StoreError where it has none."""

    @abstractmethod
    def ready(self) -> str | None:
        """Return why requests can't be decided now; None when they can. Waits for the database."""

    def pause(self) -> None:
        """Wait until no thread is inside the database, and keep them out until `resume`."""
        self._lock.acquire()

    def resume(self) -> None:
        """Let threads in again."""
        self._lock.release()

    @abstractmethod
    def close(self) -> None:
        """Stop following and close the connections."""


def _nothing() -> None:
    """Wait for nothing: who asks has the answer at once."""
