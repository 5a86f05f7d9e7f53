"""Tails that are declared, and what receipts are told of them, over both databases."""

from __future__ import annotations

import pytest
from tests.world import World

from latchgate.store.duty import JOBS, read_duty
from latchgate.store.gateway_tails import GatewayTails, Tail
from latchgate.store.verifiers import Verifiers

pytestmark = pytest.mark.both_databases


@pytest.fixture
def world(tmp_path, place):
    made = World(tmp_path, databases=place)
    yield made
    made.close()


@pytest.fixture
def tails(world):
    return GatewayTails(world.store)


@pytest.fixture
def waited(world):
    return lambda: Verifiers(world.store).listed().gateway_tail


def test_nothing_is_waited_for_before_anybody_declares_something(tails, waited):
    assert (waited(), tails.declared()) == (0.0, [])


def test_what_is_declared_is_what_every_receipt_waits_for(tails, waited):
    assert tails.declare(6.25)
    assert (waited(), tails.declared()) == (6.25, [Tail(6.25, 0)])
    assert not tails.declare(6.25)
    assert (waited(), tails.declared()) == (6.25, [Tail(6.25, 1)])


def test_the_longest_of_several_counts(tails, waited):
    assert tails.declare(6.25)
    assert not tails.declare(3.5)
    assert waited() == 6.25
    assert tails.declare(40.0)
    assert waited() == 40.0


def test_what_is_withdrawn_leaves_the_longest_of_the_others(tails, waited):
    for seconds in (3.5, 6.25, 40.0):
        tails.declare(seconds)
    tails.withdraw(Tail(40.0, 0))
    assert waited() == 6.25
    tails.withdraw(Tail(3.5, 0))
    assert waited() == 6.25
    tails.withdraw(Tail(6.25, 0))
    assert (waited(), tails.declared()) == (0.0, [])


def test_what_was_declared_again_since_it_was_seen_stays(tails, waited):
    tails.declare(6.25)
    (seen,) = tails.declared()
    tails.declare(6.25)
    tails.withdraw(seen)
    assert (waited(), tails.declared()) == (6.25, [Tail(6.25, 1)])


def test_a_withdrawal_of_what_is_gone_changes_nothing(tails, waited):
    tails.declare(6.25)
    tails.withdraw(Tail(9.0, 0))
    assert waited() == 6.25


def test_it_is_nobodys_duty(world, tails):
    tails.declare(6.25)
    assert read_duty(world.store, JOBS) is None
