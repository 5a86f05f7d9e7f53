"""Credentials switched off and on again: at once, and on only by who could make them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.world import FILES, asking, compiled

from latchgate.core.reason import Reason
from latchgate.core.scope import Scopes
from latchgate.manage import disabling, keys
from latchgate.manage.errors import ForbiddenError, NotFoundError
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def test_a_disabled_key_is_refused_until_it_is_enabled(world, admin):
    made, engine = world.key(), world.engine()
    assert engine.decide(asking(made)).allowed
    _, version, n = disabling.disable(world.store, admin, made.id)
    assert version == n == world.head()
    assert engine.decide(asking(made)).reason is Reason.CREDENTIAL_DISABLED
    assert disabling.disable(world.store, admin, made.id)[2] == world.head() == n
    disabling.enable(world.store, POLICY, admin, made.id)
    assert engine.decide(asking(made)).allowed
    assert [row.action for row in world.journal()[-2:]] == ["key.disable", "key.enable"]


def test_enabling_takes_what_making_takes(world, admin):
    made = world.key(scopes=["storage:write"])
    disabling.disable(world.store, admin, made.id)
    reader = world.acting(world.key("manage"), Scopes.of(["storage:read"]))
    with pytest.raises(ForbiddenError, match="storage:write"):
        disabling.enable(world.store, POLICY, reader, made.id)
    assert world.engine().decide(asking(made)).reason is Reason.CREDENTIAL_DISABLED


def test_what_ended_or_is_anothers_is_not_switched(world, admin):
    made = world.key()
    keys.revoke(world.store, admin, made.id)
    with pytest.raises(ConflictError, match="revoked"):
        disabling.enable(world.store, POLICY, admin, made.id)
    stranger = world.acting(world.key("manage", owner=world.somebody()))
    with pytest.raises(NotFoundError):
        disabling.disable(world.store, stranger, world.key().id)


def test_imported_keys_are_switched_off_like_others(world, admin):
    made, table = world.key(), schema.credential
    with world.changing() as change:
        theirs = sa.update(table).where(table.c.id == made.id)
        change.execute(theirs.values(kind="wayscloud.imported_key"))
    disabling.disable(world.store, admin, made.id)
    assert world.one(sa.select(table.c.disabled_at).where(table.c.id == made.id)).disabled_at


def test_who_reaches_their_own_keys_alone_switches_no_other(world):
    owner = world.somebody()
    mine, other = world.key(owner=owner), world.key(owner=world.somebody(tenant_id=owner.tenant_id))
    actor = world.acting(world.key("own", owner=owner), Scopes.of(["own:keys.write"]))
    reach = keys.reach(actor, "write")
    with pytest.raises(NotFoundError):
        disabling.disable(world.store, actor, other.id, *reach)
    disabling.disable(world.store, actor, mine.id, *reach)
    with pytest.raises(NotFoundError):
        disabling.enable(world.store, POLICY, actor, other.id, *reach)
