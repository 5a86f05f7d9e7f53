"""Whom an account's name means, and who is told of it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.manage import accounts, logins
from latchgate.manage.accounts import NotMainError
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema

pytestmark = pytest.mark.both_databases

SCOPES = ("upcloud:read", "upcloud:account")


def acting(world, sort, tenant_id=None, **changes):
    owner = world.somebody(*SCOPES, tenant_id=tenant_id)
    changed = sa.update(schema.user).where(schema.user.c.id == owner.user_id)
    world.change(Noun.USER, owner.user_id, changed.values(sort=sort, **changes))
    return world.acting(world.key(owner=owner))


def login(world, caller, name):
    with world.changing() as change:
        logins.add_login(change, caller.tenant_id, caller.owner.id, "upcloud", name)


def test_a_login_name_goes_before_a_users_name_that_reads_the_same(world):
    main = acting(world, "main")
    named = acting(world, "sub", main.tenant_id, name="ada")
    logged = acting(world, "sub", main.tenant_id, name="somebody else")
    assert accounts.shown(world.store, main, "ada").id == named.owner.id
    login(world, logged, "Ada")
    assert accounts.shown(world.store, main, "ADA").id == logged.owner.id
    assert accounts.shown(world.store, main, "ada").username == "ada"


def test_a_users_name_is_shown_as_it_is_written_where_it_is_the_login_too(world):
    main = acting(world, "main", name="Ada")
    login(world, main, "ada")
    assert accounts.own(world.store, main).username == "Ada"
    assert accounts.shown(world.store, main, "aDA").username == "Ada"


def test_the_first_main_user_is_the_main_account_of_subaccounts(world):
    main = acting(world, "main")
    sub = acting(world, "sub", main.tenant_id)
    acting(world, "main", main.tenant_id)
    assert accounts.own(world.store, sub).main_account == main.owner.name
    assert len(accounts.listed(world.store, main)) == 3


def test_whether_a_stranger_exists_is_not_told_to_a_subaccount(world):
    main = acting(world, "main")
    sub = acting(world, "sub", main.tenant_id)
    for name in (accounts.own(world.store, main).username, "nobody"):
        with pytest.raises(NotMainError):
            accounts.shown(world.store, sub, name)
    with pytest.raises(NotFoundError):
        accounts.shown(world.store, main, "nobody")
    with pytest.raises(NotFoundError):
        accounts.shown(world.store, acting(world, "main"), accounts.own(world.store, sub).username)
