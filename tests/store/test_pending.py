"""Counts on the way into their tables: each is added once, whoever crashes and whoever adds it."""

from __future__ import annotations

import json
import math
import threading
from datetime import UTC, datetime

import psycopg
import pytest
from tests.world import asking, raw_rows, run, until

from latchgate.core.redact import redactor
from latchgate.store import recorder as recording
from latchgate.store import tally
from latchgate.store.errors import StoreError
from latchgate.store.pending import STALE_SECONDS
from latchgate.store.recorder import AGE_SECONDS, SETTLED_SECONDS, TRIM_SECONDS, Usage
from latchgate.store.sqlite import driver

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
FAULTS = {"sqlite": driver.OperationalError, "postgres": psycopg.OperationalError}
TABLES = ("use_minute", "use_hour", "use_day", "use_source", "use_total")


class Crashing:
    """A recorder that can write down and not settle, and be left alone as a crash leaves it."""

    def __init__(self, world):
        self.world, self.now, self.ticks = world, NOON, 0.0
        self.redact = redactor()
        self.recorder = Usage(
            world.usage_database,
            redact=self.redact,
            ticks=lambda: self.ticks,
            clock=lambda: self.now,
        )
        self.engine = world.engine(clock=lambda: self.now, on_decision=self.recorder.note)

    def use(self, *keys, times=1, **how):
        for key in keys * times:
            assert self.engine.decide(asking(key, **how)).allowed

    def write_down(self):
        self.ticks += recording.COUNTED_SECONDS + 0.1
        self.recorder.flush(everything=False)

    def settle(self):
        self.ticks += SETTLED_SECONDS
        self.recorder.flush(everything=False)

    def fail_at(self, number, fault):
        """Let that one of the pieces from now on end in a fault; those behind it go well."""
        settle, pieces = self.recorder._batch.add, []

        def add(lines):
            pieces.append(lines)
            if len(pieces) == number:
                raise fault
            settle(lines)

        vars(self.recorder._batch)["add"] = add


@pytest.fixture
def world(usage_world):
    """In either database."""
    return usage_world


@pytest.fixture
def crashing(world, monkeypatch):
    monkeypatch.setattr(recording, "KEY_SECONDS", SETTLED_SECONDS)
    made = []

    def another():
        made.append(Crashing(world))
        return made[-1]

    yield another
    for one in made:
        one.recorder.close()


def sums(world):
    """Return the sum of every table of counts, and how many rows wait to be added."""
    found = [
        raw_rows(world.usage_database, f"SELECT COALESCE(SUM(count), 0) FROM {table}")[0][0]  # noqa: S608
        for table in TABLES
    ]
    return set(found), len(raw_rows(world.usage_database, "SELECT id FROM use_pending"))


def test_many_keys_are_written_down_at_once_and_into_the_tables_later(world, crashing):
    one, key = crashing(), world.key()
    for _ in range(3):
        one.use(key, times=2)
        one.write_down()
    assert sums(world) == ({0}, 1 + 3)  # what it is, and how often three times
    one.ticks += SETTLED_SECONDS
    one.recorder.flush(everything=False)
    assert sums(world) == ({6}, 0)


def test_what_comes_after_a_pause_is_not_written_into_the_tables_in_its_midst(world, crashing):
    one, key = crashing(), world.key()
    one.ticks += 100 * SETTLED_SECONDS
    one.recorder.flush(everything=False)
    one.use(key)
    one.write_down()
    assert sums(world) == ({0}, 1 + 1)
    one.ticks += SETTLED_SECONDS - 10
    one.use(key)
    one.write_down()
    assert sums(world) == ({0}, 1 + 2)
    one.ticks += 10  # since the first: more of them make it no later
    one.recorder.flush(everything=False)
    assert sums(world) == ({2}, 0)


def test_what_a_crash_left_is_added_once_by_whoever_starts_next(world, crashing):
    dead, key, other = crashing(), world.key(), world.key()
    for at in range(3):
        dead.now = NOON + at
        dead.use(key, other, key, client="192.0.2.9")
        dead.write_down()
    for _ in range(2):
        next_one = crashing()
        next_one.recorder.adopt(before=math.inf)
        assert sums(world) == ({9}, 0)
    seen = "SELECT count, first_at, last_at FROM use_source ORDER BY 1"
    assert raw_rows(world.usage_database, seen) == [(3, NOON, NOON + 2), (6, NOON, NOON + 2)]
    uses = "SELECT DISTINCT at, address FROM last_use"
    assert raw_rows(world.usage_database, uses) == [(NOON + 2, "192.0.2.9")]


