"""Sign-out at an application's wish: of whom it proves to mean, and of others with their word."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from tests import people
from tests.doors.console.relying import App, carried
from tests.doors.console.visitor import Visitor

from latchgate.signin import session

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

AFTER = "https://app.example/goodbye"


@pytest.fixture
def person(world):
    return people.person(world, "storage:read")


@pytest.fixture
def app(server, world) -> App:
    return App.of(server, world, first_party=True, logout_uris=[AFTER])


@pytest.fixture
def hint(visitor, person, app) -> str:
    """An ID token of who is signed in."""
    visitor.sign_in(person)
    code = app.brought(visitor.see(app.path()))["code"]
    token: str = app.redeem(code).json["id_token"]
    return token


def path(**told: str) -> str:
    return f"/oauth/logout?{urlencode(told)}"


def test_whom_an_id_token_proves_to_be_meant_is_signed_out_and_sent_on(visitor, app, hint):
    cookie = visitor.cookies[session.COOKIE]
    told = {"id_token_hint": hint, "post_logout_redirect_uri": AFTER, "state": "s 1"}
    done = visitor.see(path(**told, client_id=app.client.id))
    assert (done.status, done.headers["location"]) == (303, f"{AFTER}?state=s+1")
    assert session.COOKIE not in visitor.cookies
    visitor.cookies[session.COOKIE] = cookie
    assert not visitor.is_signed_in()
    visitor.cookies.pop(session.COOKIE)
    assert visitor.see(path(**told)).headers["location"] == f"{AFTER}?state=s+1"
    assert visitor.see(path()).status == 200


def test_without_a_proof_the_person_is_asked(visitor, app, hint):
    asked = visitor.see(path(client_id=app.client.id, post_logout_redirect_uri=AFTER))
    assert (asked.status, b"asks to sign you out" in asked.body) == (200, True)
    form = carried(visitor)
    confirm = "/oauth/logout/confirm"
    assert visitor.ask("POST", confirm, form | {"decision": "leave"}).status == 403
    stay = visitor.send(confirm, form | {"decision": "stay"})
    assert (stay.status, visitor.is_signed_in()) == (303, True)
    left = visitor.send(confirm, form | {"decision": "leave"})
    assert AFTER in left.body.decode()
    assert not visitor.is_signed_in()


def test_another_persons_id_token_signs_nobody_out_unasked(server, world, hint):
    other = Visitor(server)
    other.sign_in(people.person(world))
    assert other.see(path(id_token_hint=hint)).status == 200
    assert other.is_signed_in()


def test_no_address_is_gone_to_that_was_not_registered(server, world, visitor, app, hint):
    for told in (
        {"id_token_hint": hint, "post_logout_redirect_uri": "https://evil.example/"},
        {"id_token_hint": hint, "post_logout_redirect_uri": f"{AFTER}?a=b"},
        {"post_logout_redirect_uri": AFTER},
        {"client_id": App.of(server, world).client.id, "post_logout_redirect_uri": AFTER},
        {"client_id": App.of(server, world).client.id, "id_token_hint": hint},
        {"id_token_hint": f"{hint[:-4]}AAAA", "post_logout_redirect_uri": AFTER},
    ):
        refused = visitor.see(path(**told))
        assert (refused.status, "location" in refused.headers) == (400, False), told
        assert b"evil" not in refused.body
    assert visitor.see(f"{path(state='1')}&state=2").status == 400
    assert visitor.is_signed_in()


def test_a_sign_out_that_was_posted_by_the_application_is_fetched(visitor, hint):
    foreign = {"Origin": "https://app.example", "Sec_Fetch_Site": "cross-site"}
    moved = visitor.ask("POST", "/oauth/logout", {"id_token_hint": hint}, **foreign)
    assert moved.headers["location"] == path(id_token_hint=hint)
    assert visitor.is_signed_in()
