"""API tokens on pages: made once, shown once, one's own alone, and deleted with a receipt."""

from __future__ import annotations

import html
import re
import subprocess

import pytest
from tests import people

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FORM = {"name": "terraform", "expires_in": "24h", "reach": "all"}
TOKEN = re.compile(r"ucat_[0-9A-Z]{26}")


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def opened(visitor, owner):
    """A visitor who is signed in, with the form for a new token open."""
    visitor.sign_in(owner)
    visitor.see("/tokens/new")
    return visitor


def once(visitor):
    return re.findall(r'name="once" value="([0-9a-f]+)"', visitor.page)[-1]


def made(visitor, **told):
    answer = visitor.send("/tokens/new", FORM | told)
    assert answer.status == 200, html.unescape(answer.body.decode())
    return html.unescape(answer.body.decode())


def listed(visitor):
    visitor.see("/tokens")
    return re.findall(r"/tokens/([0-9a-f-]+)/delete", visitor.page)


def test_a_token_is_shown_once_with_samples_that_work(opened, server):
    page = made(opened)
    token = TOKEN.findall(page)[0]
    assert server.call("GET", "/1.3/account", token=token).status == 200
    sample = re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)[0]
    asked = sample.replace("curl ", "curl -s ", 1)
    done = subprocess.run(["bash", "-c", asked], capture_output=True, timeout=30, check=True)
    assert b'"username"' in done.stdout
    for path in ("/tokens", f"/tokens/{listed(opened)[0]}/delete", "/tokens/new"):
        opened.see(path)
        assert token not in opened.page


def test_a_form_that_is_sent_twice_makes_one_token_and_tells_its_text_once(opened):
    form = FORM | {"once": once(opened)}
    first, second = (opened.send("/tokens/new", form) for _ in range(2))
    assert TOKEN.search(first.body.decode())
    assert (second.status, TOKEN.search(second.body.decode())) == (200, None)
    assert b"sent twice" in second.body
    assert len(listed(opened)) == 1
    other = opened.send("/tokens/new", form | {"name": "other"})
    assert other.status == 422


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"name": ""}, "name"),
        ({"expires_in": "9000h"}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": "day"}, "expires_at"),
        ({"expires_in": "day", "expires_at": "2001-01-01"}, "expires_at"),
        ({"expires_in": "day", "expires_at": "31.12."}, "expires_at"),
        ({"allowed_ip_ranges": "10.0.0.0/8, here"}, "allowed_ip_ranges"),
        ({"reach": "some", "scopes": "made:up"}, "scopes"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(opened, told, field):
    answer = opened.send("/tokens/new", FORM | told)
    page = html.unescape(answer.body.decode())
    assert answer.status == 422
    assert f'id="{field}-fault"' in page
    assert re.search(rf'\saria-describedby="[^"]*{field}-fault', page)
    if told.get("name") is None:
        assert 'value="terraform"' in page
    assert listed(opened) == []


def test_networks_the_own_address_and_scopes_are_as_they_were_asked_for(opened, server):
    page = made(
        opened,
        allowed_ip_ranges="198.51.100.0/24\n 2001:db8::/32 ",
        here="on",
        reach="some",
        scopes="upcloud:read",
        can_create_tokens="on",
    )
    token = TOKEN.findall(page)[0]
    there = {"X-Forwarded-For": opened.address, "X-Forwarded-Proto": "https"}
    assert server.call("GET", "/1.3/account", token=token, headers=there).status == 200
    assert server.call("GET", "/1.3/account", token=token).status == 403
    refused = server.call("POST", "/1.3/account/tokens", {}, token=token, headers=there)
    assert refused.status == 403
    opened.see("/tokens")
    for told in ("198.51.100.0/24", "2001:db8::/32", opened.address, "upcloud:read"):
        assert f"<code>{told}" in opened.page


def test_what_can_not_be_handed_out_is_said_in_the_form(visitor, world, owner):
    narrow = people.colleague(world, owner, "own:tokens.read", "own:tokens.write")
    visitor.sign_in(narrow)
    visitor.see("/tokens/new")
    assert "upcloud:write" not in visitor.page
    answer = visitor.send("/tokens/new", FORM | {"reach": "some", "scopes": "upcloud:write"})
    assert (answer.status, b"upcloud:write" in answer.body) == (422, True)
    assert listed(visitor) == []


def test_deleting_asks_once_and_comes_with_a_receipt(opened, server):
    token = TOKEN.findall(made(opened))[0]
    (found,) = listed(opened)
    assert opened.see(f"/tokens/{found}/delete").status == 200
    assert server.call("GET", "/1.3/account", token=token).status == 200
    answer = opened.send(f"/tokens/{found}/delete")
    assert (answer.status, b"Receipt: journal number" in answer.body) == (200, True)
    assert server.call("GET", "/1.3/account", token=token).status == 401
    assert listed(opened) == []
    assert opened.see(f"/tokens/{found}/delete").status == 404


def test_nobody_sees_or_deletes_anothers_not_even_in_their_tenant(opened, server, world, owner):
    token = TOKEN.findall(made(opened))[0]
    (found,) = listed(opened)
    for other in (
        people.colleague(world, owner, "own:tokens.read", "own:tokens.write"),
        people.owner(world),
    ):
        stranger = type(opened)(server)
        stranger.sign_in(other)
        assert listed(stranger) == []
        assert stranger.see(f"/tokens/{found}/delete").status == 404
        assert stranger.send(f"/tokens/{found}/delete").status == 404
    assert server.call("GET", "/1.3/account", token=token).status == 200


def test_who_holds_no_right_to_them_finds_no_page_and_no_entry(visitor, world, owner):
    visitor.sign_in(people.colleague(world, owner, "own:account.read"))
    assert visitor.see("/tokens").status == 403
    assert 'href="/tokens"' not in visitor.page
    assert visitor.send("/tokens/new", FORM).status == 403
    reader = type(visitor)(visitor.server)
    reader.sign_in(people.colleague(world, owner, "own:tokens.read"))
    assert reader.see("/tokens").status == 200
    assert 'href="/tokens/new"' not in reader.page
    assert reader.send("/tokens/new", FORM).status == 403


def test_a_form_without_its_pages_token_makes_and_deletes_nothing(opened):
    made(opened)
    (found,) = listed(opened)
    opened.token = "0" * 64
    assert opened.send("/tokens/new", FORM).status == 403
    assert opened.send(f"/tokens/{found}/delete").status == 403
    assert listed(opened) == [found]


def test_the_list_is_searched_filtered_and_sorted_by_its_address(opened):
    for name in ("beta", "alpha", "gamma"):
        made(opened, name=name)
        opened.see("/tokens/new")
    opened.see("/tokens?sort=-name")
    assert re.findall(r'<span translate="no">(\w+)</span><small>', opened.page) == [
        "gamma",
        "beta",
        "alpha",
    ]
    opened.see("/tokens?q=lpha&state=active")
    assert re.findall(r"Delete (\w+)", opened.page) == ["alpha"]
    opened.see("/tokens?state=expired")
    assert "No API token fits" in opened.page
    assert opened.see("/tokens?sort=digest").status == 422
