"""The duty of running jobs as a lease in the database: one holder at a time, by clocks alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.world import World

from latchgate.jobs.duty import BEAT_SECONDS, FREE_SECONDS, STOP_SECONDS, TableDuty
from latchgate.store.duty import JOBS, read_duty
from latchgate.store.errors import OutcomeUnknownError, StoreError

RATE = 1.25
pytestmark = pytest.mark.both_databases


class Ticks:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Cut:
    """A store that a process is cut off from, or whose answers are lost."""

    def __init__(self, store):
        self._store = store
        self.off = False
        self.lost = False

    def reading(self):
        return self._through().reading()

    def writing(self):
        if self.lost:
            return _lost(self._store)
        return self._through().writing()

    def _through(self):
        if self.off:
            msg = "it can't be reached"
            raise StoreError(msg)
        return self._store


class _lost:  # noqa: N801 - used as a context manager alone
    """A commit that happens, and whose answer does not come."""

    def __init__(self, store):
        self._inner = store.writing()

    def __enter__(self):
        return self._inner.__enter__()

    def __exit__(self, *told):
        self._inner.__exit__(*told)
        msg = "the commit failed"
        raise OutcomeUnknownError(msg)


@pytest.fixture
def store(tmp_path, place):
    world = World(tmp_path, databases=place)
    yield world.store
    world.close()


@pytest.fixture
def ticks():
    return Ticks()


def duty(store: Any, holder: str, ticks: Ticks) -> TableDuty:
    return TableDuty(store, holder, ticks=ticks)


def test_the_first_takes_it_and_keeps_it_from_others(store, ticks):
    one, other = duty(store, "a", ticks), duty(store, "b", ticks)
    for _ in range(20):
        one.beat()
        other.beat()
        assert (one.mine(), other.mine()) == (True, False)
        ticks.now += BEAT_SECONDS
    held = read_duty(store, JOBS)
    assert held is not None
    assert held.holder == "a"


def test_another_takes_it_once_it_stood_still_for_long_enough_on_its_own_clock(store, ticks):
    one, slow = duty(store, "a", ticks), Ticks()
    slow.now = 0.0
    other = duty(store, "b", slow)
    one.beat()
    other.beat()
    slow.now = FREE_SECONDS - 0.1
    other.beat()
    assert not other.mine()
    slow.now = FREE_SECONDS
    other.beat()
    assert other.mine()


def test_who_is_cut_off_stops_before_another_may_begin(store, ticks):
    cut = Cut(store)
    one = duty(cut, "a", ticks)
    one.beat()
    cut.off = True
    ticks.now += STOP_SECONDS - 0.1
    one.beat()
    assert one.mine()
    ticks.now += 0.1
    assert not one.mine()
    assert STOP_SECONDS * RATE < FREE_SECONDS


def test_who_comes_back_after_another_took_it_runs_nothing(store, ticks):
    cut = Cut(store)
    one, other = duty(cut, "a", ticks), duty(store, "b", ticks)
    one.beat()
    other.beat()
    cut.off = True
    ticks.now += FREE_SECONDS
    other.beat()
    cut.off = False
    one.beat()
    assert (one.mine(), other.mine()) == (False, True)


def test_who_comes_back_before_that_goes_on(store, ticks):
    cut = Cut(store)
    one = duty(cut, "a", ticks)
    one.beat()
    cut.off = True
    ticks.now += 12
    one.beat()
    cut.off = False
    one.beat()
    assert one.mine()


def test_a_duty_taken_by_a_commit_whose_answer_was_lost_is_found_later(store, ticks):
    cut = Cut(store)
    cut.lost = True
    one = duty(cut, "a", ticks)
    one.beat()
    assert not one.mine()
    cut.lost = False
    one.beat()
    assert one.mine()


def test_of_two_who_see_it_free_one_gets_it(store, ticks):
    ended = duty(store, "old", ticks)
    ended.beat()
    several = [duty(store, name, ticks) for name in "abc"]
    for one in several:
        one.beat()
    ticks.now += FREE_SECONDS
    for one in several:
        one.beat()
    assert sum(one.mine() for one in several) == 1


def test_who_ends_hands_it_over_at_once(store, ticks):
    one, other = duty(store, "a", ticks), duty(store, "b", ticks)
    one.beat()
    other.beat()
    one.close()
    assert not one.mine()
    other.beat()
    assert other.mine()
