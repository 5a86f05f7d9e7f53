"""Receipts: who dropped a change, who did not say so in time, and nobody else is waited for."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import pairwise

import pytest
from tests.verify.following import Table, follower, following

from latchgate.store.bell import Bell
from latchgate.verify.receipt import PATIENCE_SECONDS, ReceiptError
from latchgate.verify.receipts import FORGET_SECONDS, WAIT_SECONDS, Receipts

JOIN_AND_WAIT = """
import sys
from pathlib import Path
from latchgate.store.bell import Bell
bell = Bell(Path(sys.argv[1]))
bell.join(int(sys.argv[2]), 0)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def bell(tmp_path):
    made = Bell(tmp_path / "bell")
    yield made
    made.close()


@pytest.fixture
def table():
    return Table(following())


@contextmanager
def receipts(table, bell=None, ticks=time.monotonic):
    """Give receipts over a table that a test changes."""
    made = Receipts(table, bell=bell, clock=time.time, ticks=ticks)
    made.start()
    try:
        yield made
    finally:
        made.close()


def wait_for(bell, journal, *, during=None, table=None):
    """Wait for a receipt, doing something else on the same loop meanwhile."""

    async def both(given):
        other = asyncio.create_task(during()) if during is not None else None
        found = await given.wait(journal)
        if other is not None:
            await other
        return found

    with receipts(table or Table(following()), bell) as given:
        return asyncio.run(both(given))


def names(listeners):
    return [listener.incarnation for listener in listeners]


def test_without_any_cache_there_is_nobody_to_wait_for(bell):
    found = wait_for(bell, 9)
    assert (found.journal, found.acknowledged, found.lapsed) == (9, (), ())


def test_caches_that_are_there_already_are_acknowledged_at_once(bell):
    bell.join(1, 9)
    bell.join(2, 10)
    found = wait_for(bell, 9)
    assert (names(found.acknowledged), found.lapsed) == ([1, 2], ())


def test_a_cache_that_follows_in_time_is_acknowledged(bell):
    slot = bell.join(1, 8)

    async def follow():
        await asyncio.sleep(0.1)
        bell.acknowledge(slot, 9)

    found = wait_for(bell, 9, during=follow)
    assert (names(found.acknowledged), found.lapsed) == ([1], ())


def test_a_cache_that_does_not_follow_in_time_is_lapsed(bell):
    bell.join(1, 9)
    bell.join(2, 8)
    found = wait_for(bell, 9)
    assert (names(found.acknowledged), names(found.lapsed)) == ([1], [2])
    assert found.elapsed >= WAIT_SECONDS


def test_each_cache_is_in_one_list_only(bell):
    for incarnation in range(1, 6):
        bell.join(incarnation, 9 if incarnation % 2 else 8)
    found = wait_for(bell, 9)
    assert names(found.acknowledged) == [1, 3, 5]
    assert sorted(names(found.lapsed)) == [2, 4]


def test_a_cache_that_joins_later_is_neither_listed_nor_waited_for(bell):
    # Else new rows would put a receipt off for ever (rule 11).
    slow = bell.join(1, 8)

    async def join():
        await asyncio.sleep(0.05)
        bell.join(2, 0)
        bell.acknowledge(slow, 9)

    found = wait_for(bell, 9, during=join)
    assert (names(found.acknowledged), found.lapsed) == ([1], ())


def test_a_cache_that_leaves_is_not_waited_for(bell):
    slot = bell.join(1, 8)

    async def leave():
        await asyncio.sleep(0.05)
        bell.leave(slot, 1)

    found = wait_for(bell, 9, during=leave)
    assert found.lapsed == ()


