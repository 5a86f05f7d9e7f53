"""The token endpoint of a running server: every grant, and every forged variant of it."""

from __future__ import annotations

import base64
import time

import pytest
from tests.oauth import authority
from tests.world import http_request

from latchgate.oauth import device
from latchgate.oauth.device import Approval
from latchgate.oauth.grants import Holder

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

TOKEN = "/oauth/token"
STORAGE = "/v2/dav/file"


@pytest.fixture(scope="module")
def owner(world):
    return world.somebody("storage:read", "storage:write")


@pytest.fixture(scope="module")
def app(world):
    return authority.client(world)


@pytest.fixture(scope="module")
def public(world):
    return authority.client(world, public=True)


@pytest.fixture(scope="module")
def robot(world, owner):
    return authority.client(world, acts_as=owner, scopes=["storage:read"])


def code_form(text, **more):
    told = {"grant_type": "authorization_code", "code": text}
    told |= {"redirect_uri": authority.REDIRECT, "code_verifier": authority.VERIFIER}
    return told | more


def refresh_form(text, **more):
    return {"grant_type": "refresh_token", "refresh_token": text} | more


def error(answer, status=400):
    assert answer.status == status, answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"error", "error_description"}
    return answer.json["error"]


def test_a_code_gives_an_access_token_a_refresh_token_and_an_id_token(world, post, owner, app):
    answer = post(TOKEN, code_form(authority.code(world, app, owner)), app)
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    told = answer.json
    assert told["token_type"] == "Bearer"
    assert 0 < told["expires_in"] <= 600
    header, claims = authority.unchecked(told["access_token"])
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert claims["sub"] == owner.user_id
    assert claims["client_id"] == app.id
    assert set(claims["scope"].split()) == set(authority.SCOPES)
    header, identity = authority.unchecked(told["id_token"])
    assert header["typ"] == "JWT"
    assert (identity["aud"], identity["azp"], identity["nonce"]) == (app.id, app.id, "n-1")
    assert (identity["auth_time"], identity["amr"]) == (1_700_000_000, ["pwd", "otp"])
    assert identity["iss"] == claims["iss"]
    assert told["refresh_token"].startswith("lgrt_")


def test_without_offline_access_there_is_no_refresh_token_and_without_openid_no_id_token(
    world, post, owner, app
):
    text = authority.code(world, app, owner, scopes=["storage:read"])
    told = post(TOKEN, code_form(text), app).json
    assert set(told) == {"access_token", "token_type", "expires_in", "scope"}
    assert told["scope"] == "storage:read"


def test_a_token_says_no_scope_that_its_user_does_not_hold(world, post, app):
    reader = world.somebody("storage:read")
    text = authority.code(world, app, reader, scopes=["storage:read", "storage:write"])
    assert post(TOKEN, code_form(text), app).json["scope"] == "storage:read"


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": authority.VERIFIER[:-1] + "X"},
        {"code_verifier": authority.CHALLENGE},
        {"code_verifier": "short"},
        {"redirect_uri": authority.REDIRECT + "/"},
        {"redirect_uri": authority.REDIRECT.upper()},
        {"code": "x" * 43},
    ],
)
def test_a_code_is_worth_nothing_for_anything_that_it_was_not_made_for(
    world, post, owner, app, wrong
):
    text = authority.code(world, app, owner)
    assert error(post(TOKEN, code_form(text) | wrong, app)) == "invalid_grant"
    assert post(TOKEN, code_form(text), app).status == 200  # and it was not used up


def test_a_code_is_worth_nothing_to_another_client(world, post, owner, app, public):
    text = authority.code(world, app, owner)
    assert error(post(TOKEN, code_form(text), public)) == "invalid_grant"


@pytest.mark.parametrize("missing", ["code", "redirect_uri", "code_verifier"])
def test_what_a_code_is_exchanged_with_can_not_be_left_out(world, post, owner, public, missing):
    told = code_form(authority.code(world, public, owner))
    del told[missing]
    assert error(post(TOKEN, told, public)) == "invalid_request"


def test_a_code_that_comes_again_at_once_gives_nothing_and_takes_nothing(world, post, owner, app):
    told = code_form(authority.code(world, app, owner))
    first = post(TOKEN, told, app).json
    assert error(post(TOKEN, told, app)) == "invalid_grant"
    again = post(TOKEN, refresh_form(first["refresh_token"]), app)
    assert again.status == 200


