"""Any order of asking, answering, failing, cancelling and of time passing.

Flows are generators, so the interleavings of threads and processes are played here step by step:
two cloud objects stand for two processes that share a cache.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.client.issuer import Clock, Issuer, TokenCloud

from latchgate.client.errors import Unreachable
from latchgate.client.flow import Ask
from latchgate.client.renewal import Join, Pause
from latchgate.client.token import Token
from latchgate.client.token_cache import TokenCache

CLOUD = st.integers(0, 1)
WHICH = st.integers(0, 20)


@dataclass(eq=False)
class Asker:
    """One that asked for a token: where its flow stands."""

    cloud: TokenCloud
    refused: Token | None
    flow: Generator[Any, Any, Token]
    step: Any = None
    over: list[float] = field(default_factory=list)

    @property
    def waits(self) -> bool:
        """Whether another has to do something before this one goes on."""
        return isinstance(self.step, Join) and self.step.flight._waking is not None


class Renewing(RuleBasedStateMachine):
    """Several who ask, in two processes."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock, self.issuer = Clock(), Issuer()
        cache = TokenCache(self.folder / "tokens", patience=1e9) if self.shared else None
        self.clouds = [TokenCloud(cache, self.clock) for _ in range(2)]
        self.askers: list[Asker] = []

    def teardown(self) -> None:
        """Whatever happened, all who still ask get a token, and nothing is left behind."""
        for turn in range(2000):
            ready = [one for one in self.askers if not one.waits]
            if not ready:
                break
            self.answered(ready[turn % len(ready)])
        assert not self.askers
        assert {one.suffix for one in self.folder.glob("*/*")} <= {".json"}
        shutil.rmtree(self.folder)

    def moved(self, asker: Asker, answer: Any = None, error: BaseException | None = None) -> None:
        """Go on with a flow, and check what it ends with."""
        first = asker.step is None
        try:
            asker.step = asker.flow.throw(error) if error else asker.flow.send(answer)
        except StopIteration as ended:
            self.check(asker, ended.value)
        except (Unreachable, asyncio.CancelledError):
            assert error is not None or not first
        else:
            if first:
                self.askers.append(asker)
            return
        if not first:
            self.askers.remove(asker)

    def check(self, asker: Asker, token: Token) -> None:
        now = self.clock.now
        assert token.live(now) or token is asker.refused or isinstance(asker.step, Join)
        if asker.refused is not None and token.same(asker.refused):
            assert token.settled(now)

    def answered(self, asker: Asker) -> None:
        if isinstance(asker.step, Ask):
            self.issuer.arrive(asker.step.request)
            self.moved(asker, self.issuer.answer(len(self.issuer.exchanges)))
        else:
            self.moved(asker, answer=True)

    @rule(cloud=CLOUD)
    def ask(self, cloud: int) -> None:
        one = self.clouds[cloud]
        self.moved(Asker(one, None, one.renewal.obtain(one)))

    @rule(cloud=CLOUD)
    def ask_after_refusal(self, cloud: int) -> None:
        one = self.clouds[cloud]
        held = one.renewal._token
        if held is not None:
            self.moved(Asker(one, held, one.renewal.obtain(one, held)))

    @rule(which=WHICH)
    def answer(self, which: int) -> None:
        ready = [one for one in self.askers if not one.waits]
        if ready:
            self.answered(ready[which % len(ready)])

    @rule(which=WHICH)
    def fail(self, which: int) -> None:
        asking = [one for one in self.askers if isinstance(one.step, Ask)]
        if asking:
            self.moved(asking[which % len(asking)], error=Unreachable("no route"))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        if self.askers:
            self.moved(self.askers[which % len(self.askers)], error=asyncio.CancelledError())

    @rule(cloud=CLOUD)
    def forget(self, cloud: int) -> None:
        if self.shared:  # else what was being fetched goes on beside what is fetched anew
            self.clouds[cloud].forget()

    @rule(seconds=st.sampled_from([1, 31, 100, 860, 2000, -30, -7200]))
    def pass_time(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def one_exchange_at_most_is_in_flight(self) -> None:
        asking = [one.cloud for one in self.askers if isinstance(one.step, Ask)]
        assert len(asking) <= (1 if self.shared else len(set(asking)))

    @invariant()
    def whoever_waits_waits_for_somebody(self) -> None:
        for one in self.askers:
            if one.waits:
                others = [other for other in self.askers if other.cloud is one.cloud]
                assert any(isinstance(other.step, Ask | Pause) for other in others)


class RenewingInMemory(Renewing):
    """Several who ask, in two processes that share nothing."""

    shared = False


TestRenewing = Renewing.TestCase
TestRenewingInMemory = RenewingInMemory.TestCase
for _case in (TestRenewing, TestRenewingInMemory):
    _case.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
