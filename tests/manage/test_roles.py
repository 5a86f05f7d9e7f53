"""Roles: made of the policy's scopes, never in a circle, given only by who holds all of it."""

from __future__ import annotations

import secrets

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, World, asking, compiled

from latchgate.core.scope import ALL, Scopes
from latchgate.manage import roles, users
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError, StaleError
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.roles import MAX_HELD, RolePatch, RoleSpec
from latchgate.manage.users import Held
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

NOW = 1_000_000.0
POLICY = compiled(FILES, 1)
MANAGING = ("manage:users.write", "manage:roles.write")


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def create(world, caller, name="reader", scopes=("storage:read",), implies=()):
    spec = RoleSpec(name=name, scopes=list(scopes), implies=list(implies))
    made = roles.create(world.store, POLICY, caller, spec, now=NOW, entropy=secrets.token_bytes)
    return made[0]


def change(world, caller, role, **patch):
    return roles.change_role(world.store, POLICY, caller, role.id, RolePatch(**patch))


def holding(world, admin, *scopes):
    """Return a caller of the administrator's tenant who holds these scopes."""
    somebody = world.somebody(*scopes, tenant_id=admin.tenant_id)
    return world.acting(world.key("manage", owner=somebody), Scopes.of(scopes))


def faults_of(call):
    with pytest.raises(InvalidError) as refused:
        call()
    return dict(refused.value.faults)


def test_a_role_is_made_shown_and_listed(world, admin):
    low = create(world, admin)
    high = create(world, admin, "writer", ["storage:write"], [low.id, low.id])
    assert (high.scopes, high.implies, high.shared) == (["storage:write"], [low.id], False)
    assert high == roles.shown(world.store, admin, high.id)
    listed, _ = roles.listed(world.store, admin, Query(sort=("name",)), now=NOW)
    assert [role.name for role in listed] == ["administrator", "reader", "writer"]
    row = world.journal()[-1]
    assert (row.action, row.noun, row.record, row.n) == (
        "role.create",
        "role",
        high.id,
        high.version,
    )


@pytest.mark.parametrize("scope", ["*", "storage:everything", "nothing:read", "", "storage:read "])
def test_only_scopes_of_the_published_policy_are_taken(world, admin, scope):
    assert "scopes" in faults_of(lambda: create(world, admin, scopes=["storage:read", scope]))


def test_only_roles_of_the_tenant_or_shared_ones_are_implied(world, admin):
    foreign = world.role(world.tenant(), ["storage:read"])
    for role_id in (foreign, "nothing"):
        assert "implies" in faults_of(
            lambda role_id=role_id: create(world, admin, implies=[role_id])
        )
    shared = world.role(None, ["storage:read"])
    assert create(world, admin, implies=[shared]).implies == [shared]


def test_roles_imply_each_other_in_no_circle(world, admin):
    one = create(world, admin, "one")
    two = create(world, admin, "two", implies=[one.id])
    three = create(world, admin, "three", implies=[two.id])
    for circle in ([one.id], [two.id], [three.id]):
        told = faults_of(lambda circle=circle: change(world, admin, one, implies=circle))
        assert "implies" in told
    assert roles.shown(world.store, admin, one.id).implies == []


def test_two_roles_of_a_tenant_have_two_names(world, admin):
    one, two = create(world, admin, "one"), create(world, admin, "two")
    with pytest.raises(ConflictError, match="'one'"):
        create(world, admin, "one")
    with pytest.raises(ConflictError, match="'one'"):
        change(world, admin, two, name="one")
    change(world, admin, one, name="one")


# --- nobody hands out what they don't hold


def test_a_role_is_made_only_by_who_holds_all_of_it(world, admin):
    low = create(world, admin)
    few = holding(world, admin, "manage:roles.write", "storage:write")
    create(world, few, "writer", ["storage:write"])
    for name, scopes, implies in (
        ("a", ["storage:read"], []),
        ("b", ["operator:policy.write"], []),
        ("c", [], [low.id]),
    ):
        with pytest.raises(ForbiddenError, match="you don't hold"):
            create(world, few, name, scopes, implies)


def test_a_role_is_widened_only_by_who_holds_all_of_it(world, admin):
    low = create(world, admin)
    role = create(world, admin, "writer", ["storage:write"])
    few = holding(world, admin, "manage:roles.write", "storage:write")
    for patch in ({"scopes": ["storage:write", "storage:read"]}, {"implies": [low.id]}):
        with pytest.raises(ForbiddenError, match="storage:read"):
            change(world, few, role, **patch)
    assert roles.shown(world.store, admin, role.id) == role
    change(world, few, role, name="renamed", scopes=[])
    change(world, few, role, scopes=["storage:write"])


def test_a_lower_role_that_grows_under_a_higher_one_goes_through_the_gate(world, admin):
    low = create(world, admin, "low", [])
    create(world, admin, "high", ["storage:write"], [low.id])
    few = holding(world, admin, "manage:roles.write")
    with pytest.raises(ForbiddenError):
        change(world, few, low, scopes=["storage:delete"])


def test_a_role_is_given_only_by_who_holds_all_of_it(world, admin):
    low = create(world, admin)
    high = create(world, admin, "high", [], [low.id])
    somebody = world.somebody("storage:write", tenant_id=admin.tenant_id)
    few = holding(world, admin, "manage:users.write", "storage:write")
    for role_id in (low.id, high.id, world.role_id):
        with pytest.raises(ForbiddenError):
            roles.give(world.store, few, somebody.user_id, Held(somebody.project_id, role_id))
        # Nor to themselves.
        own = Held(few.credential.project_id, role_id)
        with pytest.raises(ForbiddenError):
            roles.give(world.store, few, few.owner.id, own)


