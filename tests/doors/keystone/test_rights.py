"""What a token may do over time, at the identity API and at a service behind the verify address.

Source: providers/kakaocloud, "Changes or expiration of API authentication token permissions".
"""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from tests.asking import verdict
from tests.doors.keystone.cloud import TOKENS

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
METHODS = ("GET", "POST", "DELETE")
WORKERS = 2


def opens(cloud, token):
    """Which methods of the service a token opens, as every worker says."""
    told = set()
    for _ in range(4 * WORKERS):
        asked = [
            verdict(cloud.server, "/compute/machines", {"x-auth-token": token}, method=method)
            for method in METHODS
        ]
        told.add(tuple(m for m, one in zip(METHODS, asked, strict=True) if one["allowed"]))
    assert len(told) == 1, told
    return told.pop()


def is_dead(cloud, token):
    """Whether the identity API answers 401 on every worker, and the service refuses with 401."""
    statuses = {cloud.works(token) for _ in range(4 * WORKERS)}
    told = verdict(cloud.server, "/compute/machines", {"x-auth-token": token})
    return statuses == {401} and not told["allowed"] and told["status"] == 401


def roles(cloud, token):
    """Return the names of the roles that a token is told to have now."""
    told = cloud.ask("GET", TOKENS, token, subject=token)
    return {role["name"] for role in told.json["token"]["roles"]}


@pytest.fixture
def admin(cloud):
    """Somebody who is Admin of their project."""
    return cloud.person("Admin")


def test_admin_made_member_leaves_a_live_token_with_members_rights(cloud, admin):
    token = cloud.token(cloud.key(admin))
    assert opens(cloud, token) == METHODS
    assert roles(cloud, token) == {"Admin", "Member", "Reader"}
    cloud.give(admin, "Member")
    cloud.take(admin, "Admin")
    assert opens(cloud, token) == ("GET", "POST")
    assert roles(cloud, token) == {"Member", "Reader"}
    cloud.give(admin, "Reader")
    cloud.take(admin, "Member")
    assert opens(cloud, token) == ("GET",)
    cloud.take(admin, "Reader")
    assert is_dead(cloud, token)


def test_a_role_given_later_is_in_no_token_nor_key_from_before(cloud):
    member = cloud.person("Member")
    key = cloud.key(member)
    token = cloud.token(key)
    cloud.give(member, "Admin")
    assert opens(cloud, token) == ("GET", "POST")
    assert opens(cloud, cloud.token(key)) == ("GET", "POST")


def test_a_key_of_fewer_roles_gives_tokens_of_those(cloud, admin):
    token = cloud.token(cloud.key(admin, roles=["Reader"]))
    assert opens(cloud, token) == ("GET",)
    assert roles(cloud, token) == {"Reader"}


def test_a_passwords_token_follows_its_users_roles_too(cloud, admin):
    text = cloud.password(admin, f"follows-{admin.user_id}")
    token = cloud.signed_in(admin, text, scope={"project": {"id": admin.project_id}})
    assert opens(cloud, token) == METHODS
    cloud.give(admin, "Reader")
    cloud.take(admin, "Admin")
    assert opens(cloud, token) == ("GET",)
    assert opens(cloud, cloud.signed_in(admin, text)) == ()  # of no project: it opens no service
    cloud.take(admin, "Reader")
    assert is_dead(cloud, token)


def leaves_the_project(cloud, owner, _key):
    cloud.take(owner, "Admin")


def is_disabled(cloud, owner, _key):
    table = schema.user
    off = sa.update(table).where(table.c.id == owner.user_id).values(active=False)
    cloud.world.change(Noun.USER, owner.user_id, off)


def loses_the_project(cloud, owner, _key):
    table = schema.project
    off = sa.update(table).where(table.c.id == owner.project_id).values(active=False)
    cloud.world.change(Noun.PROJECT, owner.project_id, off)


def loses_the_tenant(cloud, owner, _key):
    table = schema.tenant
    off = sa.update(table).where(table.c.id == owner.tenant_id).values(active=False)
    cloud.world.change(Noun.TENANT, owner.tenant_id, off)


def deletes_the_key(cloud, _owner, key):
    cloud.delete_key(key)


def lets_the_key_end(cloud, _owner, key):
    table = schema.credential
    at = time.time() - 1
    ended = sa.update(table).where(table.c.id == key.id).values(expires_at=at)
    cloud.world.change(Noun.CREDENTIAL, key.id, ended)


@pytest.mark.parametrize(
    "happens",
    [
        leaves_the_project,
        is_disabled,
        loses_the_project,
        loses_the_tenant,
        deletes_the_key,
        lets_the_key_end,
    ],
    ids=lambda happens: happens.__name__,
)
def test_a_token_is_dead_everywhere_once_its_owner(cloud, admin, happens):
    key = cloud.key(admin)
    token = cloud.token(key)
    assert opens(cloud, token) == METHODS
    happens(cloud, admin, key)
    assert is_dead(cloud, token)
    # So that its client signs in anew, which fails in the one way there is.
    assert cloud.sign_in(key.by_id).status == 401


def test_the_other_keys_of_an_owner_stay_when_one_is_deleted(cloud, admin):
    one, other = cloud.key(admin, "one"), cloud.key(admin, "other")
    tokens = [cloud.token(one), cloud.token(other)]
    cloud.delete_key(one)
    assert [cloud.works(token) for token in tokens] == [401, 200]


def test_an_access_rule_opens_what_it_names_and_nothing_else(cloud, admin):
    rule = {"service": "compute", "method": "GET", "path": "/compute/machines/*"}
    token = cloud.token(cloud.key(admin, access_rules=[rule]))
    asked = {
        ("GET", "/compute/machines/1"): True,
        ("GET", "/compute/machines"): False,
        ("GET", "/compute/machines/1/log"): False,
        ("DELETE", "/compute/machines/1"): False,
    }
    for (method, target), wanted in asked.items():
        told = verdict(cloud.server, target, {"x-auth-token": token}, method=method)
        assert told["allowed"] is wanted, (method, target)


def test_the_service_learns_whose_token_it_is(cloud, admin):
    key = cloud.key(admin)
    told = verdict(cloud.server, "/compute/machines", {"x-auth-token": cloud.token(key)})
    assert told["identity"]["X-Latchgate-Credential"] == key.id
    assert told["identity"]["X-Latchgate-User"] == admin.user_id
    assert told["identity"]["X-Latchgate-Project"] == admin.project_id
