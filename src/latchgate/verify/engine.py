"""The shell: answers what a decision needs, from memory, from the store or by slow work.

Rule of this file: whatever goes wrong is a refusal. One lock per engine makes "read the bell,
decide" one step, so that an acknowledgement is never overtaken by an older accept (§6 rule 8).
Server and in-process verifier both decide here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import msgspec

from latchgate.core.model import (
    AccessToken,
    Credential,
    Decision,
    Facts,
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
from latchgate.store.bell import RINGS, Bell
from latchgate.store.errors import StoreError
from latchgate.store.reads import (
    PAGE,
    SCHEMA_HEAD,
    check_schema,
    read_changes,
    read_head,
    read_policy_files,
    read_records,
)
from latchgate.store.sqlite import connect, faults
from latchgate.verify.cache import Cache
from latchgate.verify.check import check
from latchgate.verify.gather import person, proven, recalled, stand_for
from latchgate.verify.walk import Claim, Derive, Need, Prove, Slow, Told

POLL_SECONDS = 0.1
_MAX_ATTEMPTS = 3
_T = TypeVar("_T")
_log = logging.getLogger(__name__)

Compile = Callable[[dict[str, str], int], Policy]


class Engine:
    """One cache over one SQLite database, and the decisions made with it.

    `clock` gives Unix seconds, `ticks` a clock that never jumps, `entropy` n random bytes,
    `compile_policy` turns published policy files and their version into a Policy, `passwords` works
    out digests of chosen passwords and `assertions` those of whom signed statements name,
    `on_decision` is told each decision, its request and its time.
    """

    def __init__(
        self,
        database: Path,
        *,
        clock: Callable[[], float],
        ticks: Callable[[], float],
        entropy: Callable[[int], bytes],
        compile_policy: Compile,
        passwords: Passwords,
        assertions: Assertions,
        on_decision: Callable[[Decision, Request, float], None],
    ) -> None:
        self._clock = clock
        self._ticks = ticks
        self._entropy = entropy
        self._compile = compile_policy
        self._passwords = passwords
        self._assertions = assertions
        self._on_decision = on_decision
        self._lock = threading.Lock()
        self._database = database
        self.incarnation = int.from_bytes(entropy(8), "big") | 1
        self._broken = False
        self._told = -1.0
        with ExitStack() as undo:
            self._reader = connect(database, durable=True, read_only=True)
            undo.callback(self._reader.close)
            # Idle and in autocommit: a half-read cursor would hide other writers' commits.
            self._watcher = connect(database, durable=True, read_only=True)
            undo.callback(self._watcher.close)
            check_schema(self._reader, SCHEMA_HEAD)
            self._bell = Bell.beside(database)
            self._words = self._bell.words
            undo.callback(self._bell.close)
            self._begin()
            self._slot = self._bell.join(self.incarnation, self.position)
            undo.pop_all()

    def _reopen(self) -> None:
        """Start over after the store failed: new connections, an empty memory."""
        self._reader.close()
        self._watcher.close()
        self._reader = connect(self._database, durable=True, read_only=True)
        self._watcher = connect(self._database, durable=True, read_only=True)
        self._begin()
        self._broken = False
        self._bell.acknowledge(self._slot, self.position)

    def _begin(self) -> None:
        self._seen = self._bell.rings()
        self._version = self._data_version()
        self._polled = self._ticks()
        position, self._epoch = read_head(self._reader)
        self._cache = Cache(position)
        self._policy_due = True
        self._renew_policy()

    @property
    def position(self) -> int:
        """The journal number that memory is exact at."""
        return self._cache.position

    def decide(self, request: Request) -> Decision:
        """Decide one request; a fault while deciding is a refusal with status 503, never a pass.

        Waits where a chosen password has to be worked out; an event loop takes `attempt`.
        """
        refused = None
        for _ in range(_MAX_ATTEMPTS):
            decision = self.attempt(request, refused)
            if isinstance(decision, Decision):
                return decision
            try:
                refused = self._submit(decision).result()
            except CancelledError:  # the pool was closed meanwhile
                refused = Refused(Reason.FAULT, "passwords are no longer checked here")
        return self._give_up(request, None)

    async def decide_later(
        self, request: Request, need: Slow, claim: Claim | None = None
    ) -> Decision:
        """Finish what `attempt` could not: wait for the digest, then decide anew."""
        due: Decision | Slow = need
        for _ in range(_MAX_ATTEMPTS):
            if isinstance(due, Decision):
                return due
            # Shielded: the work goes on when the caller is gone, so its permit stays taken (D4.31).
            refused = await asyncio.shield(asyncio.wrap_future(self._submit(due)))
            due = self.attempt(request, refused, claim)
        return due if isinstance(due, Decision) else self._give_up(request, claim)

    def _give_up(self, request: Request, claim: Claim | None) -> Decision:
        lost = Refused(Reason.PASSWORDS_BUSY, "its digest was lost")
        decision = self.attempt(request, lost, claim)
        return decision if isinstance(decision, Decision) else self._fault(Reason.FAULT, request)

    def _submit(self, need: Slow) -> Future[Refused | None]:
        if isinstance(need, Prove):
            return self._assertions.submit(need)
        return self._passwords.submit(need)

    def _recall(self, need: Slow) -> bytes | Refused | None:
        if isinstance(need, Prove):
            return self._assertions.recall(need)
        return self._passwords.recall(need)

    def attempt(
        self, request: Request, refused: Refused | None = None, claim: Claim | None = None
    ) -> Decision | Slow:
        """Decide one request, or return the slow work that it needs first; never waits for it.

        `refused` says why that work was not done, when it was not. With a `claim`, whether that
        stands is decided instead of what the request's headers present.
        """
        with self._lock:
            try:
                return self._decide(request, refused, claim)
            except StoreError:
                self._broken = True
                self._tell("a decision could not be made: the store failed")
                return self._fault(Reason.STORE_UNAVAILABLE, request)
            except Exception:  # noqa: BLE001 - whatever fails is a refusal
                self._tell("a decision could not be made")
                return self._fault(Reason.FAULT, request)

    def explain(self, request: Request) -> Decision:
        """Decide a request that nobody made: the same path, but neither kept nor counted.

        StoreError when the database can't be read.
        """
        with self._lock:
            try:
                self._follow_if_rung()
                # Nobody guesses passwords here: one that is not remembered is not worked out.
                busy = Refused(Reason.PASSWORDS_BUSY, "explain works out no password or signature")
                decision = self._run(request, self._clock(), busy)
            except StoreError:
                self._broken = True
                raise
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
        with self._lock:
            try:
                self._follow_if_rung()
                walk = steps(self._cache)
                need = next(walk)
                while True:
                    snapshot = read_records(self._reader, need.keys)
                    self._cache.insert(snapshot.number, snapshot.records.items())
                    need = walk.send(snapshot.records)
            except StopIteration as done:
                found: _T = done.value
                return found
            except StoreError:
                self._broken = True
                raise

    def _decide(
        self, request: Request, refused: Refused | None, claim: Claim | None
    ) -> Decision | Slow:
        # Read after the request arrived: what was revoked before it is announced by now.
        if (
            self._words[RINGS] != self._seen
            or self._ticks() - self._polled >= POLL_SECONDS
            or self._broken
        ):
            self._follow_if_rung()
        now = self._clock()
        decision = self._run(request, now, refused, claim)
        if isinstance(decision, Decision):
            self._on_decision(decision, request, now)
        return decision

    def _run(
        self, request: Request, now: float, refused: Refused | None, claim: Claim | None = None
    ) -> Decision | Slow:
        walk = check(
            request,
            policy=self.policy,
            now=now,
            cache=self._cache,
            new_id=self._new_id,
            claim=claim,
        )
        try:
            need = next(walk)
            while True:
                if isinstance(need, Derive | Prove):
                    told = self._recall(need) or refused
                    if told is None:
                        return need
                    need = walk.send(told)
                    continue
                snapshot = read_records(self._reader, need.keys)
                self._cache.insert(snapshot.number, snapshot.records.items())
                need = walk.send(snapshot.records)
        except StopIteration as done:
            decision: Decision = done.value
            return decision

    def _new_id(self) -> str:
        return self._entropy(10).hex()

    def follow(self) -> None:
        """Catch up with the journal if the bell has rung; for idle times and acknowledgements."""
        with self._lock:
            try:
                self._follow_if_rung()
            except Exception:  # noqa: BLE001 - the next decision meets the same fault, and refuses
                self._broken = True
                self._tell("the journal could not be followed")

    def _tell(self, what: str) -> None:
        """Log the exception under way, once a second at most: an outage must not fill a disk."""
        if self._ticks() - self._told >= 1.0:
            self._told = self._ticks()
            _log.exception(what)

    def _follow_if_rung(self) -> None:
        if self._broken:
            self._reopen()
        if self._bell.rings() != self._seen or self._ticks() - self._polled >= POLL_SECONDS:
            self._follow()

    def _follow(self) -> None:
        """Read the bell before the journal, so that every ring seen is in the rows read.

        The database's own version is looked at too: it catches a writer that died after its
        commit and before its ring.
        """
        self._polled = self._ticks()
        rings, version = self._bell.rings(), self._data_version()
        if rings == self._seen and version == self._version:
            return
        while True:
            changes = read_changes(self._reader, self._cache.position, epoch=self._epoch)
            if changes is None:
                # A backup was restored: what is remembered is of a history that never was (rule 2).
                self._broken = True  # until all was read anew: what fails half-way is refused
                self._begin()
                self._broken = False
                self._bell.acknowledge(self._slot, self.position)
                return
            self._policy_due = self._cache.advance(changes) or self._policy_due
            if len(changes) < PAGE:
                break
        self._renew_policy()
        self._seen, self._version = rings, version
        self._bell.acknowledge(self._slot, self._cache.position)

    def _renew_policy(self) -> None:
        """Load the newest policy when it changed; stays due, and refuses, until that succeeded."""
        if self._policy_due:
            version, files = read_policy_files(self._reader)
            self.policy = self._compile(files, version)
            self._policy_due = False

    def _data_version(self) -> int:
        with faults():
            version: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
        return version

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

    def head(self) -> int:
        """Return the journal's head as the file of the database has it now.

        StoreError when it can't be read. On a connection of its own: one that was open before
        answers from pages that it remembers, and goes on when the file was overwritten or is gone.
        """
        connection = connect(self._database, durable=True, read_only=True)
        try:
            return read_head(connection)[0]
        finally:
            connection.close()

    def pause(self) -> None:
        """Wait until no thread is inside the database, and keep them out until `resume`."""
        self._lock.acquire()

    def resume(self) -> None:
        """Let threads in again."""
        self._lock.release()

    def close(self) -> None:
        """Leave the bell and close the connections."""
        with self._lock:
            self._bell.leave(self._slot, self.incarnation)
            self._reader.close()
            self._watcher.close()
            self._bell.close()
