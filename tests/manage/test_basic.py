"""App passwords: one login name a user and namespace, one password at a time, in one change."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from tests.world import FILES, compiled

from latchgate.core.model import Noun
from latchgate.manage import basic
from latchgate.manage.basic import BasicSpec
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.store.errors import ConflictError

POLICY = compiled(FILES, 1)


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
