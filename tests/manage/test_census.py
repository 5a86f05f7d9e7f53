"""How many credentials there are: exact when counted, and never counted at whoever's pace."""

from __future__ import annotations

import pytest

from latchgate.manage.census import SHARE, Census

pytestmark = pytest.mark.both_databases

KIND = "wayscloud.service_key"


class Ticks:
    """A clock that goes on by itself each time it is looked at, as work does."""

    def __init__(self):
        self.now, self.step = 100.0, 0.5

    def __call__(self):
        self.now += self.step
        return self.now


def over(world, ticks):
    return Census(world.store, clock=lambda: 1.8e9, ticks=ticks)


def of_kind(census):
    return {state: number for (kind, state), number in census.counts().items() if kind == KIND}


def test_each_credential_is_counted_in_the_first_state_that_applies(world):
    active, revoked, expired = world.key(), world.key(), world.key(expires_at=1.7e9)
    world.revoke(revoked)
    assert of_kind(over(world, Ticks())) == {"active": 1, "revoked": 1, "expired": 1}
    world.revoke(active)
    world.revoke(expired)
    assert of_kind(over(world, Ticks())) == {"revoked": 3}


def test_what_was_counted_is_told_until_a_hundred_times_as_long_has_passed(world):
    ticks = Ticks()
    census = over(world, ticks)
    world.key()
    assert of_kind(census) == {"active": 1}
    ended = ticks.now
    world.key()
    ticks.now = ended + SHARE * 0.5 - 1.0
    assert of_kind(census) == {"active": 1}
    ticks.now = ended + SHARE * 0.5
    assert of_kind(census) == {"active": 2}
