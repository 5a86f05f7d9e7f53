"""Graces that end because the old secret went quiet, and never because nobody could tell."""

from __future__ import annotations

import secrets
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, World, compiled

from latchgate.core.event import Event
from latchgate.jobs import JOBS, rotation
from latchgate.manage import graces, keys
from latchgate.manage.rotation import Asked, rotate
from latchgate.manage.rotation_terms import RotationSpec
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.usage import LastUse

POLICY = compiled(FILES, 1)
HOUR = 3_600.0


class Uses:
    """Last uses that a test sets; what can't be read when it says so."""

    def __init__(self):
        self.at: dict[str, float] = {}
        self.fails = False

    def last_uses(self, ids):
        if self.fails:
            raise StoreError("the usage database could not be read")
        return {one: LastUse(self.at[one], None) for one in ids if one in self.at}


@pytest.fixture
def clock():
    return SimpleNamespace(now=1_000_000.0)


@pytest.fixture
def world(tmp_path, clock):
    made = World(tmp_path, clock=lambda: clock.now)
    yield made
    made.close()


@pytest.fixture
def uses():
    return Uses()


@pytest.fixture
def old(world, clock):
    """A key in a grace of seven days, which ends when it was unused for a day."""
    return rotated(world, clock, until_quiet="24h")


def working(world, clock, uses) -> Any:
    return SimpleNamespace(
        store=world.store, usage=uses, clock=lambda: clock.now, entropy=secrets.token_bytes
    )


def run(world, clock, uses):
    """Run the job; returns whether anything was revoked by it."""
    before = world.head()
    rotation.end_quiet(working(world, clock, uses))
    return world.head() > before


def rotated(world, clock, **spec):
    """Make a key and rotate it; returns it."""
    made, admin = world.key(), world.acting(world.admin)
    asked = Asked(made.id, RotationSpec(**spec), clock.now)
    rotate(world.store, POLICY, admin, asked, rows=keys.rows(admin), entropy=secrets.token_bytes)
    return made


def ends(world):
    """Return of which keys it was told that their grace ended, with what was told."""
    table = schema.notification
    wanted = sa.select(table).where(table.c.event == str(Event.CREDENTIAL_GRACE_ENDED))
    return [(row.record, msgspec.json.decode(row.data)) for row in world.all(wanted)]


def test_they_are_among_the_jobs():
    assert {rotation.JOB, rotation.ENDED} <= set(JOBS)


def test_a_grace_ends_when_the_old_secret_was_never_used_for_so_long(world, clock, uses, old):
    clock.now += 24 * HOUR - 1
    assert not run(world, clock, uses)
    clock.now += 1
    assert run(world, clock, uses)
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == old.id))
    assert row.revoked_at == clock.now
    told = world.journal()[-1]
    assert (told.action, told.actor, told.record) == ("key.retire", "latchgate", old.id)
    assert told.tenant_id == old.owner.tenant_id
    events = [one.event for one in world.all(sa.select(schema.notification))]
    assert sorted(events) == [Event.CREDENTIAL_GRACE_ENDED, Event.CREDENTIAL_ROTATED]
    assert not run(world, clock, uses)


def test_each_use_puts_the_end_off(world, clock, uses, old):
    clock.now += 20 * HOUR
    uses.at[old.id] = clock.now
    clock.now += 23 * HOUR
    assert not run(world, clock, uses)
    clock.now += HOUR
    assert run(world, clock, uses)


def test_a_use_from_before_the_rotation_does_not_end_it_early(world, clock, uses, old):
    uses.at[old.id] = clock.now - 1_000 * HOUR
    clock.now += HOUR
    assert not run(world, clock, uses)


def test_nothing_ends_early_when_the_uses_cant_be_read(world, clock, uses, old):
    clock.now += 48 * HOUR
    uses.fails = True
    with pytest.raises(StoreError):
        run(world, clock, uses)
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == old.id))
    assert row.revoked_at is None


