"""Access keys on pages: of roles, shown once, and deleted with the account password alone."""

from __future__ import annotations

import html
import re
import subprocess

import pytest
from tests import people
from tests.doors.console.visitor import Visitor

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FORM = {"name": "deploy", "expires_in": "90d"}
PART = re.compile(r'<code class="secret" translate="no" id="part-\d">(.*?)</code>')


@pytest.fixture
def owner(world):
    return people.owner(world)


@pytest.fixture
def opened(visitor, owner):
    """A visitor who is signed in, with the form for a new access key open."""
    visitor.sign_in(owner)
    visitor.see("/access-keys/new")
    return visitor


def made(visitor, **told):
    """Make one; returns id, name, user id and secret, and the page."""
    answer = visitor.send("/access-keys/new", FORM | told)
    page = html.unescape(answer.body.decode())
    assert answer.status == 200, page
    return PART.findall(page), page


def listed(visitor):
    visitor.see("/access-keys")
    return re.findall(r"/access-keys/([0-9a-f]+)/delete", visitor.page)


def exchange(server, key_id, secret):
    credential = {"id": key_id, "secret": secret}
    identity = {"methods": ["application_credential"], "application_credential": credential}
    return server.call("POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity}}).status


def test_a_key_is_shown_once_with_samples_that_work(opened, server, owner):
    (key_id, name, user_id, secret), page = made(opened, description="Rolls out the shop")
    assert (name, user_id) == ("deploy", owner.id)
    assert exchange(server, key_id, secret) == 201
    sample = re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)[0]
    asked = sample.replace("curl ", "curl -s ", 1)
    done = subprocess.run(["bash", "-c", asked], capture_output=True, timeout=30, check=True)
    assert done.stdout.startswith(b"HTTP/1.1 201")
    for path in ("/access-keys", f"/access-keys/{key_id}/delete", "/access-keys/new"):
        opened.see(path)
        assert secret not in opened.page
        assert "Rolls out the shop" in opened.page or path != "/access-keys"


def test_a_form_that_is_sent_twice_makes_one_key_and_tells_its_secret_once(opened):
    number = re.findall(r'name="once" value="([0-9a-f]+)"', opened.page)[-1]
    form = FORM | {"once": number}
    first, second = (opened.send("/access-keys/new", form) for _ in range(2))
    assert len(PART.findall(first.body.decode())) == 4
    assert (second.status, PART.findall(second.body.decode())) == (200, [])
    assert len(listed(opened)) == 1


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"name": ""}, "name"),
        ({"expires_in": "day"}, "expires_at"),
        ({"roles": "r-none"}, "roles"),
        ({"access_rules": "GET /x"}, "access_rules"),
        ({"access_rules": "FETCH:storage:/v1"}, "access_rules"),
        ({"access_rules": "GET:storage:v1"}, "access_rules"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(opened, told, field):
    answer = opened.send("/access-keys/new", FORM | told)
    assert answer.status == 422
    assert f'id="{field}-fault"' in answer.body.decode()
    assert listed(opened) == []


def test_a_name_that_is_taken_is_said_beside_it(opened):
    made(opened)
    answer = opened.send("/access-keys/new", FORM)
    assert (answer.status, b'id="name-fault"' in answer.body) == (422, True)
    assert len(listed(opened)) == 1


def test_it_has_the_roles_and_requests_that_were_chosen(opened, server, world, owner):
    lower = world.role(owner.tenant_id, ["storage:read"])
    world.assign(owner.id, owner.project_id, lower)
    opened.see("/access-keys/new")
    assert f'value="{lower}"' in opened.page
    (key_id, *_), _ = made(
        opened,
        roles=lower,
        access_rules="get:storage:/v1/storage/**\n\n GET : identity : /identity/v3/projects/* ",
        unrestricted="on",
        expires_in="longest",
    )
    opened.see("/access-keys")
    for told in ("GET storage /v1/storage/**", "GET identity /identity/v3/projects/*"):
        assert f"<code>{told}</code>" in opened.page
    row = world.one(schema.credential.select().where(schema.credential.c.id == key_id))
    assert (row.roles, bool(row.issues), row.expires_at) == (f'["{lower}"]', True, None)


def test_deleting_takes_the_account_password_and_ends_it_at_once(opened, server, owner):
    (key_id, _, _, secret), _ = made(opened)
    path = f"/access-keys/{key_id}/delete"
    opened.see(path)
    assert f'value="{owner.login}"' in opened.page
    for wrong in ("", "wrong", "x" * 5000):
        answer = opened.send(path, {"login": owner.login, "password": wrong})
        page = answer.body.decode()
        assert (answer.status, 'id="password-fault"' in page) == (422, True)
        assert wrong == "" or wrong not in page
    assert exchange(server, key_id, secret) == 201
    answer = opened.send(path, {"login": owner.login, "password": owner.password})
    assert (answer.status, b"Receipt: journal number" in answer.body) == (200, True)
    assert exchange(server, key_id, secret) == 401
    assert listed(opened) == []


def test_guesses_at_the_password_are_throttled(opened):
    (key_id, *_), _ = made(opened)
    path = f"/access-keys/{key_id}/delete"
    statuses = set()
    for number in range(40):
        statuses.add(opened.send(path, {"password": f"guess {number}"}).status)
        if 429 in statuses:
            break
    assert statuses == {422, 429}
    assert listed(opened) == [key_id]


def test_nobody_sees_or_deletes_anothers(opened, server, world, owner):
    (key_id, _, _, secret), _ = made(opened)
    writes = ("own:access-keys.read", "own:access-keys.write", "own:access-keys.delete")
    for other in (people.colleague(world, owner, *writes), people.owner(world)):
        stranger = Visitor(server)
        stranger.sign_in(other)
        assert listed(stranger) == []
        path = f"/access-keys/{key_id}/delete"
        assert stranger.see(path).status == 404
        assert stranger.send(path, {"password": other.password}).status == 404
    assert exchange(server, key_id, secret) == 201


def test_who_holds_no_right_to_them_finds_no_page_and_no_entry(visitor, world, owner):
    visitor.sign_in(people.colleague(world, owner, "own:account.read"))
    assert visitor.see("/access-keys").status == 403
    assert 'href="/access-keys"' not in visitor.page
    assert visitor.send("/access-keys/new", FORM).status == 403
    assert visitor.send("/access-keys/abc/delete", {"password": "x"}).status == 403


def test_a_form_without_its_pages_token_makes_and_deletes_nothing(opened, owner):
    (key_id, *_), _ = made(opened)
    opened.token = "0" * 64
    assert opened.send("/access-keys/new", FORM | {"name": "other"}).status == 403
    refused = opened.send(f"/access-keys/{key_id}/delete", {"password": owner.password})
    assert refused.status == 403
    assert listed(opened) == [key_id]