def test_a_refresh_token_gives_the_next_one_and_a_token_of_fewer_scopes(world, post, owner, app):
    first = post(TOKEN, code_form(authority.code(world, app, owner)), app).json
    asked = refresh_form(first["refresh_token"], scope="storage:read")
    second = post(TOKEN, asked, app).json
    assert second["scope"] == "storage:read"
    assert second["refresh_token"] != first["refresh_token"]
    third = post(TOKEN, refresh_form(second["refresh_token"]), app).json
    assert set(third["scope"].split()) == set(authority.SCOPES)
    _, identity = authority.unchecked(third["id_token"])
    assert identity["auth_time"] == 1_700_000_000
    assert "nonce" not in identity


def test_a_refresh_token_gives_no_scope_more_and_nothing_to_another_client(
    world, post, owner, app, public
):
    text = authority.code(world, app, owner, scopes=["storage:read", "offline_access"])
    first = post(TOKEN, code_form(text), app).json
    wider = refresh_form(first["refresh_token"], scope="storage:write")
    assert error(post(TOKEN, wider, app)) == "invalid_scope"
    assert error(post(TOKEN, refresh_form(first["refresh_token"]), public)) == "invalid_grant"
    assert error(post(TOKEN, refresh_form("lgrt_" + "x" * 43), app)) == "invalid_grant"


def test_a_client_acts_by_itself_with_the_scopes_that_it_asks_for(post, robot, owner):
    answer = post(TOKEN, {"grant_type": "client_credentials"}, robot)
    assert answer.json["scope"] == "storage:read"
    _, claims = authority.unchecked(answer.json["access_token"])
    assert claims["sub"] == owner.user_id
    more = {"grant_type": "client_credentials", "scope": "storage:write"}
    assert error(post(TOKEN, more, robot)) == "invalid_scope"
    assert error(post(TOKEN, more | {"scope": "*"}, robot)) == "invalid_scope"
    assert error(post(TOKEN, more | {"scope": "openid"}, robot)) == "invalid_scope"


def test_a_client_that_acts_as_nobody_and_one_for_other_grants_is_refused(world, post, app, owner):
    credentials = {"grant_type": "client_credentials"}
    assert error(post(TOKEN, credentials, app)) == "unauthorized_client"
    other = authority.client(world, grant_types=["authorization_code"], acts_as=owner)
    assert error(post(TOKEN, credentials, other)) == "unauthorized_client"


@pytest.mark.parametrize("grant_type", ["password", "implicit", "", "Client_Credentials"])
def test_no_other_grant_is_known(post, app, grant_type):
    wanted = "unsupported_grant_type" if grant_type else "invalid_request"
    assert error(post(TOKEN, {"grant_type": grant_type}, app)) == wanted


# --- who asks