def test_a_process_that_dies_is_not_waited_for(bell, tmp_path):
    command = [sys.executable, "-c", JOIN_AND_WAIT, str(tmp_path / "bell"), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()

        async def kill():
            await asyncio.sleep(0.05)
            other.send_signal(signal.SIGKILL)
            other.wait()

        found = wait_for(bell, 9, during=kill)
    assert found.lapsed == ()


def test_a_stopped_process_is_lapsed(bell, tmp_path):
    command = [sys.executable, "-c", JOIN_AND_WAIT, str(tmp_path / "bell"), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.send_signal(signal.SIGSTOP)
        found = wait_for(bell, 9)
        other.send_signal(signal.SIGCONT)
        other.communicate(b"go\n")
    assert (found.acknowledged, names(found.lapsed)) == ((), [1])


# --- verifiers elsewhere: rows of a table


class Ticks:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


async def until(true):
    """Wait for something that another thread does."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - another thread does it
            await asyncio.sleep(0.005)


def test_a_verifier_that_follows_is_acknowledged(table):
    table.now = following(follower("a", 8, trust=1_000), follower("b", 9, trust=1_000))

    async def run(given):
        waiting = asyncio.create_task(given.wait(9))
        await until(lambda: table.looks > 3)
        assert not waiting.done()
        table.follow("a", 9)
        return await waiting

    with receipts(table) as given:
        found = asyncio.run(run(given))
    assert [one.incarnation for one in found.acknowledged] == ["a", "b"]
    assert (found.lapsed, found.known, found.waited) == ((), True, True)


def test_a_verifier_that_does_not_lapses_when_its_trust_has_ended(table):
    ticks = Ticks()
    table.now = following(follower("a", 8, trust=4), max_trust=60)

    async def run(given):
        waiting = asyncio.create_task(given.wait(9))
        await until(lambda: table.looks > 3)
        ticks.now = 4.99
        await asyncio.sleep(0.8)  # it looks at the clock meanwhile, and must not be done
        assert not waiting.done()
        ticks.now = 5.0
        return await waiting

    with receipts(table, ticks=ticks) as given:
        found = asyncio.run(run(given))
    assert [one.incarnation for one in found.lapsed] == ["a"]
    assert found.elapsed == 5.0


def test_gateways_are_waited_for_after_everybody_acknowledged(table):
    ticks = Ticks()
    table.now = following(follower("a", 9), gateway_tail=7.0)

    async def run(given):
        waiting = asyncio.create_task(given.wait(9))
        await until(lambda: table.listings)
        ticks.now = 1.0  # of which at most this second was spent before
        await asyncio.sleep(0.3)
        ticks.now = 6.9
        await asyncio.sleep(0.8)
        assert not waiting.done()
        ticks.now = 8.0
        return await waiting

    with receipts(table, ticks=ticks) as given:
        found = asyncio.run(run(given))
    assert (found.elapsed, found.gateway_tail) == (8.0, 7.0)


def test_a_listing_under_way_is_too_old_for_a_change_made_meanwhile(table):
    table.gate = threading.Event()
    table.now = following()

    async def run(given):
        first = asyncio.create_task(given.wait(8))
        await until(lambda: table.listings == 1)
        second = asyncio.create_task(given.wait(9))
        await asyncio.sleep(0)
        table.gate.set()
        await asyncio.gather(first, second)

    made = Receipts(table, bell=None, clock=time.time, ticks=time.monotonic)
    table.gate.set()
    made.start()
    table.gate.clear()
    try:
        asyncio.run(run(made))
    finally:
        made.close()
    assert table.listings == 2


def test_when_the_database_is_gone_the_longest_trust_is_waited_for(table):
    ticks = Ticks()
    table.now = following(max_trust=8.0)

    async def run(given):
        table.broken = True
        waiting = asyncio.create_task(given.wait(9))
        await until(lambda: table.listings > 1)
        ticks.now = 9.9
        await asyncio.sleep(0.8)
        assert not waiting.done()
        ticks.now = 10.0
        return await waiting

    with receipts(table, ticks=ticks) as given:
        found = asyncio.run(run(given))
    assert (found.known, found.verifiers) == (False, ())


def test_what_was_learnt_too_long_ago_is_no_ground_for_a_receipt(table):
    ticks = Ticks()

    async def run(given):
        table.broken = True
        ticks.now = FORGET_SECONDS + 0.1
        waiting = asyncio.create_task(given.wait(9))
        await until(lambda: table.listings > 1)
        ticks.now += PATIENCE_SECONDS
        with pytest.raises(ReceiptError):
            await waiting

    with receipts(table, ticks=ticks) as given:
        asyncio.run(run(given))


def test_what_is_promised_is_learnt_again_and_again_where_it_may_change_elsewhere(table):
    with receipts(table):
        give_up = time.monotonic() + 30
        while table.looks < 3:
            assert time.monotonic() < give_up
            time.sleep(0.01)


def test_a_look_that_hangs_puts_no_receipt_off(table):
    ticks = Ticks()
    table.now = following(follower("a", 8, trust=4), max_trust=4)

    async def run(given):
        waiting = asyncio.create_task(given.wait(9))
        await until(lambda: table.looks > 3)
        table.gate = threading.Event()
        ticks.now = 5.0
        found = await waiting
        table.gate.set()
        return found

    with receipts(table, ticks=ticks) as given:
        found = asyncio.run(run(given))
    assert [one.incarnation for one in found.lapsed] == ["a"]


def test_hundreds_wait_on_one_thread_with_one_question_for_all(table):
    table.now = following(follower("a", 8, trust=1_000))

    async def run(given):
        waiting = [asyncio.create_task(given.wait(9)) for _ in range(500)]
        await until(lambda: table.looks > 3)
        threads = threading.active_count()
        table.follow("a", 9)
        await asyncio.gather(*waiting)
        return threads

    before = threading.active_count()
    with receipts(table) as given:
        assert asyncio.run(run(given)) == before + 1
    assert table.listings < 50


def test_whoever_stops_waiting_leaves_nothing_behind(table):
    table.now = following(follower("a", 8, trust=1_000))

    async def run(given):
        waiting = [asyncio.create_task(given.wait(9)) for _ in range(20)]
        await until(lambda: table.looks > 3)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        looks = table.looks
        await asyncio.sleep(0.3)
        return table.looks - looks

    with receipts(table) as given:
        assert asyncio.run(run(given)) <= 1  # one was under way


def test_receipts_given_are_noted_at_the_latest_when_it_ends(table):
    table.now = following(follower("a", 9))
    with receipts(table) as given:
        asyncio.run(given.wait(9))
    (noted,) = table.noted
    assert (noted.n, noted.acknowledged, noted.verifiers[0]["node"]) == (9, 1, "node-a")


def test_waiting_holds_up_nothing_else(bell):
    bell.join(1, 8)
    beats = []

    async def beat():
        for _ in range(20):
            await asyncio.sleep(0.01)
            beats.append(time.monotonic())

    wait_for(bell, 9, during=beat)
    assert len(beats) == 20
    assert max(later - one for one, later in pairwise(beats)) < 0.25
