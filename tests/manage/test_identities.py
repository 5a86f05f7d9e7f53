"""Who and what is meant by a name: in the tenant that was told, and in no other."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests import people

from latchgate.core.model import Noun
from latchgate.manage import identities
from latchgate.manage.logins import add_login
from latchgate.store import schema

pytestmark = pytest.mark.both_databases


def name_of(world, table, record):
    return world.one(sa.select(table.c.name).where(table.c.id == record)).name


@pytest.fixture
def somebody(world):
    """A user with a login name that is not their own."""
    owner = world.somebody()
    with world.changing() as change:
        add_login(change, owner.tenant_id, owner.user_id, "kakaocloud", "Álvaro")
    return owner


def find(world, name, **tenant):
    told = {"tenant_id": None, "tenant": None} | tenant
    return identities.user_named(world.store, "kakaocloud", name, **told)


def test_a_user_is_found_by_login_name_or_own_name_within_the_tenant(world, somebody):
    own = name_of(world, schema.user, somebody.user_id)
    tenant = name_of(world, schema.tenant, somebody.tenant_id)
    for name in ("álvaro", "ÁLVARO", own):
        assert find(world, name, tenant_id=somebody.tenant_id) == somebody.user_id
        assert find(world, name, tenant=tenant) == somebody.user_id
        assert find(world, name, tenant_id=world.owner.tenant_id) is None
        assert find(world, name) is None
    assert find(world, "nobody", tenant=tenant) is None


def test_a_login_name_goes_before_anothers_own_name(world, somebody):
    other = world.user(somebody.tenant_id)
    named = sa.update(schema.user).where(schema.user.c.id == other).values(name="álvaro")
    world.change(Noun.USER, other, named)
    assert find(world, "álvaro", tenant_id=somebody.tenant_id) == somebody.user_id


def test_the_login_name_is_that_of_the_namespace(world, somebody):
    told = identities.login_name(world.store, "kakaocloud", somebody.user_id)
    assert told == "álvaro"
    assert identities.login_name(world.store, "teracloud", somebody.user_id) is None
    assert identities.login_name(world.store, "kakaocloud", "nobody") is None


def test_a_project_is_found_by_name_within_the_tenant(world, somebody):
    name = name_of(world, schema.project, somebody.project_id)
    tenant = name_of(world, schema.tenant, somebody.tenant_id)

    def find_project(**told):
        within = {"tenant_id": None, "tenant": None} | told
        return identities.project_named(world.store, name, **within)

    assert find_project(tenant_id=somebody.tenant_id) == somebody.project_id
    assert find_project(tenant=tenant) == somebody.project_id
    assert find_project(tenant_id=world.owner.tenant_id) is None
    assert find_project() is None


def test_login_names_of_several_are_read_at_once_in_one_namespace(world, somebody):
    other = world.somebody()
    with world.changing() as change:
        add_login(change, other.tenant_id, other.user_id, "latchgate", "zoe")
    both = [somebody.user_id, other.user_id]
    assert identities.login_names(world.store, "latchgate", both) == {other.user_id: "zoe"}
    assert identities.login_names(world.store, "latchgate", []) == {}


def test_the_logins_of_somebody_are_told_with_whether_a_password_stands(world):
    person = people.owner(world)
    with world.changing() as change:
        add_login(change, person.tenant_id, person.id, "teracloud", "zoe")
        add_login(change, person.tenant_id, person.id, "@oidc", "https://idp.example#zoe")
    told = {one.namespace: (one.name, one.password) for one in logins(world, person)}
    assert told == {"latchgate": (person.login, True), "teracloud": ("zoe", False)}
    ended = sa.update(schema.credential).where(schema.credential.c.owner_id == person.id)
    world.change(Noun.CREDENTIAL, "c", ended.values(revoked_at=1.0))
    assert not any(one.password for one in logins(world, person))


def logins(world, person):
    return identities.logins_of(world.store, person.id)
