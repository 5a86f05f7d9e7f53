"""Account passwords: stored as they were hashed, replaced only by whoever changed the last one."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.world import FILES, compiled

from latchgate.manage import passwords
from latchgate.manage.errors import ForbiddenError, NotFoundError
from latchgate.manage.passwords import FirstPassword, PasswordChange
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
HASHED = b"$argon2id$made-up"


@pytest.fixture
def admin(world):
    return world.acting(world.admin)


def set_first(world, caller, user_id, **spec):
    asked = FirstPassword(**spec)
    issued = passwords.draw(POLICY, asked.namespace, entropy=secrets.token_bytes)
    login, n = passwords.set_first(
        world.store,
        POLICY,
        caller,
        user_id,
        spec=asked,
        issued=replace(issued, digest=HASHED),
    )
    return login, issued.secret.reveal(), n


def change(world, caller, held, hashed):
    return passwords.change(
        world.store, POLICY, caller, held, hashed=hashed, entropy=secrets.token_bytes
    )


def test_of_two_changes_from_the_same_password_the_second_is_a_conflict(world, admin):
    held = passwords.held(world.store, POLICY, admin, "latchgate")
    change(world, admin, held, b"$argon2id$first")
    before = world.head()
    with pytest.raises(ConflictError, match="meantime"):
        change(world, admin, held, b"$argon2id$second")
    assert world.head() == before
    found = passwords.held(world.store, POLICY, admin, "latchgate")
    assert found.digest == b"$argon2id$first"


def test_a_changed_password_is_as_wide_as_the_one_before(world, admin):
    owner = world.somebody("upcloud:read", tenant_id=admin.tenant_id)
    bounded = world.acting(world.key("manage", scopes=["manage:users.write", "upcloud:read"]))
    set_first(world, bounded, owner.user_id, namespace="upcloud", login="narrow")
    user = world.acting(world.key("own", owner=owner))
    held = passwords.held(world.store, POLICY, user, "upcloud")
    assert held.scopes == ["upcloud:read"]
    change(world, user, held, b"$argon2id$other")
    assert passwords.held(world.store, POLICY, user, "upcloud").scopes == ["upcloud:read"]


def test_the_journal_holds_neither_the_password_nor_its_hash(world, admin):
    owner = world.somebody(tenant_id=admin.tenant_id)
    _, text, _ = set_first(world, admin, owner.user_id, login="quiet")
    told = "".join(row.detail for row in world.journal())
    assert text not in told
    assert "argon2id" not in told
    row = world.one(
        sa.select(schema.credential).where(schema.credential.c.owner_id == owner.user_id)
    )
    assert (bytes(row.digest), row.kind) == (HASHED, "latchgate.account_password")


def test_it_is_given_only_by_whoever_holds_all_that_it_opens(world):
    chief = world.somebody("dav:read")
    clerk = world.somebody("manage:users.write", tenant_id=chief.tenant_id)
    caller = world.acting(world.key("manage", owner=clerk), world_rights("manage:users.write"))
    with pytest.raises(ForbiddenError, match="dav:read"):
        set_first(world, caller, chief.user_id, login="chief")


def world_rights(*names):
    from latchgate.core.scope import Scopes

    return Scopes.of(names)


def test_who_has_none_is_told_who_issues_the_first(world, admin):
    with pytest.raises(NotFoundError, match="administrator"):
        passwords.held(world.store, POLICY, admin, "upcloud")
    with pytest.raises(NotFoundError, match="never had"):
        passwords.disable(world.store, POLICY, admin, admin.owner.id, "upcloud")


def test_what_holds_passwords_prints_without_them(world, admin):
    asked = PasswordChange(current_password="current one", new_password="new one")
    held = passwords.held(world.store, POLICY, admin, "latchgate")
    assert "current one" not in repr(asked)
    assert "new one" not in repr(asked)
    assert "argon2id" not in repr(held)


def test_passwords_are_had_where_a_policy_says_so_and_the_console_comes_first():
    assert passwords.namespaces(compiled({}, 1)) == ("latchgate",)
    told = passwords.namespaces(compiled(FILES, 1))
    assert told[0] == "latchgate"
    assert {"upcloud", "teracloud"} <= set(told)
