"""What was counted in memory: exact by minute, bounded, and let go of when nobody uses it."""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from tests.world import asking

from latchgate.store import tally as tallying
from latchgate.store.tally import Tally

NOON = 1_795_262_400.0


class Counting:
    """A tally, and decisions about keys to tell it."""

    def __init__(self, world):
        self.tally = Tally()
        self.noted: list[Any] = []
        self.engine = world.engine(on_decision=lambda *told: self.noted.append(told))

    def add(self, key, *, at=NOON, **how):
        self.engine.decide(asking(key, **how))
        decision, request, _ = self.noted[-1]
        self.tally.add(decision, request, at)

    def taken(self):
        """Return what was taken as (minute, credential, times), nothing left out."""
        return [
            (minute - int(NOON), count.credential.id if count.credential else "", times)
            for minute, more in self.tally.take()
            for count, times in more.items()
        ]


@pytest.fixture
def counting(world):
    return Counting(world)


def test_what_was_taken_is_not_taken_again_and_what_comes_after_is(world, counting):
    key = world.key()
    for times in (3, 2):
        for _ in range(times):
            counting.add(key)
        assert counting.taken() == [(0, key.id, times)]
    assert counting.taken() == []


def test_each_minute_has_what_was_seen_in_it_though_an_entry_goes_on(world, counting):
    one, other = world.key(), world.key()
    for at in (59.0, 59.9, 60.0, 60.1, 121.0):
        counting.add(one, at=NOON + at)
    counting.add(other, at=NOON + 122)
    assert counting.taken() == [
        (0, one.id, 2),
        (60, one.id, 2),
        (120, one.id, 1),
        (120, other.id, 1),
    ]


def test_a_remembered_decision_is_counted_for_whoever_it_is_told_to(world, counting):
    key = world.key()
    for _ in range(3):
        for client, agent in (("192.0.2.1", "curl"), ("192.0.2.1", "wget"), ("192.0.2.2", "curl")):
            counting.add(key, client=client, headers={"user-agent": agent})
        counting.add(key)
    assert counting.noted[-1][0].memo is not None
    found = {
        (str(count.client), count.agent): times
        for _, more in counting.tally.take()
        for count, times in more.items()
    }
    assert found == {
        ("192.0.2.1", "curl"): 3,
        ("192.0.2.1", "wget"): 3,
        ("192.0.2.2", "curl"): 3,
        ("192.0.2.1", ""): 3,
    }


def test_two_counters_that_are_told_one_decision_count_it_each(world, counting):
    key, other = world.key(), Tally()
    for _ in range(4):
        counting.add(key)
        decision, request, _ = counting.noted[-1]
        other.add(decision, request, NOON)
    assert counting.taken() == [(0, key.id, 4)]
    assert [times for _, more in other.take() for times in more.values()] == [4]


def test_what_nobody_used_between_two_agings_is_let_go_of_and_the_rest_is_kept(world, counting):
    used, idle = world.key(), world.key()
    counting.add(used)
    counting.add(idle)
    first = {count.credential.id: count for _, more in counting.tally.take() for count in more}
    for _ in range(3):
        counting.tally.age()
        counting.add(used)
    counting.add(idle)
    now = {count.credential.id: count for _, more in counting.tally.take() for count in more}
    assert now[used.id] is first[used.id]
    assert now[idle.id] is not first[idle.id]


def test_an_aging_loses_nothing_that_was_not_taken_yet(world, counting):
    key = world.key()
    counting.add(key)
    for _ in range(3):
        counting.tally.age()
    assert counting.taken() == [(0, key.id, 1)]


def test_agents_that_begin_alike_beyond_what_is_read_fill_no_memory(world, counting):
    key = world.key()
    for number in range(5):
        counting.add(key, headers={"user-agent": "a" * 601 + str(number)})
    assert counting.taken() == [(0, key.id, 5)]


def test_where_there_is_no_more_room_it_says_so_and_counts_what_is_lost(
    world, counting, monkeypatch
):
    monkeypatch.setattr(tallying, "MAX_SOURCES", 1)
    monkeypatch.setattr(tallying, "MAX_KEYS", 2)
    keys = [world.key() for _ in range(4)]
    for key in keys:
        counting.add(key)
    assert (counting.tally.crowded, counting.tally.uncounted) == (True, 2)
    counting.tally.age()
    counting.add(keys[3])
    assert (counting.tally.crowded, counting.tally.uncounted) == (False, 2)
    assert sum(times for _, _, times in counting.taken()) == 3


def test_threads_that_add_while_another_takes_lose_and_double_nothing(world, counting, monkeypatch):
    monkeypatch.setattr(tallying, "MAX_LOG", 7)
    keys = [world.key() for _ in range(3)]
    for key in keys:
        counting.add(key)
    told = [(decision, request) for decision, request, _ in counting.noted]
    counting.tally.take()
    ended = threading.Event()

    def work():
        for turn in range(2_000):
            decision, request = told[turn % 3]
            counting.tally.add(decision, request, NOON + turn / 1_000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    taken = []

    def take():
        while not ended.is_set():
            taken.append(counting.taken())
            counting.tally.age()

    taker = threading.Thread(target=take)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        taker.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        ended.set()
        taker.join(60)
    finally:
        sys.setswitchinterval(before)
    taken.append(counting.taken())
    sums: Counter[str] = Counter()
    for minute, key_id, times in itertools.chain.from_iterable(taken):
        sums[key_id] += times
        assert minute == 0
    assert sorted(sums.values()) == sorted(4 * len(range(at, 2_000, 3)) for at in range(3))
