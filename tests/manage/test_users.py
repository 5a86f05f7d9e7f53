"""Users: who they are, where from, and that a tenant keeps somebody who can manage it."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.world import World, asking

from latchgate.manage import keys, users
from latchgate.manage.errors import InvalidError, NotFoundError, StaleError
from latchgate.manage.idempotency import Once
from latchgate.manage.listing import Query
from latchgate.manage.records import IfMatch
from latchgate.manage.users import UserPatch, UserSpec
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

NOW = 1_000_000.0


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def create(world, caller, *, once=None, **asked):
    spec = UserSpec(**({"name": "bob"} | asked))
    how = {"now": NOW, "entropy": secrets.token_bytes, "once": once}
    return users.create(world.store, caller, spec, **how)


def test_a_new_user_is_a_subaccount_from_everywhere_without_a_role(world, admin):
    made, new = create(world, admin)
    assert new
    assert (made.name, made.sort, made.active, made.allow_api) == ("bob", "sub", True, True)
    assert (made.ip_filters, made.email, made.roles) == (None, None, [])
    assert made == users.shown(world.store, admin, made.id)
    row = world.journal()[-1]
    assert (row.n, row.action, row.tenant_id) == (made.version, "user.create", admin.tenant_id)


def test_filters_are_kept_as_networks_and_none_apart_from_nowhere(world, admin):
    told = create(world, admin, ip_filters=["192.0.2.7/24", "2001:db8::1"])[0]
    assert told.ip_filters == ["192.0.2.0/24", "2001:db8::1/128"]
    assert create(world, admin, name="eve", ip_filters=[])[0].ip_filters == []
    with pytest.raises(InvalidError, match="ip_filters"):
        create(world, admin, name="x", ip_filters=["everywhere"])


def test_a_name_is_taken_once_in_a_tenant(world, admin):
    create(world, admin)
    with pytest.raises(ConflictError):
        create(world, admin)
    other = world.acting(world.key("manage", owner=world.somebody()))
    assert create(world, other)[1]


def test_a_repeat_finds_the_user_as_they_are_now(world, admin):
    once = Once.of("k", "POST /manage/v1/users", {})
    made, _ = create(world, admin, once=once)
    users.switch(world.store, admin, made.id, active=False)
    again, new = create(world, admin, once=once)
    assert (new, again.id, again.active) == (False, made.id, False)


def test_users_of_another_tenant_are_not_there(world, admin):
    stranger = world.somebody().user_id
    head = world.head()
    listed, _ = users.listed(world.store, admin, Query(), now=NOW)
    assert [user.id for user in listed] == [world.owner.user_id]
    calls = (
        lambda: users.shown(world.store, admin, stranger),
        lambda: users.change_user(world.store, admin, stranger, UserPatch(name="x")),
        lambda: users.switch(world.store, admin, stranger, active=False),
    )
    for call in calls:
        with pytest.raises(NotFoundError, match="there is no user"):
            call()
    assert world.head() == head


def test_a_patch_changes_what_it_names_and_null_takes_away(world, admin):
    made, _ = create(world, admin, email="bob@a.example", ip_filters=["192.0.2.1"])
    patch = UserPatch(email=None, ip_filters=None)
    changed, n = users.change_user(world.store, admin, made.id, patch)
    assert (changed.email, changed.ip_filters, changed.name) == (None, None, "bob")
    assert (changed.version, world.head()) == (n, n)
    detail = msgspec.json.decode(world.journal()[-1].detail)
    assert detail["before"] == {"email": "bob@a.example", "networks": ["192.0.2.1/32"]}
    assert detail["after"] == {"email": None, "networks": None}
    assert users.change_user(world.store, admin, made.id, patch)[0] == changed
    assert world.head() == n


def test_a_change_of_another_version_is_refused(world, admin):
    made, _ = create(world, admin)
    users.change_user(
        world.store, admin, made.id, UserPatch(name="b"), match=IfMatch(frozenset({made.version}))
    )
    stale = IfMatch(frozenset({made.version}))
    for call in (
        lambda: users.change_user(world.store, admin, made.id, UserPatch(name="c"), match=stale),
        lambda: users.switch(world.store, admin, made.id, active=False, match=stale),
    ):
        with pytest.raises(StaleError):
            call()
    assert users.shown(world.store, admin, made.id).name == "b"


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        (UserPatch(allow_api=False), "owner_without_api"),
        (UserPatch(ip_filters=[]), "network_not_allowed"),
        (UserPatch(ip_filters=["198.51.100.0/24"]), "network_not_allowed"),
    ],
)
def test_a_change_holds_for_every_credential_of_the_user_at_once(world, admin, patch, reason):
    somebody = world.somebody(tenant_id=admin.tenant_id)
    key, engine = world.key(owner=somebody), world.engine()
    assert engine.decide(asking(key)).allowed
    users.change_user(world.store, admin, somebody.user_id, patch)
    assert engine.decide(asking(key)).reason == reason


def test_a_disabled_user_is_out_at_once_and_comes_back(world, admin):
    somebody = world.somebody(tenant_id=admin.tenant_id)
    key, engine = world.key(owner=somebody), world.engine()
    off, n = users.switch(world.store, admin, somebody.user_id, active=False)
    assert (off.active, off.version, world.head()) == (False, n, n)
    assert engine.decide(asking(key)).reason == "owner_disabled"
    assert keys.shown(world.store, admin, key.id).revoked_at is None
    again, m = users.switch(world.store, admin, somebody.user_id, active=False)
    assert (again, m, world.head()) == (off, n, n)
    users.switch(world.store, admin, somebody.user_id, active=True)
    assert engine.decide(asking(key)).allowed


@pytest.mark.parametrize("patch", [UserPatch(allow_api=False), UserPatch(ip_filters=[])])
def test_the_last_administrator_does_not_lock_themselves_out(world, admin, patch):
    head, own = world.head(), world.owner.user_id
    with pytest.raises(ConflictError, match="without an active user who can manage"):
        users.change_user(world.store, admin, own, patch)
    with pytest.raises(ConflictError, match="without an active user who can manage"):
        users.switch(world.store, admin, own, active=False)
    assert world.head() == head
    world.somebody("manage:users.write", "manage:roles.write", tenant_id=admin.tenant_id)
    users.switch(world.store, admin, own, active=False)
    assert not world.engine().decide(asking(world.admin)).allowed


def test_lists_find_users_by_text_and_filter(world, admin):
    create(world, admin, name="Ann", email="ann@a.example", sort="service")
    create(world, admin, name="ben", ip_filters=[])

    def names(**asked):
        return [one.name for one in users.listed(world.store, admin, Query(**asked), now=NOW)[0]]

    assert names()[-1] == "admin"  # the first administrator is of today
    assert names(sort=("-name",)) == ["ben", "admin", "Ann"]
    assert names(q="A.EXAMPLE") == ["Ann"]
    assert names(filters={"user_sort": "service"}) == ["Ann"]
    assert names(filters={"active": "false"}) == []


def test_names_are_told_of_the_own_tenants_users_alone(world, admin):
    (made, _), foreign = create(world, admin, name="Ann"), world.somebody()
    wanted = [made.id, foreign.user_id, "u-nobody"]
    assert users.names(world.store, admin, wanted) == {made.id: "Ann"}
    assert users.names(world.store, admin, []) == {}


def test_lists_find_who_holds_a_role_or_any_in_a_project_and_nobody_elsewhere(world, admin):
    other = world.somebody("own:keys.read")
    both = world.somebody("own:keys.read", tenant_id=admin.tenant_id)
    role = world.role(admin.tenant_id, ["own:keys.write"])
    world.assign(both.user_id, world.owner.project_id, role)

    def found(**filters):
        told = users.listed(world.store, admin, Query(filters=filters), now=NOW)[0]
        return {one.id for one in told}

    assert found(project_id=world.owner.project_id) == {world.owner.user_id, both.user_id}
    assert found(project_id=both.project_id) == {both.user_id}
    assert found(role_id=role) == {both.user_id}
    assert found(project_id=other.project_id) == set()