def test_a_run_ends_so_many_and_the_next_one_goes_on(world, clock, uses, monkeypatch):
    monkeypatch.setattr(rotation, "PAGE", 2)
    for _ in range(5):
        rotated(world, clock, until_quiet="1h")
    used = rotated(world, clock, until_quiet="1h", grace="2h")
    clock.now += HOUR
    uses.at[used.id] = clock.now
    left = []
    for _ in range(4):
        run(world, clock, uses)
        left.append(5 - len(ends(world)))
    assert left == [3, 1, 0, 0]
    assert used.id not in dict(ends(world))


def test_a_grace_that_ended_by_the_clock_is_told_of_once_also_after_a_restart(world, clock, uses):
    old = rotated(world, clock, grace="2h")
    first, head = rotation.Ended(), world.head()
    clock.now += 2 * HOUR - 1
    first.run(working(world, clock, uses))
    assert ends(world) == []
    clock.now += 1
    for job in (first, first, rotation.Ended()):
        job.run(working(world, clock, uses))
        clock.now += HOUR
    ((record, data),) = ends(world)
    assert (record, data["credential_id"], data["kind"]) == (
        old.id,
        old.id,
        "wayscloud.service_key",
    )
    assert data["ended_at"] == "1970-01-12T15:46:40Z"
    assert data["successor"] == successor_of(world, old.id)
    assert world.head() == head  # no record changed: it had ended by itself


def test_what_ended_while_no_job_ran_is_told_of_later(world, clock, uses):
    job = rotation.Ended()
    job.run(working(world, clock, uses))
    old = rotated(world, clock, grace="1h")
    clock.now += 80 * 24 * HOUR
    rotation.Ended().run(working(world, clock, uses))
    assert [record for record, _ in ends(world)] == [old.id]


def test_what_was_committed_late_is_not_passed_over(world, clock, uses):
    job = rotation.Ended()
    clock.now += 10.0
    job.run(working(world, clock, uses))
    clock.now -= 9.0  # a change that was begun before, and waited for its turn
    old = rotated(world, clock, grace="5s")
    clock.now += 9.0
    job.run(working(world, clock, uses))
    assert [record for record, _ in ends(world)] == [old.id]


def test_a_run_tells_of_page_after_page(world, clock, uses, monkeypatch):
    monkeypatch.setattr(rotation, "PAGE", 2)
    monkeypatch.setattr(rotation, "PAGES", 2)
    job = rotation.Ended()
    for _ in range(5):
        rotated(world, clock, grace="1h")
    clock.now += HOUR
    told = []
    for _ in range(3):
        job.run(working(world, clock, uses))
        told.append(len(ends(world)))
    assert told == [4, 5, 5]


def test_one_that_ended_otherwise_is_not_told_of_again(world, clock, uses, old):
    admin = world.acting(world.admin)
    by_hand = rotated(world, clock)
    rotated(world, clock, grace="0")
    keys.revoke(world.store, admin, by_hand.id)
    clock.now += 24 * HOUR
    assert run(world, clock, uses)
    world.key(expires_at=clock.now + HOUR)
    clock.now += 90 * 24 * HOUR
    rotation.Ended().run(working(world, clock, uses))
    assert [record for record, _ in ends(world)] == [old.id]


def test_both_find_what_they_look_for_by_its_end(world):
    """However many credentials there are, and however many of them have ended."""
    for wanted in (graces.ended(1.0, 2.0), graces.waiting(1.0)):
        by_end = wanted.order_by(schema.credential.c.expires_at, schema.credential.c.id).limit(5)
        text = str(by_end.compile(compile_kwargs={"literal_binds": True}))
        with world.store.reading() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
        assert any("credential_by_end" in step for step in plan), plan
        assert not any(step.startswith("SCAN") for step in plan), plan


def successor_of(world, record):
    table = schema.credential
    return world.one(sa.select(table.c.superseded_by).where(table.c.id == record)).superseded_by
