"""A new key: what one may hand out, beside which field is what wrong, once for each form."""

from __future__ import annotations

import re
import time
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.world import FILES, Owner, compiled

from latchgate.manage import lifetimes
from latchgate.manage.lifetimes import LifetimeSpec
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
SECRET = re.compile(r'<code class="secret" translate="no" id="part-2">([^<]+)<')


@pytest.fixture
def owner(world):
    return people.owner(world)


def form(visitor: Visitor, *scopes: str, **more: str) -> list[tuple[str, str]]:
    """Fill in the form as it was opened; services are those of the scopes unless told."""
    once = re.search(r'name="once" value="([0-9a-f]+)"', visitor.page)
    assert once is not None
    services = more.pop("services", None) or ",".join({one.partition(":")[0] for one in scopes})
    told = {"name": "shop", "expires_in": "90d", "csrf": visitor.token, "once": once[1], **more}
    return [
        *told.items(),
        *(("services", one) for one in services.split(",") if one),
        *(("scopes", one) for one in scopes),
    ]


def send(visitor: Visitor, pairs: list[tuple[str, str]]):
    answer = visitor.ask("POST", "/keys/new", urlencode(pairs).encode())
    visitor.page = answer.body.decode()
    return answer


def stored(world, owner):
    table = schema.credential
    mine = sa.select(table).where(
        table.c.owner_id == owner.id, table.c.kind == "wayscloud.service_key"
    )
    return world.all(mine)


def test_a_key_is_what_its_form_says_and_opens_just_that(visitor, server, world, owner):
    visitor.sign_in(owner)
    visitor.see("/keys/new")
    told = {
        "description": "of the shop",
        "environment": "production",
        "external_id": "c-1",
        "allowed_ip_ranges": "192.0.2.0/25\r\n2001:db8::/32",
    }
    answer = send(visitor, form(visitor, "storage:read", "llm:models", **told))
    assert answer.status == 200
    secret = SECRET.findall(visitor.page)[0]
    (row,) = stored(world, owner)
    assert (row.name, row.description, row.environment) == ("shop", "of the shop", "production")
    assert (row.scopes, row.external_id) == ('["llm:models","storage:read"]', "c-1")
    assert row.networks == '["192.0.2.0/25","2001:db8::/32"]'
    assert abs(row.expires_at - time.time() - 90 * 86_400) < 600
    assert server.allows(secret)
    assert not server.allows(secret, method="DELETE")
    # It is in that answer, with samples of it, and nowhere else.
    assert answer.headers["cache-control"] == "no-store"
    assert visitor.page.count(secret) >= 5
    assert f"{server.addresses['api']}/v1/storage" in visitor.page
    for path in ("/keys", f"/keys/{row.id}"):
        assert secret not in visitor.ask("GET", path).body.decode()
    assert secret not in server.log


def test_a_form_that_is_sent_twice_makes_one_key_and_shows_its_secret_once(visitor, world, owner):
    visitor.sign_in(owner)
    visitor.see("/keys/new")
    pairs = form(visitor, "storage:read")
    assert SECRET.search(send(visitor, pairs).body.decode())
    again = send(visitor, pairs)
    (row,) = stored(world, owner)
    assert (again.status, again.headers["location"]) == (303, f"/keys/{row.id}?done=again")
    visitor.see(again.headers["location"])
    assert "This form was sent before" in visitor.page
    # The same form with something else in it is not the same.
    other = send(visitor, [*pairs[1:], ("name", "other")])
    assert other.status == 422
    assert len(stored(world, owner)) == 1


