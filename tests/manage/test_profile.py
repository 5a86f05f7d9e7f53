"""What somebody sees of themselves: their account and their roles, and nobody else's."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.manage import logins, profile
from latchgate.manage.actor import Person
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Actor

pytestmark = pytest.mark.both_databases


def person(owner):
    return Person(Actor(f"user:{owner.user_id}", owner.tenant_id), owner.tenant_id, owner.user_id)


def rename(world, table, record, noun, **told):
    world.change(noun, record, sa.update(table).where(table.c.id == record).values(**told))


def test_it_tells_the_account_the_login_names_and_the_roles_with_what_they_imply(world):
    owner = world.somebody("dav:read")
    lower = world.role(owner.tenant_id, ["storage:read"])
    higher = world.role(owner.tenant_id, ["storage:write"])
    rename(world, schema.role, lower, Noun.ROLE, name="Reader")
    implied = msgspec.json.encode([lower]).decode()
    rename(world, schema.role, higher, Noun.ROLE, name="Writer", implies=implied)
    second = world.project(owner.tenant_id)
    world.assign(owner.user_id, second, higher)
    rename(world, schema.project, second, Noun.PROJECT, active=False)
    with world.changing() as change:
        logins.add_login(change, owner.tenant_id, owner.user_id, "latchgate", "Ada")
        # What an access key of theirs goes by is no name that they sign in with.
        told = f"access_key/{owner.user_id}:deploy"
        logins.write_login(change, owner.tenant_id, owner.user_id, told)
    found = profile.shown(world.store, person(owner))
    assert (found.id, found.tenant_id, found.sort) == (owner.user_id, owner.tenant_id, "main")
    assert found.logins == {"latchgate": "ada"}
    assert (found.allow_api, found.ip_filters) == (True, None)
    roles = {one.id: [(r.name, r.scopes, r.implies) for r in one.roles] for one in found.projects}
    assert roles == {
        owner.project_id: [("role", ["dav:read"], [])],
        second: [("Writer", ["storage:read", "storage:write"], ["Reader"])],
    }
    assert [one.active for one in found.projects if one.id == second] == [False]


def test_somebody_without_a_role_sees_their_account_all_the_same(world):
    tenant = world.tenant()
    user = world.user(tenant)
    found = profile.shown(world.store, Person(Actor(f"user:{user}", tenant), tenant, user))
    assert (found.id, found.projects, found.logins) == (user, [], {})


def test_nobody_is_found_in_another_tenant_or_after_they_were_deleted(world):
    owner, other = world.somebody(), world.somebody()
    stranger = person(owner)
    crossed = Person(stranger.actor, other.tenant_id, owner.user_id)
    with pytest.raises(NotFoundError):
        profile.shown(world.store, crossed)
    rename(world, schema.user, owner.user_id, Noun.USER, deleted_at=world.clock())
    with pytest.raises(NotFoundError):
        profile.shown(world.store, stranger)
