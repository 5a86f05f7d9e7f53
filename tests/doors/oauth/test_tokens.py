"""Revocation and introspection at a running server."""

from __future__ import annotations

import base64

import pytest
import sqlalchemy as sa
from tests.oauth import authority

from latchgate.core.model import Noun
from latchgate.doors.oauth.call import DEVICES
from latchgate.oauth import exchange
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

TOKEN, REVOKE, INTROSPECT = "/oauth/token", "/oauth/revoke", "/oauth/introspect"
INACTIVE = b'{"active":false}'


@pytest.fixture(scope="module")
def owner(world):
    return world.somebody("storage:read", "storage:write")


@pytest.fixture(scope="module")
def app(world, owner):
    return authority.client(world, acts_as=owner)


@pytest.fixture(scope="module")
def api(world):
    return authority.client(world, grant_types=["urn:latchgate:introspection"], scopes=[])


def given(world, post, app, owner):
    told = {"grant_type": "authorization_code", "code": authority.code(world, app, owner)}
    told |= {"redirect_uri": authority.REDIRECT, "code_verifier": authority.VERIFIER}
    answer = post(TOKEN, told, app)
    assert answer.status == 200, answer.body
    return answer.json


def asked(post, client, text):
    answer = post(INTROSPECT, {"token": text}, client)
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    return answer


def test_a_client_is_told_of_its_own_token_and_an_api_of_everybodys(world, post, app, api, owner):
    told = given(world, post, app, owner)
    _, claims = authority.unchecked(told["access_token"])
    for client in (app, api):
        answer = asked(post, client, told["access_token"]).json
        assert answer["active"] is True
        assert answer["token_type"] == "Bearer"
        for name in ("iss", "sub", "aud", "client_id", "scope", "exp", "iat", "jti", "auth_time"):
            assert answer[name] == claims[name], name
        assert "access-control-allow-origin" not in asked(post, client, "x").headers


def test_nobody_else_is_told_more_than_that_it_is_not_active(world, post, app, owner):
    told = given(world, post, app, owner)
    stranger = authority.client(world)
    elsewhere = authority.client(
        world,
        grant_types=["urn:latchgate:introspection"],
        scopes=[],
        tenant_id=world.tenant(),
    )
    for client in (stranger, elsewhere):
        assert asked(post, client, told["access_token"]).body == INACTIVE
        assert asked(post, client, told["refresh_token"]).body == INACTIVE


def test_what_is_no_access_token_is_not_active(world, post, app, api, owner):
    told = given(world, post, app, owner)
    head, body, mark = told["access_token"].split(".")
    other = "A" if mark[9] != "A" else "B"
    forged = f"{head}.{body}.{mark[:9]}{other}{mark[10:]}"
    for text in (forged, told["id_token"], "x", "a.b.c", world.admin.text, f"{head}.{body}."):
        assert asked(post, app, text).body == INACTIVE, text
        assert asked(post, api, text).body == INACTIVE, text


def test_introspection_takes_a_client_that_proves_itself(world, post):
    public = authority.client(world, public=True)
    answer = post(INTROSPECT, {"token": "x"}, public)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert post(INTROSPECT, {"token": "x"}).status == 401
    assert post(INTROSPECT, {}, authority.client(world)).json["error"] == "invalid_request"


def test_a_token_is_told_of_with_the_scopes_that_its_user_still_holds(world, post, app, api):
    owner = world.somebody("storage:read", "storage:write")
    text = given(world, post, app, owner)["access_token"]
    before = asked(post, api, text).json["scope"].split()
    role = world.role(owner.tenant_id, ["storage:read"])
    table = schema.role_assignment
    changed = sa.update(table).where(table.c.user_id == owner.user_id).values(role_id=role)
    world.change(Noun.USER, owner.user_id, changed)
    after = asked(post, api, text).json["scope"].split()
    assert set(before) - set(after) == {"storage:write"}
    disabled = sa.update(schema.user).where(schema.user.c.id == owner.user_id)
    world.change(Noun.USER, owner.user_id, disabled.values(active=False))
    assert asked(post, api, text).body == INACTIVE


def test_a_suspended_application_loses_its_tokens_and_its_own_voice(world, post, api, owner):
    app = authority.client(world)
    told = given(world, post, app, owner)
    assert asked(post, api, told["access_token"]).json["active"]
    table = schema.application
    changed = sa.update(table).where(table.c.id == app.application_id)
    world.change(Noun.APPLICATION, app.application_id, changed.values(state="suspended"))
    assert asked(post, api, told["access_token"]).body == INACTIVE
    assert post(INTROSPECT, {"token": "x"}, app).status == 401


def test_a_revoked_access_token_ends_alone(world, post, app, owner):
    told, other = given(world, post, app, owner), given(world, post, app, owner)
    assert asked(post, app, told["access_token"]).json["active"]
    answer = post(REVOKE, {"token": told["access_token"], "token_type_hint": "nonsense"}, app)
    assert (answer.status, answer.body) == (200, b"")
    assert asked(post, app, told["access_token"]).body == INACTIVE
    assert asked(post, app, told["refresh_token"]).json["active"]
    assert asked(post, app, other["access_token"]).json["active"]
    assert post(REVOKE, {"token": told["access_token"]}, app).status == 200
    row = world.journal()[-1]
    assert (row.action, row.actor) == ("access_token.revoke", f"client:{app.id}")


