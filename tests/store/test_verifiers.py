"""Who follows, what is promised and which receipts were given, over both databases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.world import World

from latchgate.core.location import Postgres
from latchgate.store import schema, verifiers
from latchgate.store.duty import JOBS, NOBODY, Held, leave_duty, read_duty, renew_duty, take_duty
from latchgate.store.verifiers import NotedReceipt, Verifiers

pytestmark = pytest.mark.both_databases
ROW = {
    "kind": "edge",
    "node": "n",
    "process": 1,
    "program": "1",
    "schema": "0008",
    "trust": 2.0,
    "stale": True,
    "acknowledged": 4,
    "beat": 3,
    "state": "live",
    "joined_at": 1.0,
    "seen_at": 2.0,
    "tenants": '["t-1"]',
}


@pytest.fixture
def world(tmp_path, place):
    made = World(tmp_path, databases=place)
    yield made
    made.close()


@pytest.fixture
def tables(world):
    return Verifiers(world.store)


def write(world, statement):
    with world.store.writing() as connection:
        connection.execute(statement)


def add(world, name, **more):
    write(world, sa.insert(schema.verifier).values({**ROW, "incarnation": name, **more}))


def test_who_follows_is_listed_with_what_is_promised(world, tables):
    add(world, "b", node="z", tenants=None)
    add(world, "a", node="y", state="leaving")
    write(world, sa.update(schema.promise).values(max_trust=9.0, gateway_tail=3.0))
    for found in (tables.listed(), tables.looked()):
        assert [one.incarnation for one in found.followers] == ["a", "b"]
        one, other = found.followers
        assert (one.state, one.kind, one.trust, one.stale) == ("leaving", "edge", 2.0, True)
        assert (one.tenants, other.tenants) == (("t-1",), None)
        assert (found.max_trust, found.gateway_tail) == (9.0, 3.0)
        assert found.head == world.head()


def test_where_nobody_follows_the_promise_is_read_all_the_same(tables):
    found = tables.listed()
    assert (found.followers, found.max_trust) == ((), 0.0)


def test_a_history_that_is_written_down_nowhere_is_not_settled(world, tables):
    write(world, sa.update(schema.promise).values(timeline="0000000F", settled=True))
    found = tables.looked()
    if not isinstance(world.database, Postgres):
        assert found.settled  # a file has but one
        return
    assert (found.settled, found.timeline) == (False, "00000001")
    tables.adopt()
    adopted = tables.looked()
    assert not adopted.settled
    tables.settle(adopted)
    assert tables.looked().settled
    tables.adopt()
    assert tables.looked().settled


@pytest.mark.parametrize(
    "change",
    [
        sa.update(schema.journal_head).values(epoch="restored"),
        sa.update(schema.promise).values(max_trust=60.0),
        sa.update(schema.promise).values(timeline="0000000E"),
    ],
    ids=["a restore", "a longer trust", "a promotion"],
)
def test_what_changed_since_it_was_seen_is_not_settled(world, tables, change):
    write(world, sa.update(schema.promise).values(settled=False))
    seen = tables.looked()
    write(world, change)
    tables.settle(seen)
    assert not tables.looked().settled


def test_receipts_are_kept_up_to_a_number_the_newest_first(tables, monkeypatch):
    monkeypatch.setattr(verifiers, "KEPT", 3)
    made = [NotedReceipt(n, float(n), 0.5, 1, ({"id": "a"},)) for n in range(1, 6)]
    tables.note(made[:2])
    tables.note(made[2:])
    assert tables.noted(10) == made[:1:-1]
    assert tables.noted(1) == [made[-1]]


def test_a_duty_is_taken_renewed_and_left_by_its_holder_alone(world):
    store = world.store
    assert read_duty(store, JOBS) is None
    assert take_duty(store, JOBS, "a", None)
    assert not take_duty(store, JOBS, "b", None)
    assert renew_duty(store, JOBS, "a")
    assert not renew_duty(store, JOBS, "b")
    leave_duty(store, JOBS, "b")
    assert read_duty(store, JOBS) == Held("a", 1)
    assert not take_duty(store, JOBS, "b", Held("a", 0))
    assert take_duty(store, JOBS, "b", Held("a", 1))
    leave_duty(store, JOBS, "b")
    assert read_duty(store, JOBS) == Held(NOBODY, 3)