def test_many_that_start_at_once_add_what_was_left_once(world, crashing):
    dead, keys = crashing(), [world.key() for _ in range(5)]
    for _ in range(4):
        dead.use(*keys)
        dead.write_down()
    others = [crashing() for _ in range(4)]
    together = threading.Barrier(len(others))

    def start(one):
        together.wait(30)
        one.recorder.adopt(before=math.inf)

    threads = [threading.Thread(target=start, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sums(world) == ({20}, 0)


def test_a_started_recorder_adds_what_was_left_by_itself(world, crashing):
    dead = crashing()
    dead.use(world.key(), times=7)
    dead.write_down()
    crashing().recorder.start()
    until(lambda: sums(world) == ({7}, 0), seconds=30, what="what was left")


def test_a_living_recorder_whose_counts_were_added_by_another_adds_only_the_rest(world, crashing):
    alive, other, key, new = crashing(), crashing(), world.key(), world.key()
    alive.use(key, times=3)
    alive.write_down()
    alive.use(key, times=2)  # not written down yet
    other.recorder.adopt(before=math.inf)
    assert sums(world) == ({3}, 0)
    alive.write_down()
    alive.use(key, new)
    alive.write_down()
    other.recorder.adopt(before=math.inf)
    assert sums(world) == ({7}, 0)
    alive.use(key)
    alive.recorder.flush()
    assert sums(world) == ({8}, 0)


def test_what_nobody_touches_is_added_within_minutes_and_what_lives_is_left_alone(world, crashing):
    dead, alive, one, key = crashing(), crashing(), crashing(), world.key()
    dead.use(key)
    dead.write_down()
    one.now = alive.now = NOON + STALE_SECONDS + 1
    alive.use(key)
    alive.write_down()
    one.ticks += TRIM_SECONDS
    one.recorder.flush(everything=False)
    assert sums(world) == ({1}, 1 + 1)


def test_a_crash_between_two_pieces_loses_and_doubles_nothing(
    world, crashing, usage_at, monkeypatch
):
    monkeypatch.setattr(recording, "PIECE", 2)
    dead, keys = crashing(), [world.key() for _ in range(5)]
    dead.use(*keys)
    dead.write_down()
    dead.use(*keys, times=2)
    dead.fail_at(3, FAULTS[usage_at]("the machine is off"))
    with pytest.raises(StoreError):
        dead.recorder.flush()
    assert sums(world)[0] == {12}  # two pieces of two keys
    crashing().recorder.adopt(before=math.inf)
    assert sums(world) == ({15}, 0)
    dead.recorder.flush()  # it lives, after all
    assert sums(world) == ({15}, 0)


def test_counts_that_wait_for_the_database_are_each_added_once(
    world, crashing, nobody_writes, monkeypatch
):
    monkeypatch.setattr(recording, "PIECE", 2)
    one, keys = crashing(), [world.key() for _ in range(5)]
    one.use(*keys)
    one.write_down()
    for everything in (False, True):
        one.use(*keys)
        one.ticks += recording.COUNTED_SECONDS
        with nobody_writes(), pytest.raises(StoreError):
            one.recorder.flush(everything=everything)
    one.use(*keys)
    one.recorder.flush()
    assert sums(world) == ({20}, 0)


def test_when_there_are_very_many_keys_they_are_not_kept_in_memory_for_longer(
    world, crashing, monkeypatch
):
    monkeypatch.setattr(recording, "SETTLED_KEYS", 3)
    one = crashing()
    one.use(*[world.key() for _ in range(3)])
    one.write_down()
    assert sums(world) == ({3}, 0)
    assert one.recorder._current.held == 0


def test_what_can_not_be_read_of_a_crash_is_lost_aloud_and_the_rest_is_added(
    world, crashing, caplog
):
    dead, key = crashing(), world.key()
    for _ in range(3):
        dead.use(key)
        dead.write_down()
    (_, _, (second,), _) = raw_rows(world.usage_database, "SELECT id FROM use_pending ORDER BY id")
    spoilt = f"UPDATE use_pending SET counts = '[[1, 5, 0.5, null]]' WHERE id = {second}"  # noqa: S608
    run(world.usage_database, spoilt)
    crashing().recorder.adopt(before=math.inf)
    assert sums(world) == ({2}, 0)
    assert "counts that a recorder left can't be read" in caplog.text


def test_what_is_counted_while_the_database_fails_for_long_does_not_fill_memory(
    world, crashing, nobody_writes, monkeypatch
):
    monkeypatch.setattr(tally, "MAX_KEYS", 3)
    one, keys = crashing(), [world.key() for _ in range(2)]
    with nobody_writes():
        for minute in range(5):
            one.now = NOON + 60 * minute
            one.use(*keys)
            with pytest.raises(StoreError):
                one.write_down()
    one.recorder.flush()
    assert one.recorder.uncounted == 8
    assert raw_rows(world.usage_database, "SELECT SUM(count) FROM use_day") == [(2,)]


def named(world):
    """Return what rows say that numbers are of: the credentials, in order."""
    rows = raw_rows(world.usage_database, "SELECT counts FROM use_pending ORDER BY id")
    return [row[2] for (text,) in rows for _, row in json.loads(text)[1]]


@pytest.fixture
def pieces(monkeypatch):
    """As where more than a transaction's number of keys is settled."""
    monkeypatch.setattr(recording, "PIECE", 2)


def test_what_many_counts_are_is_told_once_however_often_they_are_settled(world, crashing, pieces):
    one, keys, late = crashing(), [world.key() for _ in range(5)], world.key()
    for times in range(1, 4):
        one.use(*keys)
        one.write_down()
        one.settle()
        assert sums(world)[0] == {5 * times}
        assert sorted(named(world)) == sorted(key.id for key in keys)
    one.use(*keys, late)
    one.write_down()
    assert named(world)[5:] == [late.id]
    crashing().recorder.adopt(before=math.inf)
    assert sums(world) == ({21}, 0)


def test_a_crash_after_counts_were_settled_adds_what_came_later_once(world, crashing, pieces):
    dead, keys = crashing(), [world.key() for _ in range(5)]
    dead.use(*keys)
    dead.write_down()
    dead.settle()
    dead.use(*keys[:3], times=2)
    dead.write_down()
    assert sums(world)[0] == {5}
    crashing().recorder.adopt(before=math.inf)
    assert sums(world) == ({11}, 0)
    dead.use(*keys)  # it lives, after all
    dead.write_down()
    assert len(named(world)) == 5
    dead.settle()
    assert sums(world)[0] == {16}


def test_what_was_added_by_another_in_the_midst_of_settling_is_not_added_again(
    world, crashing, usage_at, pieces
):
    alive, other, keys = crashing(), crashing(), [world.key() for _ in range(5)]
    alive.use(*keys)
    alive.write_down()
    alive.settle()
    alive.use(*keys)
    alive.write_down()
    alive.fail_at(2, FAULTS[usage_at]("the database is away"))
    with pytest.raises(StoreError):
        alive.settle()
    assert sums(world)[0] == {7}
    other.recorder.adopt(before=math.inf)
    assert sums(world) == ({10}, 0)
    alive.use(*keys)
    alive.write_down()
    assert sums(world)[0] == {10}
    alive.recorder.flush()
    assert sums(world) == ({15}, 0)


def test_a_row_of_an_earlier_version_which_says_both_is_added(world, crashing):
    old, key = crashing(), world.key()
    old.use(key, times=3)
    old.write_down()
    (what, times) = (
        json.loads(text)
        for (text,) in raw_rows(world.usage_database, "SELECT counts FROM use_pending ORDER BY id")
    )
    both = json.dumps([times[0], what[1], times[2]])
    run(world.usage_database, "DELETE FROM use_pending")
    insert = "INSERT INTO use_pending (writer, at, counts) VALUES ('older', {}, '{}')"
    run(world.usage_database, insert.format(NOON, both))
    crashing().recorder.adopt(before=math.inf)
    assert sums(world) == ({3}, 0)


def test_names_alone_are_not_taken_for_what_somebody_dead_left(world, crashing, pieces):
    alive, other, keys = crashing(), crashing(), [world.key() for _ in range(5)]
    alive.use(*keys)
    alive.write_down()
    for ticks in (SETTLED_SECONDS, TRIM_SECONDS, TRIM_SECONDS):
        alive.now += ticks
        alive.ticks += ticks
        alive.recorder.flush(everything=False)
        # All that it wrote before this was written earlier than that.
        other.recorder.adopt(before=alive.now - 1)
        assert sums(world)[0] == {5}
        assert len(named(world)) == 5


def test_names_of_a_recorder_that_counts_nothing_any_more_are_let_go_of(world, crashing, pieces):
    one, keys = crashing(), [world.key() for _ in range(5)]
    one.use(*keys)
    one.write_down()
    one.settle()
    assert len(named(world)) == 5
    one.ticks += AGE_SECONDS
    one.recorder.flush(everything=False)
    assert sums(world) == ({5}, 0)
    one.use(*keys)
    one.write_down()
    assert len(named(world)) == 5


def test_names_are_told_anew_when_counts_have_aged(world, crashing, pieces):
    one, old, key = crashing(), [world.key() for _ in range(5)], [world.key() for _ in range(3)]
    one.use(*old)
    one.write_down()
    one.ticks += AGE_SECONDS
    one.use(*key)
    one.write_down()
    one.settle()
    one.use(*key)
    one.write_down()
    assert sorted(named(world)) == sorted(one.id for one in key)


def test_what_is_learnt_to_be_a_secret_is_masked_in_what_is_told_next(world, crashing, pieces):
    one, keys = crashing(), [world.key() for _ in range(5)]

    def agents():
        rows = raw_rows(world.usage_database, "SELECT counts FROM use_pending ORDER BY id")
        return {row[11] for (text,) in rows for _, row in json.loads(text)[1]}

    one.use(*keys, headers={"user-agent": "tool hush_abc"})
    one.write_down()
    one.settle()
    assert agents() == {"tool hush_abc"}
    one.redact.learn([r"(hush_)[a-z]+"])
    one.ticks += TRIM_SECONDS
    one.write_down()
    for _ in range(2):
        one.use(*keys, headers={"user-agent": "tool hush_abc"})
        one.write_down()
        one.settle()
    one.use(*keys, headers={"user-agent": "tool hush_abc"})
    one.write_down()
    assert agents() == {"tool hush_***"}
