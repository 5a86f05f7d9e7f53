"""A declaration as a lease: when gateways may be let remember, and when it is over for good."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.world import until

from latchgate.store.errors import StoreError
from latchgate.store.gateway_tails import Tail
from latchgate.store.source import KNOWN_SECONDS
from latchgate.verify import gateway_tail
from latchgate.verify.gateway_tail import (
    FRESH_SECONDS,
    GatewayTail,
    Remembering,
    Withdrawals,
    tail,
)
from latchgate.verify.receipt import RATE


class Tails:
    """Stands for the table: what was declared, and what was withdrawn."""

    def __init__(self, *, raised: bool = True) -> None:
        self.raised = raised
        self.fails = False
        self.beats: dict[float, int] = {}
        self.withdrawn: list[Tail] = []

    def declare(self, seconds: float) -> bool:
        if self.fails:
            msg = "it can't be reached"
            raise StoreError(msg)
        self.beats[seconds] = self.beats.get(seconds, -1) + 1
        return self.raised

    def declared(self) -> list[Tail]:
        return [Tail(*one) for one in self.beats.items()]

    def withdraw(self, seen: Tail) -> None:
        self.withdrawn.append(seen)
        del self.beats[seen.seconds]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def over(tails: Any, clock: Clock, *, distant: bool = False) -> GatewayTail:
    return GatewayTail(tails, Remembering(4.0, 6.5), boot=clock, distant=distant)


def counts(one: GatewayTail) -> bool:
    return one.since is not None


def test_a_tail_holds_the_whole_second_and_both_clocks():
    # A revoker whose clock runs fast by RATE waits for the seconds, one more and the margin.
    assert tail(4, 0.5) == RATE * 5.5


def test_nothing_is_remembered_before_it_is_declared():
    assert over(Tails(), Clock()).since is None


def test_a_declaration_lasts_for_its_time_and_no_longer():
    clock = Clock()
    one = over(Tails(), clock)
    one.declare()
    assert counts(one)
    clock.now += FRESH_SECONDS - 0.1
    assert counts(one)
    clock.now += 0.1
    assert not counts(one)


def test_it_counts_from_before_it_was_written():
    clock, tails = Clock(), Tails()
    one = over(tails, clock)

    def slow(_seconds: float) -> bool:
        clock.now += FRESH_SECONDS
        return False

    tails.declare = slow  # type: ignore[assignment, method-assign]
    one.declare()
    assert not counts(one)


def test_what_cannot_be_declared_again_ends():
    clock, tails = Clock(), Tails()
    one = over(tails, clock)
    one.declare()
    tails.fails = True
    clock.now += FRESH_SECONDS
    with pytest.raises(StoreError):
        one.declare()
    assert not counts(one)
    tails.fails = False
    one.declare()
    assert counts(one)


@pytest.mark.parametrize("raised", [True, False])
def test_on_many_machines_it_begins_once_all_have_learnt_of_it(raised):
    # Also where another worker wrote it first, a moment ago.
    clock = Clock()
    one = over(Tails(raised=raised), clock, distant=True)
    one.declare()
    assert not counts(one)
    clock.now += KNOWN_SECONDS - 0.1
    assert not counts(one)
    clock.now += 0.1
    # Memory that was renewed from here on counts: it knows what was revoked without waiting for it.
    assert one.since == clock.now


def test_a_history_that_lacked_it_has_to_be_learnt_anew():
    clock, tails = Clock(), Tails(raised=False)
    one = over(tails, clock, distant=True)
    one.declare()
    clock.now += KNOWN_SECONDS
    one.declare()
    assert counts(one)
    tails.raised = True
    one.declare()
    assert not counts(one)
    clock.now += KNOWN_SECONDS
    assert counts(one)


def test_it_is_declared_again_and_again_until_it_is_closed(monkeypatch):
    monkeypatch.setattr(gateway_tail, "_AGAIN_SECONDS", 0.01)
    tails = Tails()
    one = GatewayTail(tails, Remembering(4.0, 6.5), boot=time.monotonic, distant=False)  # type: ignore[arg-type]
    one.start()
    until(lambda: tails.beats[6.5] > 3)
    tails.fails = True
    time.sleep(0.05)
    tails.fails = False
    before = tails.beats[6.5]
    until(lambda: tails.beats[6.5] > before)
    assert counts(one)
    one.close()
    assert not counts(one)
    before = tails.beats[6.5]
    time.sleep(0.05)
    assert tails.beats[6.5] == before


# --- when it is over


OVER = RATE * (FRESH_SECONDS + 6.5)


def looked(judge: Withdrawals, tails: Any, clock: Clock, after: float) -> None:
    clock.now += after
    judge.look(tails, clock)


def test_it_is_withdrawn_once_nothing_remembered_by_it_can_be_left():
    judge, tails, clock = Withdrawals(), Tails(), Clock()
    tails.declare(6.5)
    looked(judge, tails, clock, 0.0)
    looked(judge, tails, clock, OVER)
    assert tails.withdrawn == []
    looked(judge, tails, clock, 0.1)
    assert tails.withdrawn == [Tail(6.5, 0)]


def test_what_is_declared_again_begins_anew():
    judge, tails, clock = Withdrawals(), Tails(), Clock()
    for _ in range(5):
        tails.declare(6.5)
        looked(judge, tails, clock, OVER)
    assert tails.withdrawn == []


def test_each_tail_has_its_own_time():
    judge, tails, clock = Withdrawals(), Tails(), Clock()
    tails.declare(6.5)
    tails.declare(40.0)
    looked(judge, tails, clock, 0.0)
    looked(judge, tails, clock, OVER + 0.1)
    assert tails.withdrawn == [Tail(6.5, 0)]


def test_another_process_that_takes_over_begins_anew():
    tails, clock = Tails(), Clock()
    tails.declare(6.5)
    for _ in range(3):
        judge = Withdrawals()
        looked(judge, tails, clock, 0.0)
        looked(judge, tails, clock, OVER)
    assert tails.withdrawn == []