def test_a_revoked_refresh_token_ends_its_grant(world, post, app, owner):
    told = given(world, post, app, owner)
    assert post(REVOKE, {"token": told["refresh_token"]}, app).status == 200
    assert asked(post, app, told["access_token"]).body == INACTIVE
    assert asked(post, app, told["refresh_token"]).body == INACTIVE
    again = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert post(TOKEN, again, app).json["error"] == "invalid_grant"
    assert world.journal()[-1].action == "oauth_grant.revoke"


def test_an_unknown_token_is_revoked_already_and_anothers_is_not_its_own(world, post, app, owner):
    head = world.head()
    for text in ("x", "lgrt_" + "x" * 43, "a.b.c"):
        assert post(REVOKE, {"token": text}, app).status == 200
    assert world.head() == head
    told = given(world, post, app, owner)
    stranger = authority.client(world)
    for text in (told["access_token"], told["refresh_token"]):
        answer = post(REVOKE, {"token": text}, stranger)
        assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    assert asked(post, app, told["access_token"]).json["active"]


def test_a_public_client_revokes_what_it_holds(world, post, api, owner):
    public = authority.client(world, public=True)
    told = given(world, post, public, owner)
    assert post(REVOKE, {"token": told["access_token"]}, public).status == 200
    assert asked(post, api, told["access_token"]).body == INACTIVE


def test_d5_43_a_refresh_token_that_was_used_is_told_of_as_active_no_more(world, post, app, owner):
    told = given(world, post, app, owner)["refresh_token"]
    assert asked(post, app, told).json["active"]
    head = world.head()
    form = {"grant_type": "refresh_token", "refresh_token": told}
    assert post(TOKEN, form, app).status == 200
    assert world.head() == head  # no journal row says so
    assert asked(post, app, told).body == INACTIVE


def test_d5_43_what_was_revoked_while_its_user_was_disabled_stays_so(world, post, app, api):
    owner = world.somebody("storage:read")
    text = given(world, post, app, owner)["access_token"]
    user = sa.update(schema.user).where(schema.user.c.id == owner.user_id)
    world.change(Noun.USER, owner.user_id, user.values(active=False))
    assert asked(post, api, text).body == INACTIVE
    assert post(REVOKE, {"token": text}, app).status == 200
    world.change(Noun.USER, owner.user_id, user.values(active=True))
    assert asked(post, api, text).body == INACTIVE


def test_d7_62_one_address_begins_so_many_devices(world, post):
    public = authority.client(world, public=True)

    def begun(address):
        headers = {"X-Forwarded-For": address}
        return post("/oauth/device_authorization", {"scope": "openid"}, public, headers)

    answers = [begun("192.0.2.77") for _ in range(6 * DEVICES)]
    assert answers[0].status == 200
    # However slow the machine: at some point more are begun in a minute than may be.
    refused = [one for one in answers if one.status != 200]
    assert {(one.status, one.json["error"]) for one in refused} == {(429, "slow_down")}
    assert all(int(one.headers["retry-after"]) > 0 for one in refused)
    assert begun("192.0.2.78").status == 200


def test_d7_63_a_token_that_is_nested_a_thousand_deep_is_an_error_of_the_rfc(post, app, server):
    body = b'{"iss":"%s","x":' % server.addresses["console"].encode()
    deep = base64.urlsafe_b64encode(body + b"[" * 1_300 + b"]" * 1_300 + b"}").rstrip(b"=")
    text = f"eyJhbGciOiJFUzI1NiJ9.{deep.decode()}.{'A' * 86}"
    assert asked(post, app, text).body == INACTIVE
    assert post(REVOKE, {"token": text}, app).status == 200
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange"}
    form |= {"subject_token": text, "subject_token_type": exchange.ACCESS_TOKEN}
    answer = post(TOKEN, form)
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")
    bearer = {"Authorization": f"Bearer {text}"}
    assert post("/oauth/userinfo", {}, headers=bearer).status == 401


def test_d5_46_an_answer_is_remembered_for_who_asked_and_how_they_proved_it(
    world, post, app, api, owner
):
    text = given(world, post, app, owner)["access_token"]
    for _ in range(2):
        assert asked(post, api, text).json["active"]
    assert asked(post, authority.client(world), text).body == INACTIVE
    form = {"token": text}
    assert post(INTROSPECT, form).status == 401
    assert post(INTROSPECT, form | {"client_id": api.id}).status == 401
    wrong = {"client_id": api.id, "client_secret": "x"}
    assert post(INTROSPECT, form | wrong).status == 401
    assert post(INTROSPECT + "?x=1", form, api).status == 400


def test_d5_46_a_revoked_secret_is_told_nothing_from_memory(world, post, app, owner):
    api = authority.client(world, grant_types=["urn:latchgate:introspection"], scopes=[])
    text = given(world, post, app, owner)["access_token"]
    assert asked(post, api, text).json["active"]
    table = schema.application_key
    with world.changing() as change:
        row = {"id": key_of(world, api), "revoked_at": None}
        noun, after = Noun.APPLICATION_KEY, {"revoked_at": 1.0}
        change.alter("application_key.revoke", noun, table, row, after, tenant_id=None)
    assert post(INTROSPECT, {"token": text}, api).status == 401


def key_of(world, client):
    table = schema.application_key
    mine = table.c.application_id == client.application_id
    return world.one(sa.select(table.c.id).where(mine)).id