def basic(name, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def test_a_client_proves_itself_by_basic_or_in_the_body(post, robot):
    credentials = {"grant_type": "client_credentials"}
    assert post(TOKEN, credentials, robot).status == 200
    both = credentials | {"client_id": robot.id, "client_secret": robot.secret}
    assert post(TOKEN, both).status == 200
    # Encoded as RFC 6749 has it, whether it has to be or not.
    spelled = "".join(f"%{ord(letter):02X}" for letter in robot.id)
    assert post(TOKEN, credentials, headers=basic(spelled, robot.secret)).status == 200


def test_a_client_proves_itself_once(post, robot):
    twice = {"grant_type": "client_credentials", "client_secret": robot.secret}
    assert error(post(TOKEN, twice, robot)) == "invalid_request"
    other = {"grant_type": "client_credentials", "client_id": "another"}
    assert error(post(TOKEN, other, robot)) == "invalid_request"


@pytest.mark.parametrize("how", ["wrong", "empty", "unknown", "bearer", "broken", "none"])
def test_who_proves_nothing_is_challenged(post, robot, how):
    told = {"grant_type": "client_credentials"}
    headers = {
        "wrong": basic(robot.id, robot.secret[:-1] + "x"),
        "empty": basic(robot.id, ""),
        "unknown": basic("nobody", robot.secret),
        "bearer": {"Authorization": f"Bearer {robot.secret}"},
        "broken": {"Authorization": "Basic !!!"},
        "none": {},
    }[how]
    answer = post(TOKEN, told, headers=headers)
    assert error(answer, 401) == "invalid_client"
    challenged = answer.headers.get("www-authenticate", "").startswith("Basic ")
    assert challenged == bool(headers)
    assert robot.secret not in answer.body.decode()


def test_a_public_client_has_no_secret_and_a_confidential_one_must_send_it(post, public, app):
    told = code_form("x" * 43) | {"client_id": public.id, "client_secret": "made-up"}
    assert error(post(TOKEN, told), 401) == "invalid_client"
    assert error(post(TOKEN, code_form("x" * 43) | {"client_id": app.id}), 401) == "invalid_client"


def test_guesses_are_counted_by_client_and_address_and_lock_out_nobody_who_is_known(world, post):
    victim = authority.client(world, acts_as=world.somebody("storage:read"))
    told = {"grant_type": "client_credentials", "scope": "storage:read"}
    assert post(TOKEN, told, victim).status == 200
    answers = [post(TOKEN, told, headers=basic(victim.id, f"guess-{n}")) for n in range(7)]
    assert [one.status for one in answers[:5]] == [401] * 5
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert post(TOKEN, told, victim).status == 200  # its secret is remembered


# --- how it asks


def test_a_parameter_that_comes_twice_is_refused(post, robot):
    body = b"grant_type=client_credentials&scope=storage%3Aread&scope=storage%3Aread"
    assert error(post(TOKEN, {}, robot, body=body)) == "invalid_request"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"grant_type":"client_credentials"}'),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded; charset=latin-1", b"grant_type=client_credentials"),
        ("application/x-www-form-urlencoded", b"grant_type=%FF"),
        ("application/x-www-form-urlencoded", "grant_type=é".encode()),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(60))),
        ("application/x-www-form-urlencoded", b"grant_type"),
        ("application/x-www-form-urlencoded", b""),
    ],
)
def test_only_one_sort_of_body_is_read(post, robot, kind, body):
    answer = post(TOKEN, {}, robot, headers={"Content-Type": kind}, body=body)
    assert error(answer) == "invalid_request"


def test_a_huge_body_is_refused(post, robot):
    body = b"grant_type=client_credentials&x=" + b"y" * 70_000
    assert error(post(TOKEN, {}, robot, body=body), 413) == "invalid_request"


def test_no_token_is_asked_for_in_an_address(server, post, robot):
    told = {"grant_type": "client_credentials"}
    assert error(post(f"{TOKEN}?scope=storage:read", told, robot)) == "invalid_request"
    answer = http_request("GET", server.addresses["console"] + TOKEN)
    assert error(answer, 405) == "invalid_request"
    assert answer.headers["allow"] == "POST"


def test_pages_of_other_origins_may_ask_without_cookies(server, post, robot):
    answer = post(TOKEN, {"grant_type": "client_credentials"}, robot)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    before = http_request("OPTIONS", server.addresses["console"] + TOKEN, headers=asked)
    assert before.status == 204
    assert before.headers["access-control-allow-methods"] == "POST"
    assert "Authorization" in before.headers["access-control-allow-headers"]


# --- devices


def begun(post, client, scope="storage:read"):
    answer = post("/oauth/device_authorization", {"scope": scope}, client)
    assert answer.status == 200, answer.body
    return answer.json


def device_form(told):
    grant_type = "urn:ietf:params:oauth:grant-type:device_code"
    return {"grant_type": grant_type, "device_code": told["device_code"]}


