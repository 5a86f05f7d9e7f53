"""A user's own keys of one provider, and what a key across services can be."""

from __future__ import annotations

import secrets

import pytest
from tests.world import FILES, compiled

from latchgate.core.scope import Scopes
from latchgate.manage import key_terms, keys, own_keys
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.keys import KeySpec

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
WAYSCLOUD = "wayscloud"


def issue(world, caller, *services, **spec):
    asked = KeySpec(name="own", services=list(services), **spec)
    return own_keys.issue(
        world.store,
        POLICY,
        caller,
        asked,
        WAYSCLOUD,
        now=world.clock(),
        entropy=secrets.token_bytes,
    )


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def test_everybody_sees_their_own_keys_of_the_provider_all_of_them_in_order(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    made = [world.key("storage", owner=owner).id for _ in range(5)]
    world.key("manage", owner=owner)
    world.key("storage")
    mine = world.acting(world.key("storage", owner=owner))
    keys.revoke(world.store, admin, made[1])
    found = own_keys.listed(world.store, mine, WAYSCLOUD)
    assert [one.id for one in found] == [*made, mine.credential.id]
    assert [one.id for one in found if one.revoked_at is not None] == [made[1]]
    page = own_keys.listed(world.store, mine, WAYSCLOUD, limit=2, offset=3)
    assert [one.id for one in page] == made[3:]
    assert own_keys.listed(world.store, mine, "upcloud") == []


def test_d5_48_the_keys_of_others_are_not_there(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    mine = world.acting(world.key("storage", owner=owner))
    others = [world.key("storage").id, admin.credential.id]
    colleague = world.somebody(tenant_id=admin.tenant_id)
    others.append(world.key("storage", owner=colleague).id)
    others.append(world.key("manage", owner=owner).id)
    before = world.head()
    for key_id in others:
        with pytest.raises(NotFoundError):
            own_keys.shown(world.store, mine, WAYSCLOUD, key_id)
        with pytest.raises(NotFoundError):
            own_keys.revoke(world.store, mine, WAYSCLOUD, key_id)
    assert world.head() == before


def test_revoking_ones_own_is_noted_and_a_repeat_changes_nothing(world, admin):
    key, issued = issue(world, admin, "storage")
    assert issued.secret.reveal().startswith("wayscloud_storage_")
    revoked, n = own_keys.revoke(world.store, admin, WAYSCLOUD, key.id)
    assert revoked.revoked_at is not None
    assert own_keys.revoke(world.store, admin, WAYSCLOUD, key.id) == (revoked, n)
    assert own_keys.shown(world.store, admin, WAYSCLOUD, key.id).revoked_at is not None


def test_keys_of_other_providers_are_not_made_here(world, admin):
    for name in ("manage", "own", "upcloud", "dav", "none"):
        with pytest.raises(InvalidError, match="storage, pat"):
            issue(world, admin, name)


def test_a_key_across_services_opens_what_its_kind_is_accepted_for_and_no_more(world, admin):
    kind = POLICY.issued("wayscloud.service_key")
    offered = key_terms.openable(POLICY, kind)
    assert {"storage:read", "gpu:use", "own:keys.write"} <= offered
    assert not {scope for scope in offered if scope.startswith(("manage:", "operator:"))}
    key, issued = issue(world, admin, "pat", scopes=sorted(offered))
    assert issued.secret.reveal().startswith("wayscloud_pat_")
    assert set(key.services) == {scope.partition(":")[0] for scope in offered}
    none, _ = issue(world, admin, "pat", scopes=[])
    assert (none.services, none.scopes) == ([], [])


@pytest.mark.parametrize(
    ("services", "scopes", "field"),
    [
        (["pat"], None, "scopes"),
        (["pat"], ["manage:keys.write"], "scopes"),
        (["pat"], ["*"], "scopes"),
        (["pat", "storage"], ["storage:read"], "services"),
        (["storage", "pat"], ["storage:read"], "services"),
        (["pat", "pat"], ["storage:read"], "services"),
    ],
)
def test_a_key_across_services_names_its_scopes_and_stands_alone(
    world, admin, services, scopes, field
):
    with pytest.raises(InvalidError) as raised:
        issue(world, admin, *services, scopes=scopes)
    assert field in {name for name, _ in raised.value.faults}


def test_d5_38_its_maker_holds_each_of_its_scopes(world):
    maker = world.acting(world.admin, Scopes.of(["storage:read"]))
    assert issue(world, maker, "pat", scopes=["storage:read"])[0].scopes == ["storage:read"]
    with pytest.raises(ForbiddenError, match="llm:models"):
        issue(world, maker, "pat", scopes=["storage:read", "llm:models"])
