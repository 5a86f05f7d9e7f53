"""Roles as people read them: named for who may list them, offered for who may hand them out."""

from __future__ import annotations

import pytest
from tests.world import FILES, World, compiled

from latchgate.core.scope import ALL, Scopes
from latchgate.manage import holdings, users
from latchgate.manage.users import Held

pytestmark = pytest.mark.both_databases

NOW = 1_000_000.0
SEES = ("manage:projects.read", "manage:roles.read")
POLICY = compiled(FILES, 1)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


def acting(world, *scopes):
    return world.acting(world.admin, Scopes.of(scopes) if scopes else ALL)


def test_what_is_held_is_named_to_who_may_list_it_and_by_id_to_others(world):
    mine, owner = acting(world), world.owner
    held = users.shown(world.store, mine, owner.user_id).roles
    (told,) = holdings.named(world.store, acting(world, *SEES), held)
    assert (told.project, told.role, told.active) == ("default", "administrator", True)
    (told,) = holdings.named(world.store, acting(world, "manage:users.read"), held)
    assert (told.project, told.role) == (owner.project_id, told.role_id)


def test_nothing_of_another_tenant_is_named(world):
    other = world.somebody("own:keys.read")
    role = world.role(other.tenant_id, ["own:keys.read"])
    assert holdings.named(world.store, acting(world), [Held(other.project_id, role)]) == []
    assert role not in {one.id for one in holdings.offered(world.store, acting(world))}


def test_a_role_is_offered_to_who_holds_all_of_it_with_what_it_implies(world):
    tenant = world.owner.tenant_id
    reads = world.role(tenant, ["own:keys.read"])
    known = {one.id: one for one in holdings.offered(world.store, acting(world, "own:keys.read"))}
    assert known[reads].handable
    assert not known[world.role_id].handable
    assert known[reads].scopes == Scopes.of(["own:keys.read"])


def test_one_may_put_in_what_one_holds_of_the_policy_and_never_a_star(world):
    few = holdings.scopes_to_hand_out(POLICY, acting(world, "storage:read", "gone:read"))
    assert few == ("storage:read",)
    every = holdings.scopes_to_hand_out(POLICY, acting(world))
    assert "operator:tenants.write" in every
    assert "*" not in every


def test_scopes_are_spelled_out_and_those_of_no_service_come_last(world):
    assert holdings.spelled_out(POLICY, Scopes.of(["gone:read", "storage:read"])) == (
        "storage:read",
        "gone:read",
    )
    assert set(holdings.spelled_out(POLICY, ALL)) == {
        scope for one in POLICY.services.values() for scope in one.scopes
    }