def test_a_device_waits_for_a_person_and_gets_one_token(world, post, public, owner):
    told = begun(post, public, "storage:read openid offline_access")
    assert told["verification_uri"].endswith("/device")
    assert told["verification_uri_complete"].endswith(f"?user_code={told['user_code']}")
    assert len(told["user_code"]) == 9
    assert told["user_code"][4] == "-"
    assert error(post(TOKEN, device_form(told), public)) == "authorization_pending"
    assert error(post(TOKEN, device_form(told), public)) == "slow_down"
    holder = Holder(owner.user_id, owner.project_id)
    allowed = Approval(holder, 1_700_000_000.0, ("hwk",))
    typed = told["user_code"].lower().replace("-", " ")
    waiting = device.pending(world.store, typed, now=time.time())
    assert waiting is not None
    assert waiting.client_id == public.id
    assert device.approve(world.store, typed, allowed, now=time.time())
    assert not device.approve(world.store, typed, allowed, now=time.time())
    answer = post(TOKEN, device_form(told), public)
    assert answer.status == 200, answer.body
    assert set(answer.json["scope"].split()) == {"storage:read", "openid", "offline_access"}
    _, identity = authority.unchecked(answer.json["id_token"])
    assert identity["amr"] == ["hwk"]
    assert post(TOKEN, refresh_form(answer.json["refresh_token"]), public).status == 200
    assert error(post(TOKEN, device_form(told), public)) == "invalid_grant"


def test_a_device_is_told_when_it_was_refused_or_is_not_its_own(world, post, public, app):
    told = begun(post, public)
    assert error(post(TOKEN, device_form(told), app)) == "invalid_grant"
    assert device.deny(world.store, told["user_code"], now=time.time())
    assert error(post(TOKEN, device_form(told), public)) == "access_denied"
    more = post("/oauth/device_authorization", {"scope": "manage:users.write"}, public)
    assert error(more) == "invalid_scope"


# --- exchange

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SERVICE_KEY = "urn:latchgate:token-type:service_key"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def exchange_form(text, kind=SERVICE_KEY, **more):
    told = {"grant_type": EXCHANGE, "subject_token": text, "subject_token_type": kind}
    return told | more


def test_a_key_is_exchanged_for_a_narrower_token_that_says_who_acts(world, post, owner, app):
    key = world.key(owner=owner)
    told = post(TOKEN, exchange_form(key.text, scope="storage:read"), app).json
    assert (told["scope"], told["issued_token_type"]) == ("storage:read", ACCESS_TOKEN)
    assert "refresh_token" not in told
    _, claims = authority.unchecked(told["access_token"])
    assert (claims["sub"], claims["grant_id"]) == (owner.user_id, key.id)
    assert claims["act"] == {"sub": app.id}
    alone = post(TOKEN, exchange_form(key.text)).json
    _, claims = authority.unchecked(alone["access_token"])
    assert "act" not in claims
    assert claims["client_id"] == key.id


def test_an_access_token_is_exchanged_for_one_that_ends_no_later(post, robot, app):
    first = post(TOKEN, {"grant_type": "client_credentials"}, robot).json
    _, before = authority.unchecked(first["access_token"])
    told = post(TOKEN, exchange_form(first["access_token"], ACCESS_TOKEN), app).json
    _, after = authority.unchecked(told["access_token"])
    assert after["exp"] <= before["exp"]
    assert after["grant_id"] == before["grant_id"]


def test_a_key_ends_before_its_token_would_and_takes_it_along(world, post, owner):
    key = world.key(owner=owner, expires_at=time.time() + 60)
    told = post(TOKEN, exchange_form(key.text)).json
    assert told["expires_in"] <= 60


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"scope": "manage:users.write"}, "invalid_scope"),
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"subject_token_type": ACCESS_TOKEN}, "invalid_grant"),
        ({"subject_token": "wayscloud_storage_x_y"}, "invalid_grant"),
    ],
)
def test_an_exchange_gives_nothing_else(world, post, owner, app, more, wanted):
    key = world.key(owner=owner)
    assert error(post(TOKEN, exchange_form(key.text) | more, app)) == wanted


def test_a_key_of_other_networks_or_revoked_is_exchanged_for_nothing(world, post, owner):
    far = world.key(owner=owner, networks=["192.0.2.0/24"])
    assert error(post(TOKEN, exchange_form(far.text))) == "invalid_grant"
    gone = world.key(owner=owner)
    world.revoke(gone)
    assert error(post(TOKEN, exchange_form(gone.text))) == "invalid_grant"


def test_a_key_for_one_service_gives_no_scope_of_another(world, post):
    everywhere = world.somebody("*")
    key = world.key("storage", owner=everywhere)
    told = post(TOKEN, exchange_form(key.text)).json
    assert told["scope"]
    assert all(scope.startswith("storage:") for scope in told["scope"].split())
