"""Graces that end because the old secret went quiet, and never because nobody could tell."""

from __future__ import annotations

import secrets
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.world import FILES, World, compiled

from latchgate.core.event import Event
from latchgate.jobs import JOBS, rotation
from latchgate.manage import keys
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
    made, admin = world.key(), world.acting(world.admin)
    asked = Asked(made.id, RotationSpec(until_quiet="24h"), clock.now)
    rotate(world.store, POLICY, admin, asked, rows=keys.rows(admin), entropy=secrets.token_bytes)
    return made


def run(world, clock, uses):
    """Run the job; returns whether anything was revoked by it."""
    before = world.head()
    work: Any = SimpleNamespace(
        store=world.store, usage=uses, clock=lambda: clock.now, entropy=secrets.token_bytes
    )
    rotation.end_quiet(work)
    return world.head() > before


def test_it_is_among_the_jobs():
    assert rotation.JOB in JOBS


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
