"""The bell: rings are neither lost nor hidden, and its slots tell who listens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from tests.world import mode

from latchgate.store.bell import Bell, BellFullError
from latchgate.store.errors import StoreError

SLOTS = 256
RING_ON = """
import sys
from pathlib import Path
from latchgate.store.bell import Bell
bell = Bell(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    bell.ring()
"""
JOIN_AND_WAIT = """
import sys
from pathlib import Path
from latchgate.store.bell import Bell
bell = Bell(Path(sys.argv[1]))
print(bell.join(int(sys.argv[2]), 7), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def bell(tmp_path):
    made = Bell(tmp_path / "bell")
    yield made
    made.close()


def start(script, *args):
    return subprocess.Popen(
        [sys.executable, "-c", script, *[str(arg) for arg in args]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_new_bell_has_not_rung_and_nobody_listens(bell):
    assert bell.rings() == 0
    assert bell.listeners() == []


def test_each_ring_is_counted(bell):
    for wanted in (1, 2, 3):
        bell.ring()
        assert bell.rings() == wanted


def test_the_bell_of_a_database_lies_beside_it_and_is_its_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        Bell.beside(tmp_path / "latchgate.db").close()
    finally:
        os.umask(old)
    assert mode(tmp_path / "latchgate.db-bell") == 0o600


def test_a_bell_that_is_opened_again_goes_on_counting(tmp_path):
    first = Bell(tmp_path / "bell")
    first.ring()
    first.close()
    second = Bell(tmp_path / "bell")
    second.ring()
    assert second.rings() == 2
    second.close()


def test_a_ring_of_another_process_is_heard_at_once(bell, tmp_path):
    with start(RING_ON, tmp_path / "bell", 1) as other:
        other.stdout.readline()
        assert bell.rings() == 0
        other.communicate("go\n")
    assert bell.rings() == 1


def test_no_ring_of_two_processes_and_four_threads_is_lost(bell, tmp_path):
    each = 3_000
    with start(RING_ON, tmp_path / "bell", each) as other:
        other.stdout.readline()

        def ring():
            for _ in range(each):
                bell.ring()

        threads = [threading.Thread(target=ring) for _ in range(4)]
        other.stdin.write("go\n")
        other.stdin.flush()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.communicate()
    assert bell.rings() == 5 * each


def test_the_count_never_falls_while_others_ring(bell, tmp_path):
    # A reader that saw a higher count than a later one would have a change hidden from it.
    with start(RING_ON, tmp_path / "bell", 20_000) as other:
        other.stdout.readline()
        other.stdin.write("go\n")
        other.stdin.flush()
        seen = 0
        while other.poll() is None:
            now = bell.rings()
            assert now >= seen
            seen = now
        other.communicate()
    assert bell.rings() == 20_000


def test_whoever_joins_is_listed_with_its_process_and_position(bell):
    bell.join(11, 4)
    (listener,) = bell.listeners()
    assert (listener.incarnation, listener.process_id, listener.acknowledged) == (
        11,
        os.getpid(),
        4,
    )
    assert listener.alive


def test_an_acknowledgement_is_seen_by_every_process(bell, tmp_path):
    slot = bell.join(11, 4)
    other = Bell(tmp_path / "bell")
    bell.acknowledge(slot, 9)
    assert [listener.acknowledged for listener in other.listeners()] == [9]
    other.close()


def test_several_caches_have_slots_of_their_own(bell):
    slots = [bell.join(incarnation, 0) for incarnation in (1, 2, 3)]
    assert len(set(slots)) == 3
    bell.acknowledge(slots[1], 5)
    assert [one.acknowledged for one in bell.listeners()] == [0, 5, 0]


def test_whoever_left_is_listed_no_more_and_the_slot_is_free(bell):
    slot = bell.join(11, 0)
    bell.leave(slot, 11)
    assert bell.listeners() == []
    assert bell.join(12, 0) == slot


def test_leaving_a_slot_that_another_cache_took_over_leaves_it_alone(bell):
    slot = bell.join(11, 0)
    bell.leave(slot, 11)
    bell.join(12, 0)
    bell.leave(slot, 11)
    assert [listener.incarnation for listener in bell.listeners()] == [12]


def test_a_process_that_died_is_not_listed_and_its_slot_is_taken_over(bell, tmp_path):
    with start(JOIN_AND_WAIT, tmp_path / "bell", 99) as other:
        slot = int(other.stdout.readline())
        assert [listener.incarnation for listener in bell.listeners()] == [99]
        killed(other)
    assert bell.listeners() == []
    assert bell.join(100, 3) == slot
    (listener,) = bell.listeners()
    assert (listener.incarnation, listener.process_id, listener.acknowledged) == (
        100,
        os.getpid(),
        3,
    )


def test_a_process_id_that_was_given_to_another_process_does_not_keep_a_slot(bell):
    # Process ids come round again; the process in the slot is told by its start too.
    slot = bell.join(11, 0)
    (listener,) = bell.listeners()
    assert not replace(listener, started=listener.started + 1).alive
    bell.words[8 + 4 * slot + 3] += 1
    assert bell.listeners() == []
    assert bell.join(12, 0) == slot


def test_slots_of_living_processes_are_not_taken_over(bell, tmp_path):
    with start(JOIN_AND_WAIT, tmp_path / "bell", 99) as other:
        slot = int(other.stdout.readline())
        assert bell.join(100, 0) != slot
        other.communicate("go\n")


def test_a_full_bell_refuses_one_more_cache_as_a_fault_of_the_store(bell):
    for incarnation in range(1, SLOTS + 1):
        bell.join(incarnation, 0)
    with pytest.raises(BellFullError, match="256 caches") as refused:
        bell.join(SLOTS + 1, 0)
    assert isinstance(refused.value, StoreError)
    assert len(bell.listeners()) == SLOTS


def test_a_full_bell_takes_one_more_cache_once_one_left(bell):
    slots = [bell.join(incarnation, 0) for incarnation in range(1, SLOTS + 1)]
    bell.leave(slots[77], 78)
    assert bell.join(1000, 0) == slots[77]


def test_a_bell_in_a_folder_that_is_not_there_is_a_fault_of_the_store(tmp_path):
    with pytest.raises((StoreError, OSError)):
        Bell(tmp_path / "nowhere" / "bell")