def test_a_role_gives_rights_at_once_and_taking_it_away_takes_them(world, admin):
    somebody, engine = world.somebody("storage:write", tenant_id=admin.tenant_id), world.engine()
    key = world.key(owner=somebody)
    low = create(world, admin)
    held = Held(somebody.project_id, create(world, admin, "high", [], [low.id]).id)
    assert engine.decide(asking(key)).reason == "owner_lacks_scope"
    given, n = roles.give(world.store, admin, somebody.user_id, held)
    assert held in given.roles
    assert (given.version, world.head()) == (n, n)
    assert engine.decide(asking(key)).allowed
    assert roles.give(world.store, admin, somebody.user_id, held) == (given, n)
    taken, m = roles.take(world.store, admin, somebody.user_id, held)
    assert (held in taken.roles, taken.version) == (False, m)
    assert engine.decide(asking(key)).reason == "owner_lacks_scope"
    with pytest.raises(NotFoundError, match="does not hold"):
        roles.take(world.store, admin, somebody.user_id, held)
    told = msgspec.json.decode(world.journal()[-1].detail)["before"]
    assert told["role_id"] == held.role_id


def test_a_role_that_shrinks_takes_rights_at_once_from_all_who_hold_it(world, admin):
    low = create(world, admin)
    somebody, engine = world.somebody("storage:write", tenant_id=admin.tenant_id), world.engine()
    roles.give(world.store, admin, somebody.user_id, Held(somebody.project_id, low.id))
    key = world.key(owner=somebody)
    assert engine.decide(asking(key)).allowed
    change(world, admin, low, scopes=[])
    assert not engine.decide(asking(key)).allowed


# --- tenants


def test_nothing_of_another_tenant_is_given_changed_or_seen(world, admin):
    other = world.somebody()
    foreign_role = world.role(other.tenant_id, [])
    mine = world.somebody(tenant_id=admin.tenant_id)
    good = Held(mine.project_id, create(world, admin).id)
    head = world.head()
    for user_id, held in (
        (other.user_id, good),
        (mine.user_id, Held(other.project_id, good.role_id)),
        (mine.user_id, Held(good.project_id, foreign_role)),
    ):
        with pytest.raises(NotFoundError):
            roles.give(world.store, admin, user_id, held)
    for call in (
        lambda: roles.shown(world.store, admin, foreign_role),
        lambda: roles.delete(world.store, admin, foreign_role),
        lambda: roles.change_role(world.store, POLICY, admin, foreign_role, RolePatch(name="x")),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert world.head() == head


def test_a_shared_role_is_seen_and_given_but_not_changed(world, admin):
    shared = world.role(None, ["storage:read"])
    assert roles.shown(world.store, admin, shared).shared
    roles.give(world.store, admin, admin.owner.id, Held(world.owner.project_id, shared))
    with pytest.raises(ForbiddenError, match="every tenant"):
        roles.change_role(world.store, POLICY, admin, shared, RolePatch(name="x"))
    with pytest.raises(ForbiddenError):
        roles.delete(world.store, admin, shared)


# --- delete


def test_a_role_is_deleted_only_when_nobody_needs_it(world, admin):
    low = create(world, admin)
    high = create(world, admin, "high", [], [low.id])
    held = Held(world.owner.project_id, low.id)
    roles.give(world.store, admin, admin.owner.id, held)
    with pytest.raises(ConflictError, match="held 1 times"):
        roles.delete(world.store, admin, low.id)
    roles.take(world.store, admin, admin.owner.id, held)
    with pytest.raises(ConflictError, match="implied by high"):
        roles.delete(world.store, admin, low.id)
    roles.delete(world.store, admin, high.id)
    with pytest.raises(StaleError):
        roles.delete(world.store, admin, low.id, match=IfMatch(frozenset({1})))
    roles.delete(world.store, admin, low.id)
    assert world.journal()[-1].action == "role.delete"
    with pytest.raises(NotFoundError):
        roles.shown(world.store, admin, low.id)


# --- the last administrator


def test_the_last_administrator_keeps_their_last_full_role(world, admin):
    held, head = Held(world.owner.project_id, world.role_id), world.head()
    with pytest.raises(ConflictError, match="without an active user"):
        roles.take(world.store, admin, admin.owner.id, held)
    with pytest.raises(ConflictError, match="without an active user"):
        roles.change_role(
            world.store, POLICY, admin, world.role_id, RolePatch(scopes=["storage:read"])
        )
    assert world.head() == head
    second = create(world, admin, "second", MANAGING)
    above = create(world, admin, "above", [], [second.id])
    roles.give(world.store, admin, admin.owner.id, Held(world.owner.project_id, above.id))
    roles.take(world.store, admin, admin.owner.id, held)
    shown = users.shown(world.store, admin, admin.owner.id)
    assert [one.role_id for one in shown.roles] == [above.id]


def test_a_user_holds_no_more_roles_than_a_decision_looks_at(world, admin):
    user_id = world.user(admin.tenant_id)
    rows = [
        {"user_id": user_id, "project_id": world.project(admin.tenant_id), "role_id": world.role_id}
        for _ in range(MAX_HELD)
    ]
    with world.changing() as changing:
        changing.connection.execute(sa.insert(schema.role_assignment), rows)
    with pytest.raises(ConflictError, match="at most 32"):
        roles.give(world.store, admin, user_id, Held(world.owner.project_id, world.role_id))
    roles.give(world.store, admin, user_id, Held(rows[0]["project_id"], world.role_id))
    assert admin.rights == ALL
