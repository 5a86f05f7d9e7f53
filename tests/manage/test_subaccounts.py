"""What the door's own tests can't see: all of a change or none of it, and other callers' names."""

from __future__ import annotations

import secrets
from dataclasses import replace

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import FILES, compiled

from latchgate.manage import accounts, logins, passwords, subaccounts, users
from latchgate.manage.accounts import NotMainError
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.subaccounts import AccountChange
from latchgate.store import schema
from latchgate.store.errors import ConflictError

pytestmark = pytest.mark.both_databases

POLICY = compiled(FILES, 1)
SCOPES = ("upcloud:read", "upcloud:account")


def told(**fields):
    return AccountChange(**{"contact": {}, "targets": {}, **fields})


def make(world, caller, username, **fields):
    drawn = passwords.draw(POLICY, "upcloud", entropy=secrets.token_bytes)
    return subaccounts.create(
        world.store,
        POLICY,
        caller,
        username,
        told(**fields),
        issued=replace(drawn, digest=b"$argon2id$made-up"),
        entropy=secrets.token_bytes,
    )


@pytest.fixture
def main(world):
    return world.acting(world.key(owner=world.somebody(*SCOPES)))


def counts(world):
    tables = (schema.user, schema.role, schema.login, schema.credential, schema.permission)
    counted = [world.one(sa.select(sa.func.count()).select_from(one))[0] for one in tables]
    return [*counted, world.head()]


def test_a_subaccount_that_cannot_be_made_leaves_nothing_behind(world, main):
    make(world, main, "first_one")
    before = counts(world)
    with pytest.raises(ConflictError):
        make(world, main, "first_one")
    # Its permissions are refused last, when everything else was written.
    too_many: dict[str, dict[str, dict[str, str]]] = {
        "storage": {f"s{number}": {} for number in range(1_001)}
    }
    with pytest.raises(InvalidError, match="at most 1000"):
        make(world, main, "second_one", targets=too_many)
    assert counts(world) == before


def test_subaccounts_share_one_role_that_the_tenant_may_change(world, main):
    make(world, main, "first_one")
    make(world, main, "second_one")
    table = schema.role
    mine = sa.select(table).where(table.c.tenant_id == main.tenant_id)
    shared = [row for row in world.all(mine) if row.name == subaccounts.ROLE]
    assert [row.scopes for row in shared] == ['["upcloud:account","upcloud:read"]']


def test_a_deleted_subaccount_is_nobody_to_the_rest_of_manage(world, main):
    make(world, main, "gone_soon")
    gone = accounts.shown(world.store, main, "gone_soon")
    subaccounts.delete(world.store, main, "gone_soon")
    with pytest.raises(NotFoundError):
        users.shown(world.store, main, gone.id)
    with pytest.raises(NotFoundError):
        users.switch(world.store, main, gone.id, active=True)
    with world.store.reading() as connection, pytest.raises(NotFoundError):
        logins.user_in(connection, main.tenant_id, gone.id)
    row = world.one(sa.select(schema.user).where(schema.user.c.id == gone.id))
    assert (row.active, row.email, row.contact) == (False, None, None)
    held = schema.role_assignment
    assert world.all(sa.select(held).where(held.c.user_id == gone.id)) == []
    key = schema.credential
    alive = sa.select(key).where(key.c.owner_id == gone.id, key.c.revoked_at.is_(None))
    assert world.all(alive) == []


def test_an_account_without_a_login_is_known_by_its_users_name(world, main):
    name = accounts.own(world.store, main).username
    assert name == main.owner.name
    assert accounts.shown(world.store, main, name).sort == "main"


def test_filters_that_were_changed_elsewhere_are_shown_as_they_are_now(world, main):
    make(world, main, "filtered", ip_filters=["192.0.2.1-192.0.2.2"])
    one = accounts.shown(world.store, main, "filtered")
    assert one.ip_filters == ["192.0.2.1-192.0.2.2"]
    patch = users.UserPatch(ip_filters=["198.51.100.0/24"])
    users.change_user(world.store, main, one.id, patch)
    now = accounts.shown(world.store, main, "filtered")
    assert now.ip_filters == ["198.51.100.0/24"]


def test_what_is_not_told_stays(world, main):
    make(world, main, "steady", contact={"city": "Oulu"}, email="a@b.example", allow_api=False)
    before = accounts.shown(world.store, main, "steady")
    head = world.head()
    one, _ = subaccounts.change_account(world.store, main, "steady", told(), sub=True)
    assert (one, world.head()) == (before, head)
    assert (one.contact, one.allow_api, one.email) == ({"city": "Oulu"}, False, "a@b.example")


def test_a_service_user_is_no_account_of_the_providers(world, main):
    owner = world.somebody("upcloud:read", tenant_id=main.tenant_id)
    changed = sa.update(schema.user).where(schema.user.c.id == owner.user_id)
    from latchgate.core.model import Noun

    world.change(Noun.USER, owner.user_id, changed.values(sort="service"))
    service = world.acting(world.key(owner=owner))
    mine = accounts.own(world.store, service)
    assert mine.sort == "sub"
    with pytest.raises(NotMainError):
        accounts.listed(world.store, service)
    with pytest.raises(NotFoundError):
        subaccounts.delete(world.store, main, mine.username)
    assert msgspec.structs.asdict(mine)["username"] not in [
        one.username for one in accounts.listed(world.store, main)
    ]
