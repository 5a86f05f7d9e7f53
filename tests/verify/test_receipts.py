"""Receipts: who dropped a change, who did not say so in time, and nobody else is waited for."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from itertools import pairwise

import pytest

from latchgate.store.bell import Bell
from latchgate.verify.receipts import receipt

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


def wait_for(bell, journal, *, during=None, wait=0.3):
    """Wait for a receipt, doing something else on the same loop meanwhile."""

    async def both():
        other = asyncio.create_task(during()) if during is not None else None
        found = await receipt(bell, journal, ticks=time.monotonic, wait=wait)
        if other is not None:
            await other
        return found

    return asyncio.run(both())


def names(listeners):
    return [listener.incarnation for listener in listeners]


def test_without_any_cache_there_is_nobody_to_wait_for(bell):
    found = wait_for(bell, 9)
    assert (found.journal, found.acknowledged, found.lapsed) == (9, (), ())
    assert found.elapsed < 0.9  # not the whole second that is waited for the late


def test_caches_that_are_there_already_are_acknowledged_at_once(bell):
    bell.join(1, 9)
    bell.join(2, 10)
    found = wait_for(bell, 9)
    assert (names(found.acknowledged), found.lapsed) == ([1, 2], ())
    assert found.elapsed < 0.9  # not the whole second that is waited for the late


def test_a_cache_that_follows_in_time_is_acknowledged(bell):
    slot = bell.join(1, 8)

    async def follow():
        await asyncio.sleep(0.1)
        bell.acknowledge(slot, 9)

    found = wait_for(bell, 9, during=follow)
    assert (names(found.acknowledged), found.lapsed) == ([1], ())
    assert 0.09 < found.elapsed < 0.9


def test_a_cache_that_does_not_follow_in_time_is_lapsed(bell):
    bell.join(1, 9)
    bell.join(2, 8)
    found = wait_for(bell, 9, wait=0.2)
    assert (names(found.acknowledged), names(found.lapsed)) == ([1], [2])
    assert 0.2 <= found.elapsed < 2


def test_each_cache_is_in_one_list_only(bell):
    for incarnation in range(1, 6):
        bell.join(incarnation, 9 if incarnation % 2 else 8)
    found = wait_for(bell, 9, wait=0.1)
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

    found = wait_for(bell, 9, during=leave, wait=5)
    assert found.lapsed == ()
    assert found.elapsed < 1


def test_a_process_that_dies_is_not_waited_for(bell, tmp_path):
    command = [sys.executable, "-c", JOIN_AND_WAIT, str(tmp_path / "bell"), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()

        async def kill():
            await asyncio.sleep(0.05)
            other.send_signal(signal.SIGKILL)
            other.wait()

        found = wait_for(bell, 9, during=kill, wait=5)
    assert found.lapsed == ()
    assert found.elapsed < 1


def test_a_stopped_process_is_lapsed(bell, tmp_path):
    command = [sys.executable, "-c", JOIN_AND_WAIT, str(tmp_path / "bell"), "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.send_signal(signal.SIGSTOP)
        found = wait_for(bell, 9, wait=0.1)
        other.send_signal(signal.SIGCONT)
        other.communicate(b"go\n")
    assert (found.acknowledged, names(found.lapsed)) == ((), [1])


def test_waiting_holds_up_nothing_else(bell):
    bell.join(1, 8)
    beats = []

    async def beat():
        for _ in range(20):
            await asyncio.sleep(0.01)
            beats.append(time.monotonic())

    wait_for(bell, 9, during=beat, wait=0.3)
    assert len(beats) == 20
    assert max(later - one for one, later in pairwise(beats)) < 0.25
