"""A user's access keys as an administrator sees them: no password needed, and never one's own."""

from __future__ import annotations

import html
import re

import pytest
from tests import people
from tests.doors.console.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

WRITES = ("own:access-keys.read", "own:access-keys.write", "storage:read")


@pytest.fixture
def admin(world):
    return people.owner(world)


@pytest.fixture
def user(world, admin):
    return people.colleague(world, admin, *WRITES)


@pytest.fixture
def key_id(server, user):
    """An access key that a user made."""
    theirs = Visitor(server)
    theirs.sign_in(user)
    theirs.see("/access-keys/new")
    answer = theirs.send("/access-keys/new", {"name": "deploy", "expires_in": "7d"})
    return re.findall(r'id="part-1">(\w+)<', html.unescape(answer.body.decode()))[0]


def test_an_administrator_sees_and_deletes_a_users_with_a_receipt(visitor, admin, user, key_id):
    visitor.sign_in(admin)
    path = f"/access-keys/of/{user.id}"
    assert visitor.see(path).status == 200
    assert f"{path}/delete?key={key_id}" in visitor.page
    assert "deploy" in visitor.page
    assert visitor.see(f"{path}/delete?key={key_id}").status == 200
    visitor.token = "0" * 64
    assert visitor.send(f"{path}/delete", {"key": key_id}).status == 403
    visitor.see(path)
    visitor.see(f"{path}/delete?key={key_id}")
    answer = visitor.send(f"{path}/delete", {"key": key_id})
    assert (answer.status, b"Receipt: journal number" in answer.body) == (200, True)
    visitor.see(path)
    assert "This user has no access key" in visitor.page


def test_ones_own_are_not_deleted_there_without_the_password(visitor, admin):
    visitor.sign_in(admin)
    visitor.see("/access-keys/new")
    answer = visitor.send("/access-keys/new", {"name": "own", "expires_in": "7d"})
    found = re.findall(r'id="part-1">(\w+)<', html.unescape(answer.body.decode()))[0]
    moved = visitor.see(f"/access-keys/of/{admin.id}")
    assert (moved.status, moved.headers["location"]) == (303, "/access-keys")
    visitor.see("/access-keys")
    visitor.see(f"/access-keys/{found}/delete")
    refused = visitor.send(f"/access-keys/of/{admin.id}/delete", {"key": found})
    assert refused.status == 403
    visitor.see("/access-keys")
    assert found in visitor.page


def test_nobody_else_sees_or_deletes_them(visitor, server, world, admin, user, key_id):
    path = f"/access-keys/of/{user.id}"
    visitor.sign_in(people.colleague(world, admin, *WRITES))
    assert visitor.see(path).status == 403
    assert visitor.send(f"{path}/delete", {"key": key_id}).status == 403
    reader = Visitor(server)
    reader.sign_in(people.colleague(world, admin, "manage:users.read"))
    assert reader.see(path).status == 200
    assert "/delete" not in reader.page
    assert reader.send(f"{path}/delete", {"key": key_id}).status == 403
    stranger = Visitor(server)
    stranger.sign_in(people.owner(world))
    assert stranger.see(path).status == 404
    assert stranger.see(f"{path}/delete?key={key_id}").status == 404
    assert stranger.send(f"{path}/delete", {"key": key_id}).status == 404
