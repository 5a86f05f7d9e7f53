"""A person lets a program go on that has no browser; a link alone never does."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.relying import App, carried
from tests.doors.console.visitor import Visitor
from tests.people import Person
from tests.world import http_request

from latchgate.oauth.clients import GrantType
from latchgate.oauth.device import LETTERS
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ANSWER = "/device/answer"


@pytest.fixture
def person(world):
    """A new user who may read."""
    return people.person(world, "storage:read")


@pytest.fixture
def app(server, world) -> App:
    return App.of(server, world, public=True)


@pytest.fixture
def signed_in(visitor: Visitor, person: Person) -> Visitor:
    visitor.sign_in(person)
    return visitor


def begun(app: App) -> dict[str, str]:
    told = {"client_id": app.client.id, "scope": "openid storage:read offline_access"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    headers["X-Forwarded-For"] = "198.51.100.7"
    url = f"{app.server.addresses['console']}/oauth/device_authorization"
    answer = http_request("POST", url, headers=headers, body=urlencode(told).encode())
    assert answer.status == 200, answer.body
    made: dict[str, str] = answer.json
    return made


def polled(app: App, made: dict[str, str]):
    told = {"grant_type": str(GrantType.DEVICE_CODE), "device_code": made["device_code"]}
    return app.token(told)


def test_a_person_sees_who_asks_from_where_and_lets_it_go_on(world, signed_in, person, app):
    made = begun(app)
    path = made["verification_uri_complete"].removeprefix(signed_in.origin)
    assert signed_in.see(path).status == 200
    # The link filled the code in and did nothing else.
    assert f'value="{made["user_code"]}"' in signed_in.page
    assert "198.51.100.7" not in signed_in.page
    assert polled(app, made).json["error"] == "authorization_pending"
    shown = signed_in.send("/device", {"user_code": made["user_code"].lower()})
    signed_in.page = shown.body.decode()
    for word in ("Application ", "198.51.100.7", made["user_code"], person.login):
        assert word in signed_in.page
    form = carried(signed_in)
    assert signed_in.ask("POST", ANSWER, form | {"decision": "allow"}).status == 403
    done = signed_in.send(ANSWER, form | {"decision": "allow"})
    assert (done.status, b"The device is connected" in done.body) == (200, True)
    tokens = polled(app, made)
    assert tokens.status == 200, tokens.body
    kept = sa.select(schema.consent).where(schema.consent.c.user_id == person.id)
    assert world.one(kept).client_id == app.client.id
    # Once answered, a code is nobody's.
    assert signed_in.send(ANSWER, form | {"decision": "deny"}).status == 400
    # And whoever consented before is asked again: another device is another question.
    second = begun(app)
    shown = signed_in.send("/device", {"user_code": second["user_code"]})
    assert b"asks to act for you" in shown.body


def test_a_no_is_what_the_program_hears(signed_in, app):
    made = begun(app)
    form = {"user_code": made["user_code"], "decision": "deny"}
    signed_in.see("/device")
    done = signed_in.send(ANSWER, form)
    assert (done.status, b"was told no" in done.body) == (200, True)
    assert polled(app, made).json["error"] == "access_denied"


def test_whoever_is_not_signed_in_does_so_and_comes_back_to_the_code(visitor, person, app):
    made = begun(app)
    path = made["verification_uri_complete"].removeprefix(visitor.origin)
    moved = visitor.see(path).headers["location"]
    assert moved == f"/sign-in?{urlencode({'next': path})}"
    visitor.see(moved)
    form = carried(visitor) | {"login": person.login, "password": person.password}
    assert visitor.send("/sign-in", form).headers["location"] == path
    visitor.cookies.clear()
    visitor.see("/sign-in")
    sent = visitor.send("/device", {"user_code": made["user_code"]})
    assert sent.headers["location"] == moved
    assert polled(app, made).json["error"] == "authorization_pending"


def test_codes_can_not_be_tried_until_one_fits(signed_in, app):
    made = begun(app)
    signed_in.see("/device")
    tried = []
    for letter in LETTERS[:12]:
        for path in ("/device", ANSWER):
            form = {"user_code": letter * 8, "decision": "allow"}
            form = form if path == ANSWER else {"user_code": letter * 8}
            tried.append(signed_in.send(path, form).status)
    assert tried[0] == 400
    assert tried[-1] == 429
    # The right one is not looked up either.
    assert signed_in.send("/device", {"user_code": made["user_code"]}).status == 429


def test_a_client_of_another_tenant_waits_for_nobody_here(server, world, signed_in):
    app = App.of(server, world, public=True, tenant_id=world.tenant())
    signed_in.see("/device")
    refused = signed_in.send("/device", {"user_code": begun(app)["user_code"]})
    assert (refused.status, b"No program waits" in refused.body) == (400, True)
