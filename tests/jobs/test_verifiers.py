"""Rows of verifiers that are written no more go, in two steps; a new history is settled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import World

from latchgate.jobs import JOBS
from latchgate.jobs.verifiers import MARGIN_SECONDS, VERIFIERS, Removal
from latchgate.store import schema
from latchgate.store.verifiers import Verifiers

pytestmark = pytest.mark.both_databases
TRUST = 4.0
ROW = {
    "kind": "edge",
    "node": "n",
    "process": 1,
    "program": "1",
    "schema": "0008",
    "stale": False,
    "acknowledged": 0,
    "state": "live",
    "joined_at": 0.0,
    "seen_at": 0.0,
}


@pytest.fixture
def seen(tmp_path, place):
    """A job, its clock, and the tables it looks at."""
    world = World(tmp_path, databases=place)
    yield Seen(world.store)
    world.close()


class Seen:
    def __init__(self, store):
        self.store = store
        self.now = 0.0
        self.job = Removal()
        self.work: Any = SimpleNamespace(store=store, ticks=lambda: self.now)

    def write(self, statement):
        with self.store.writing() as connection:
            connection.execute(statement)

    def add(self, name, trust=TRUST, beat=0):
        row = ROW | {"incarnation": name, "trust": trust, "beat": beat}
        self.write(sa.insert(schema.verifier).values(row))

    def look(self, after=0.0):
        self.now += after
        self.job.run(self.work)
        with self.store.reading() as connection:
            table = schema.verifier
            rows = connection.execute(sa.select(table.c.incarnation, table.c.state))
            return {row.incarnation: row.state for row in rows}

    def promise(self, **values):
        self.write(sa.update(schema.promise).values(**values))

    @property
    def settled(self):
        return Verifiers(self.store).looked().settled


def test_it_is_one_of_the_jobs():
    assert VERIFIERS in JOBS


def test_a_row_that_is_written_stays(seen):
    seen.add("a")
    for beat in range(20):
        seen.write(sa.update(schema.verifier).values(beat=beat))
        assert seen.look(after=5.0) == {"a": "live"}


def test_a_row_that_is_not_leaves_after_its_trust_and_goes_after_as_long_again(seen):
    seen.add("a")
    seen.look()
    assert seen.look(after=1.25 * TRUST + MARGIN_SECONDS) == {"a": "live"}
    assert seen.look(after=0.1) == {"a": "leaving"}
    seen.look()  # it counts from when it is seen to be leaving
    assert seen.look(after=1.25 * TRUST - 0.1) == {"a": "leaving"}
    assert seen.look(after=0.2) == {}


def test_each_row_has_its_own_time(seen):
    seen.add("short", trust=1.0)
    seen.add("long", trust=100.0)
    seen.look()
    assert seen.look(after=1.25 + MARGIN_SECONDS + 0.1) == {"short": "leaving", "long": "live"}


def test_another_process_that_takes_over_begins_anew(seen):
    seen.add("a")
    seen.look()
    seen.look(after=1.25 * TRUST + MARGIN_SECONDS)
    seen.job = Removal()
    assert seen.look(after=1.0) == {"a": "live"}


def test_a_row_that_is_written_between_the_look_and_the_mark_stays(seen):
    seen.add("a")
    verifiers = Verifiers(seen.store)
    (before,) = verifiers.looked().followers
    seen.write(sa.update(schema.verifier).values(beat=1))
    verifiers.expel(before)
    assert seen.look() == {"a": "live"}
    verifiers.remove(before)
    assert seen.look() == {"a": "live"}


def test_a_history_settles_once_nobody_can_trust_an_earlier_one(seen):
    seen.promise(settled=False, max_trust=8.0)
    seen.look()
    seen.look(after=10.0)
    assert not seen.settled
    seen.look(after=0.1)
    assert seen.settled


def test_a_restore_meanwhile_begins_that_wait_anew(seen):
    seen.promise(settled=False, max_trust=8.0)
    seen.look()
    seen.now += 9.0
    seen.write(sa.update(schema.journal_head).values(epoch="restored"))
    seen.look()
    seen.look(after=9.0)
    assert not seen.settled
    seen.look(after=1.1)
    assert seen.settled


def test_what_was_seen_of_another_history_does_not_count(seen):
    seen.add("a")
    seen.look()
    seen.write(sa.update(schema.journal_head).values(epoch="restored"))
    assert seen.look(after=1_000.0) == {"a": "live"}
