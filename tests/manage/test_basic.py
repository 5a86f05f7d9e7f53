"""App passwords: one login name a user and namespace, one password at a time, in one change."""

from __future__ import annotations

import secrets
from dataclasses import replace

import msgspec
import pytest
from tests.world import FILES, compiled

from latchgate.core.model import Noun
from latchgate.manage import basic, passwords
from latchgate.manage.basic import BasicSpec
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.idempotency import Once
from latchgate.manage.passwords import FirstPassword
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
EARLY = ("2021-06-02T16:25:00+09:00", "2999-01-01T00:00:00Z")  # everybody registered before
COHORT = compiled({name: text.replace(*EARLY) for name, text in FILES.items()}, 1)


def enable(world, caller, user_id, **spec):
    return basic.enable(
        world.store,
        POLICY,
        caller,
        user_id,
        spec=BasicSpec(**spec),
        now=world.clock(),
        entropy=secrets.token_bytes,
    )


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def test_everything_that_changed_is_noted_under_what_verifiers_hold(world, admin):
    found, issued, n = enable(world, admin, admin.owner.id, login="Ädmin")
    rows = world.journal()[-3:]
    assert [(row.noun, row.action) for row in rows] == [
        (str(Noun.LOGIN), "login.create"),
        (str(Noun.CREDENTIAL), "basic.create"),
        (str(Noun.LOGIN), "login.change"),
    ]
    assert rows[-1].n == n
    assert found.login == "ädmin"
    assert issued is not None
    assert issued.secret.reveal() not in "".join(row.detail for row in rows)
    assert "digest" not in msgspec.json.decode(rows[1].detail)["after"]


def test_a_refused_one_leaves_nothing_half_made(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    narrow = world.acting(world.key("manage", scopes=["manage:users.write"]))
    before = world.head()
    with pytest.raises(InvalidError, match="login"):
        enable(world, admin, owner.user_id)  # "user 7" is no login name
    with pytest.raises(ForbiddenError, match="dav:"):
        enable(world, narrow, owner.user_id, login="fits")
    assert world.head() == before
    enable(world, admin, owner.user_id, login="fits")


def test_a_user_has_one_login_name_in_a_namespace(world, admin):
    enable(world, admin, admin.owner.id, login="one")
    basic.disable(world.store, POLICY, admin, admin.owner.id, "teracloud")
    with pytest.raises(ConflictError, match="'one'"):
        enable(world, admin, admin.owner.id, login="two")
    found, _, _ = enable(world, admin, admin.owner.id, login="ONE")
    assert found.login == "one"


def test_which_project_counts_must_be_clear(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    second = world.project(admin.tenant_id)
    world.assign(owner.user_id, second, world.role(admin.tenant_id, ["dav:read"]))
    with pytest.raises(InvalidError, match="which project"):
        enable(world, admin, owner.user_id, login="p")
    with pytest.raises(InvalidError, match="none of theirs"):
        enable(world, admin, owner.user_id, login="p", project_id=world.owner.project_id)
    found, _, _ = enable(world, admin, owner.user_id, login="p", project_id=second)
    assert found.project_id == second


def test_disabling_what_never_was_is_told_so(world, admin):
    with pytest.raises(NotFoundError, match="never enabled"):
        basic.disable(world.store, POLICY, admin, admin.owner.id, "teracloud")


def test_disabling_twice_changes_nothing_and_gives_the_head_to_wait_for(world, admin):
    enable(world, admin, admin.owner.id, login="x")
    _, n = basic.disable(world.store, POLICY, admin, admin.owner.id, "teracloud")
    assert basic.disable(world.store, POLICY, admin, admin.owner.id, "teracloud")[1] == n
    assert world.head() == n


def test_what_a_bounded_key_gives_itself_is_bounded_too(world):
    owner = world.somebody("dav:read", "dav:write")
    key = world.key("own", owner=owner, scopes=["dav:read", "dav:write"], networks=["192.0.2.0/24"])
    enable(world, world.acting(key), owner.user_id, login="bounded")
    made = msgspec.json.decode(world.journal()[-2].detail)["after"]
    assert made["scopes"] == ["dav:read", "dav:write"]
    assert made["networks"] == ["192.0.2.0/24"]
    assert made["issues"] is False


def set_login_password(world, admin, user_id, login):
    """Give a user a login password at TeraCLOUD, hashed by nobody."""
    issued = passwords.draw(COHORT, "teracloud", entropy=secrets.token_bytes)
    spec = FirstPassword(namespace="teracloud", login=login)
    hashed = replace(issued, digest=b"$argon2id$made-up")
    passwords.set_first(world.store, COHORT, admin, user_id, spec=spec, issued=hashed)


def shown(world, admin, user_id):
    found = basic.show(world.store, COHORT, admin, user_id, "teracloud")
    return found.login, found.enabled, found.login_password


def test_the_first_switch_is_noted_once_and_ends_what_was_by_default(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    assert shown(world, admin, owner.user_id) == (None, False, False)
    set_login_password(world, admin, owner.user_id, "early")
    assert shown(world, admin, owner.user_id) == ("early", False, True)
    enable(world, admin, owner.user_id)
    assert shown(world, admin, owner.user_id) == ("early", True, False)
    basic.disable(world.store, COHORT, admin, owner.user_id, "teracloud")
    assert shown(world, admin, owner.user_id) == ("early", False, False)
    enable(world, admin, owner.user_id)
    rows = [row for row in world.journal() if row.action == "basic.switch"]
    assert [(row.noun, row.record) for row in rows] == [(str(Noun.USER), owner.user_id)]
    assert msgspec.json.decode(rows[0].detail) == {
        "before": {"basic_switched": None},
        "after": {"basic_switched": ["teracloud"]},
    }


def test_what_is_on_by_default_can_be_switched_off_and_has_a_number_to_wait_for(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    set_login_password(world, admin, owner.user_id, "early")
    before = world.head()
    found, n = basic.disable(world.store, COHORT, admin, owner.user_id, "teracloud")
    assert (found.enabled, found.login_password) == (False, False)
    assert n == world.head() > before
    again, m = basic.disable(world.store, COHORT, admin, owner.user_id, "teracloud")
    assert (again, m) == (found, n)


def test_a_login_password_is_told_as_taken_only_from_the_cohort(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    set_login_password(world, admin, owner.user_id, "late")
    found = basic.show(world.store, POLICY, admin, owner.user_id, "teracloud")
    assert found.login_password is False


def test_a_reissue_that_is_sent_twice_makes_one_password_and_tells_it_once(world, admin):
    enable(world, admin, admin.owner.id, login="twice")
    once = Once.of("k-1", "/reissue", "teracloud")

    def reissue():
        return basic.reissue(
            world.store,
            POLICY,
            admin,
            admin.owner.id,
            "teracloud",
            now=world.clock(),
            entropy=secrets.token_bytes,
            once=once,
        )

    found, issued, _ = reissue()
    head = world.head()
    again, nothing, _ = reissue()
    assert issued is not None
    assert nothing is None
    assert again.credential_id == found.credential_id == issued.id
    assert world.head() == head


def test_the_namespaces_and_areas_that_take_an_app_password_are_those_of_the_policy():
    assert basic.namespaces(POLICY) == ("teracloud", "upcloud")
    assert basic.namespaces(compiled({}, 1)) == ()
    assert {one.path for one in basic.areas(POLICY, "teracloud")} == {
        "/dav",
        "/backup",
        "/v2/api",
        "/ba",
    }