@pytest.mark.parametrize(
    ("scopes", "told", "field", "says"),
    [
        (["storage:read"], {"name": ""}, "name", "of length"),
        (["storage:read"], {"expires_in": "soon"}, "expires_in", "not a duration"),
        (["storage:read"], {"expires_in": "day"}, "expires_at", "choose the day"),
        (
            ["storage:read"],
            {"expires_in": "day", "expires_at": "2020-01-01"},
            "expires_at",
            "must be in the future",
        ),
        (["storage:read"], {"allowed_ip_ranges": "somewhere"}, "allowed_ip_ranges", "somewhere"),
        (["storage:read"], {"external_id": "a b"}, "external_id", "regex"),
        ([], {}, "services", "choose at least one service"),
        (["storage:read"], {"services": "storage,llm"}, "services", "choose what it may do"),
        (["storage:read", "manage:keys.read"], {}, "services", "one key can"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(
    visitor, world, owner, scopes, told, field, says
):
    visitor.sign_in(owner)
    visitor.see("/keys/new")
    answer = send(visitor, form(visitor, *scopes, description="kept <typed>", **told))
    assert answer.status == 422
    found = re.search(rf'id="{field}-fault"[^>]*>([^<]+)<', visitor.page)
    assert found is not None, visitor.page
    assert says in found[1]
    assert "kept &lt;typed&gt;" in visitor.page
    for scope in scopes:
        assert re.search(rf'name="scopes" value="{scope}" checked', visitor.page)
    assert stored(world, owner) == []


def test_only_what_one_holds_is_offered_and_handed_out(visitor, world, owner):
    reader = people.colleague(world, owner, "own:keys.write", "own:keys.read", "storage:read")
    visitor.sign_in(reader)
    visitor.see("/keys/new")
    assert 'value="storage:read"' in visitor.page
    assert 'value="storage:write"' not in visitor.page
    assert 'value="llm:models"' not in visitor.page
    answer = send(visitor, form(visitor, "storage:read", "storage:write"))
    assert answer.status == 403
    assert stored(world, reader) == []
    visitor.see("/keys/new")
    assert send(visitor, form(visitor, "storage:read")).status == 200
    (row,) = stored(world, reader)
    assert (row.owner_id, row.project_id) == (reader.id, reader.project_id)


def test_the_address_that_one_is_at_can_be_the_only_one(server, world, owner):
    visitor = Visitor(server, address="198.51.100.7")
    visitor.sign_in(owner)
    visitor.see("/keys/new")
    assert '<code translate="no">198.51.100.7</code>' in visitor.page
    assert send(visitor, form(visitor, "storage:read", here="on")).status == 200
    assert stored(world, owner)[0].networks == '["198.51.100.7/32"]'


def test_the_expiry_policy_bounds_what_is_offered(visitor, world, owner):
    visitor.sign_in(owner)
    visitor.see("/keys/new")
    assert ">Never</option>" in visitor.page
    assert "expiry policy" not in visitor.page
    key = world.key("manage", owner=Owner(owner.tenant_id, owner.project_id, owner.id))
    lifetimes.set_lifetime(
        world.store,
        compiled(FILES, 1),
        world.acting(key),
        "*",
        LifetimeSpec(maximum_life="45d"),
    )
    visitor.see("/keys/new")
    values = re.findall(r'<option value="(\w+)"(?: selected)?>', visitor.page)
    assert "30d" in values
    assert "90d" not in values
    assert ">Never</option>" not in visitor.page
    assert ">45d</span> at most" in visitor.page
    answer = send(visitor, form(visitor, "storage:read", expires_in="90d"))
    assert answer.status == 422
    assert "at most 45d" in visitor.page
    visitor.see("/keys/new")
    assert send(visitor, form(visitor, "storage:read", expires_in="longest")).status == 200
    assert abs(stored(world, owner)[0].expires_at - time.time() - 45 * 86_400) < 600


def test_no_other_page_can_have_a_key_made(visitor, world, owner):
    visitor.sign_in(owner)
    visitor.see("/keys/new")
    whole = form(visitor, "storage:read")
    pairs = [(name, text) for name, text in whole if name != "csrf"]
    assert send(visitor, pairs).status == 403
    assert send(visitor, [*pairs, ("csrf", "0" * 64)]).status == 403
    body = urlencode(whole).encode()
    assert visitor.ask("POST", "/keys/new", body, Origin="https://evil.example").status == 403
    assert stored(world, owner) == []
