"""Authorization requests: who is told what is wrong with one, and what comes before its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from tests.oauth import authority
from tests.oauth.authority import CHALLENGE, ISSUER, REDIRECT
from tests.oauth.conftest import Clock
from tests.world import World

from latchgate.core.model import Noun
from latchgate.oauth import authorization
from latchgate.oauth.authorization import CHOSEN, SINCE, Back, Mode, RefusedError, Step
from latchgate.oauth.errors import OAuthError
from latchgate.oauth.sent import UnanswerableError
from latchgate.signin.session import Session
from latchgate.store import schema

STATE = "af0ifjsldkj"


def request(app, **changed: str | None) -> dict[str, str]:
    told = {
        "client_id": app.id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "openid storage:read",
        "state": STATE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: text for name, text in (told | changed).items() if text is not None}


def read(server, told: dict[str, str], more: str = "") -> authorization.Asked:
    return authorization.read(server, (urlencode(told) + more).encode())


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def world(tmp_path_factory, clock) -> Iterator[World]:
    """One database for all: nothing here is written but new clients."""
    made = World(tmp_path_factory.mktemp("authorization"), clock=clock)
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(world, clock):
    return authority.authority(world, clock=clock)


@pytest.fixture(scope="module")
def app(world):
    return authority.client(world)


@pytest.fixture
def session(owner, clock) -> Session:
    return Session("ses-1", owner.user_id, owner.tenant_id, clock.now - 100.0, ("pwd",), None)


def test_a_request_is_read_whole(server, app):
    asked = read(server, request(app, nonce="n-1", max_age="60", prompt="login consent", ui="x"))
    assert (asked.client.id, asked.scopes) == (app.id, ("openid", "storage:read"))
    assert asked.back == Back(REDIRECT, Mode.QUERY, STATE)
    assert (asked.challenge, asked.nonce, asked.max_age) == (CHALLENGE, "n-1", 60)
    assert {str(one) for one in asked.prompts} == {"login", "consent"}


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({"client_id": None}, ""),
        ({"client_id": "client-unknown"}, ""),
        ({"client_id": "c" * 300}, ""),
        ({"redirect_uri": None}, ""),
        ({"redirect_uri": ""}, ""),
        ({"redirect_uri": "https://evil.example/callback"}, ""),
        ({"redirect_uri": f"{REDIRECT}/../evil"}, ""),
        ({"redirect_uri": f"{REDIRECT}?next=https://evil.example"}, ""),
        ({"redirect_uri": "https://app.example@evil.example/callback"}, ""),
        ({"redirect_uri": "https://app.example.evil.example/callback"}, ""),
        ({"redirect_uri": "https://app.example:443/callback"}, ""),
        ({"redirect_uri": "HTTPS://app.example/callback"}, ""),
        ({"redirect_uri": "http://app.example/callback"}, ""),
        ({"redirect_uri": f"{REDIRECT}#fragment"}, ""),
        ({"redirect_uri": f"{REDIRECT}\r\nSet-Cookie: a=b"}, ""),
        ({"redirect_uri": "javascript:alert(1)"}, ""),
        ({}, f"&{urlencode({'redirect_uri': REDIRECT})}"),
        ({}, "&redirect_uri=https%3A%2F%2Fevil.example"),
        ({}, "&client_id=client-unknown"),
        ({}, "&scope=%FF"),
        ({}, "&a=" + "a" * 4_000),
        ({}, "&a=1" * 60),
    ],
)
def test_what_is_not_known_to_be_a_clients_own_is_told_to_no_address(server, app, changed, more):
    with pytest.raises(UnanswerableError) as told:
        read(server, request(app, **changed), more)
    assert "evil" not in told.value.words


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(schema.oauth_client).values(disabled_at=1.0),
        sa.update(schema.application).values(state="suspended"),
    ],
)
def test_a_client_that_does_not_stand_is_answered_nothing(world, server, statement):
    app = authority.client(world)
    table = statement.table
    record = app.id if table is schema.oauth_client else app.application_id
    world.change(Noun.OAUTH_CLIENT, app.id, statement.where(table.c.id == record))
    with pytest.raises(UnanswerableError):
        read(server, request(app))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "openid storage:delete"}, "invalid_scope"),
        ({"scope": "*"}, "invalid_scope"),
        ({"scope": "openid  storage:read"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": f"{CHALLENGE}="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://app.example/request"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"id_token_hint": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request"),
        ({"id_token_hint": "é"}, "invalid_request"),
    ],
)
def test_what_is_wrong_else_is_told_to_the_client_with_its_own_state(server, app, changed, code):
    with pytest.raises(RefusedError) as told:
        read(server, request(app, **changed))
    assert told.value.error.code == code
    answer = authorization.answer(server, told.value.back, authorization.refusal(told.value.error))
    assert (answer["state"], answer["iss"], answer["error"]) == (STATE, ISSUER, code)
    assert told.value.back.redirect_uri == REDIRECT


@pytest.mark.parametrize("more", ["&scope=openid", "&nonce=a&nonce=a", "&unknown=1&unknown=2"])
def test_no_parameter_comes_twice(server, app, more):
    with pytest.raises(RefusedError) as told:
        read(server, request(app), more)
    assert told.value.error.code == "invalid_request"


def test_a_state_that_came_twice_or_is_too_long_is_not_given_back(server, app):
    for told, more in (
        (request(app), "&state=another"),
        (request(app, state="s" * 2_049), ""),
    ):
        with pytest.raises(RefusedError) as refused:
            read(server, told, more)
        assert refused.value.back.state is None
        assert refused.value.error.code == "invalid_request"


def test_a_client_without_that_grant_is_told_so(world, server):
    app = authority.client(world, grant_types=["refresh_token"])
    with pytest.raises(RefusedError) as told:
        read(server, request(app))
    assert told.value.error.code == "unauthorized_client"


def test_a_native_apps_port_is_free_on_the_loopback_and_nothing_else_of_it(world, server):
    app = authority.client(world, redirect_uris=["http://127.0.0.1/callback"], public=True)
    asked = read(server, request(app, redirect_uri="http://127.0.0.1:53127/callback"))
    assert asked.back.redirect_uri == "http://127.0.0.1:53127/callback"
    for uri in ("http://127.0.0.1:53127/other", "http://localhost:53127/callback"):
        with pytest.raises(UnanswerableError):
            read(server, request(app, redirect_uri=uri))


def test_a_query_of_the_address_stays(world, server):
    told = {"code": "c d", "iss": ISSUER}
    assert authorization.with_query("https://a.example/?b=1", told) == (
        "https://a.example/?b=1&code=c+d&iss=https%3A%2F%2Flogin.example"
    )


def test_whoever_is_not_signed_in_signs_in_and_where_nobody_may_be_asked_it_is_an_error(
    server, app, session, clock
):
    asked = read(server, request(app))
    assert authorization.step(asked, None, now=clock.now) is Step.SIGN_IN
    assert authorization.step(asked, session, now=clock.now) is Step.READY
    silent = read(server, request(app, prompt="none"))
    with pytest.raises(OAuthError, match="login_required"):
        authorization.step(silent, None, now=clock.now)
    assert authorization.step(silent, session, now=clock.now) is Step.READY


@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"max_age": "99"}, {"max_age": "0"}])
def test_a_proof_is_asked_for_again_and_counts_once_it_was_given(server, app, session, clock, wish):
    asked = read(server, request(app, **wish))
    assert authorization.step(asked, session, now=clock.now) is Step.PROVE_AGAIN
    sent = authorization.again(asked, **{SINCE: f"{clock.now:.6f}"})
    back = authorization.read(server, sent.encode())
    assert authorization.step(back, session, now=clock.now) is Step.PROVE_AGAIN
    renewed = replace(session, auth_time=clock.now + 5.0)
    assert authorization.step(back, renewed, now=clock.now + 6.0) is Step.READY
    # An address that is opened again later asks again.
    assert authorization.step(back, renewed, now=clock.now + 700.0) is Step.PROVE_AGAIN
    assert authorization.again(back, **{SINCE: "1.000000"}).count(SINCE) == 1


def test_a_proof_that_is_too_old_is_an_error_where_nobody_may_be_asked(server, app, session, clock):
    asked = read(server, request(app, prompt="none", max_age="99"))
    with pytest.raises(OAuthError, match="login_required"):
        authorization.step(asked, session, now=clock.now)


def test_an_account_is_chosen_once_for_each_request(server, app, session, clock):
    asked = read(server, request(app, prompt="select_account"))
    assert authorization.step(asked, session, now=clock.now) is Step.CHOOSE
    chosen = authorization.again(asked, **{CHOSEN: session.id})
    back = authorization.read(server, chosen.encode())
    assert authorization.step(back, session, now=clock.now) is Step.READY
    other = replace(session, id="ses-2")
    assert authorization.step(back, other, now=clock.now) is Step.CHOOSE


def test_a_clients_tenant_is_the_only_one_whose_users_it_is_for(world, server, session, clock):
    app = authority.client(world, tenant_id=world.tenant())
    asked = read(server, request(app))
    assert authorization.step(asked, session, now=clock.now) is Step.CHOOSE
    silent = read(server, request(app, prompt="none"))
    with pytest.raises(OAuthError, match="account_selection_required"):
        authorization.step(silent, session, now=clock.now)
