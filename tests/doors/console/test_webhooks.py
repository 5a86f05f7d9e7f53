"""Webhooks on pages: the secret is in one answer, and nobody else's are there."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import until

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

BASE = "/alerts/webhooks"
FORM = {"url": "https://hooks.example.com/x", "events": "alert.raised", "description": "Chat"}
HIDDEN = re.compile(r'<input type="hidden" name="(once|version)" value="(\w+)"')
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{40,}")


@pytest.fixture
def owner(visitor, world):
    """The first user of a tenant, who is signed in."""
    made = people.owner(world)
    visitor.sign_in(made, BASE)
    return made


def opened(visitor, path=f"{BASE}/new"):
    """Open a form; returns what it carries."""
    visitor.see(path)
    return dict(HIDDEN.findall(visitor.page))


def held(world, owner):
    table = schema.webhook
    return world.all(sa.select(table).where(table.c.tenant_id == owner.tenant_id))


def test_the_secret_is_in_the_answer_that_made_it_and_in_no_other(visitor, world, server, owner):
    carried = opened(visitor)
    first = visitor.send(f"{BASE}/new", carried | FORM)
    (secret,) = set(SECRET.findall(first.body.decode()))
    assert (first.status, first.headers["cache-control"]) == (200, "no-store")
    again = visitor.send(f"{BASE}/new", carried | FORM)
    assert (again.status, again.body) == (303, b"")
    (one,) = held(world, owner)
    path = f"{BASE}/{one.id}"
    assert again.headers["location"] == f"{path}?done=again"
    told = [visitor.see(page).body for page in (f"{path}?done=again", BASE, f"{path}/change")]
    assert not any(secret.encode() in body for body in told)
    assert "shown then" in visitor.ask("GET", f"{path}?done=again").body.decode()
    assert secret not in server.log
    renewed = visitor.send(f"{path}/secret", opened(visitor, f"{path}/secret"))
    (new,) = set(SECRET.findall(renewed.body.decode()))
    assert new != secret


def test_they_are_changed_tested_and_deleted(visitor, world, owner):
    visitor.send(f"{BASE}/new", opened(visitor) | FORM)
    (one,) = held(world, owner)
    path = f"{BASE}/{one.id}"
    visitor.see(path)
    assert visitor.send(f"{path}/test").headers["location"] == f"{path}?done=tested"
    visitor.see(path)
    assert "webhook.test" in visitor.page
    told = opened(visitor, f"{path}/change") | {"url": "https://hooks.example.com/y"}
    assert visitor.send(f"{path}/change", told).status == 303
    (one,) = held(world, owner)
    assert (one.url, one.events, one.active) == ("https://hooks.example.com/y", "[]", False)
    visitor.see(path)
    assert "Send a test" not in visitor.page
    assert visitor.send(f"{path}/test").status == 403

    def deleted():
        # The test that is on its way may change the record in between.
        return visitor.send(f"{path}/delete", opened(visitor, f"{path}/delete")).status == 303

    until(deleted, seconds=30, what="the deletion")
    assert held(world, owner) == []


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"url": ""}, "url"),
        ({"events": "weather.changed"}, "events"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(visitor, world, owner, told, field):
    answer = visitor.send(f"{BASE}/new", opened(visitor) | FORM | told)
    assert answer.status == 422
    body = answer.body.decode()
    assert f'id="{field}-fault"' in body
    assert 'value="Chat"' in body
    assert held(world, owner) == []


def test_others_rights_and_tenants(visitor, world, server, owner):
    visitor.send(f"{BASE}/new", opened(visitor) | FORM)
    (one,) = held(world, owner)
    path = f"{BASE}/{one.id}"
    reader = Visitor(server)
    reader.sign_in(people.colleague(world, owner, "manage:webhooks.read"))
    assert [reader.see(page).status for page in (BASE, path)] == [200, 200]
    for page in (f"{BASE}/new", f"{path}/change", f"{path}/secret", f"{path}/delete"):
        assert reader.see(page).status == 403
        assert reader.send(page).status == 403
    assert reader.send(f"{path}/test").status == 403
    stranger = Visitor(server)
    stranger.sign_in(people.owner(world))
    for page in (path, f"{path}/change", f"{path}/secret", f"{path}/delete"):
        assert stranger.see(page).status == 404
    stranger.see(BASE)
    assert stranger.send(f"{path}/test").status == 404
    assert FORM["url"] not in stranger.page
    told = opened(stranger) | FORM | {"whose": "operator"}
    assert stranger.send(f"{BASE}/new", told).status == 403
    visitor.token = "0" * 64
    for page in (f"{path}/test", f"{path}/secret", f"{path}/delete", f"{path}/change"):
        assert visitor.send(page).status == 403
    assert len(held(world, owner)) == 1
