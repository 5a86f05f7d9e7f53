"""Rotating on a page: the new secret once, the old key through its grace or ended at once."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import Owner

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
SECRET = re.compile(r'<code class="secret" translate="no" id="part-2">([^<]+)<')


@pytest.fixture(scope="module")
def owner(world):
    return people.owner(world)


@pytest.fixture
def visitor(server, owner):
    made = Visitor(server)
    made.sign_in(owner)
    return made


@pytest.fixture
def key(world, owner):
    held = Owner(owner.tenant_id, owner.project_id, owner.id)
    return world.key(owner=held, name="shop", scopes=["storage:read"])


def rotate(visitor: Visitor, key, **form: str):
    visitor.see(f"/keys/{key.id}/rotate")
    hidden = dict(re.findall(r'name="(once|version)" value="([^"]*)"', visitor.page))
    return visitor.send(f"/keys/{key.id}/rotate", hidden | form), hidden


def test_both_keys_work_through_the_grace_and_the_page_says_who_uses_the_old(
    visitor, server, world, key
):
    answer, _ = rotate(visitor, key, grace="7d", until_quiet="on")
    body = answer.body.decode()
    (secret,) = SECRET.findall(body)
    assert server.allows(secret)
    assert server.allows(key.text)
    assert "The old key works until" in body
    table = schema.credential
    old = world.one(sa.select(table).where(table.c.id == key.id))
    assert old.quiet_seconds == 86_400
    visitor.see(f"/keys/{key.id}")
    assert "Who still uses the old one" in visitor.page
    assert f'href="/keys/{old.superseded_by}"' in visitor.page
    assert secret not in visitor.page
    assert "/rotate" not in visitor.page  # it was rotated already
    again, _ = rotate(visitor, key, grace="7d")
    assert again.status == 409
    assert "was rotated already" in again.body.decode()
    assert secret not in server.log


def test_without_a_grace_the_old_one_ends_at_once_with_a_receipt(visitor, server, key):
    answer, _ = rotate(visitor, key, grace="0", until_quiet="on")
    body = answer.body.decode()
    assert "The old key works no more." in body
    assert "Receipt: journal number" in body
    assert not server.allows(key.text)
    assert server.allows(SECRET.findall(body)[0])


def test_a_form_that_is_sent_twice_rotates_once(visitor, world, key):
    first, hidden = rotate(visitor, key, grace="24h")
    assert SECRET.search(first.body.decode())
    second = visitor.send(f"/keys/{key.id}/rotate", hidden | {"grace": "24h"})
    assert (second.status, second.headers["location"]) == (303, f"/keys/{key.id}?done=rotated")
    table = schema.credential
    assert len(world.all(sa.select(table.c.id).where(table.c.predecessor_id == key.id))) == 1


def test_what_is_wrong_with_the_grace_stands_beside_it(visitor, key):
    answer, _ = rotate(visitor, key, grace="91d")
    assert answer.status == 422
    assert re.search(r'id="grace-fault"[^>]*>must be at most 90d', answer.body.decode())


def test_somebody_rotates_their_own_and_nobody_gets_rights_by_it(server, world, owner):
    held = people.colleague(world, owner, "own:keys.read", "own:keys.write", "storage:read")
    who = Owner(held.tenant_id, held.project_id, held.id)
    mine = world.key(owner=who, scopes=["storage:read"])
    wider = world.key(owner=who, scopes=["storage:read", "storage:delete"])
    visitor = Visitor(server)
    visitor.sign_in(held)
    answer, _ = rotate(visitor, mine, grace="0")
    assert server.allows(SECRET.findall(answer.body.decode())[0])
    refused, _ = rotate(visitor, wider, grace="0")
    assert refused.status == 403
    assert "storage:delete" in refused.body.decode()
