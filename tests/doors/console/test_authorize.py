"""A person lets an application act for them: asked, remembered, and never tricked into it."""

from __future__ import annotations

import html
import json

import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.relying import App, carried
from tests.doors.console.visitor import Visitor
from tests.oauth.authority import REDIRECT, unchecked
from tests.people import Person

from latchgate.signin import session
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

CONSENT = "/oauth/authorize/consent"
ACCOUNT = "/oauth/authorize/account"


@pytest.fixture
def person(world):
    """A new user who may read and write."""
    return people.person(world, "storage:read", "storage:write")


@pytest.fixture
def app(server, world) -> App:
    return App.of(server, world)


@pytest.fixture
def signed_in(visitor: Visitor, person: Person) -> Visitor:
    visitor.sign_in(person)
    return visitor


def allow(visitor: Visitor, **more: str):
    return visitor.send(CONSENT, carried(visitor) | {"decision": "allow"} | more)


def test_a_person_signs_in_is_asked_and_the_application_has_their_rights(
    world, visitor, person, app
):
    refused = visitor.see(app.path(nonce="n-1", login_hint=person.login))
    assert refused.status == 303
    sign_in = refused.headers["location"]
    assert sign_in.startswith("/sign-in?next=%2Foauth%2Fauthorize%3F")
    visitor.see(sign_in)
    assert f'value="{person.login}"' in visitor.page
    form = carried(visitor) | {"login": person.login, "password": person.password}
    back = visitor.send("/sign-in", form)
    asked = visitor.see(back.headers["location"])
    assert asked.status == 200
    storage = world.engine().policy.services["storage"]
    words = ["Application ", "a@example.com", "Know that it is you", "Go on while you are away"]
    words += [storage.title, storage.scopes["storage:read"]]
    assert all(html.escape(word) in asked.body.decode() for word in words)
    told = app.brought(allow(visitor))
    tokens = app.redeem(told.pop("code"))
    assert (told, tokens.status) == ({}, 200), tokens.body
    claims = unchecked(tokens.json["id_token"])[1]
    assert (claims["sub"], claims["nonce"], claims["amr"]) == (person.id, "n-1", ["pwd"])
    assert set(tokens.json["scope"].split()) == {"openid", "offline_access", "storage:read"}


def test_whoever_consented_is_asked_again_for_what_is_new_only(world, signed_in, person, app):
    signed_in.see(app.path())
    assert ">new<" not in signed_in.page
    app.brought(allow(signed_in))
    again = app.brought(signed_in.see(app.path()))
    assert set(again) == {"code"}
    fewer = app.brought(signed_in.see(app.path(scope="storage:read", prompt="none")))
    assert set(fewer) == {"code"}
    more = signed_in.see(app.path(scope="openid storage:write"))
    assert more.status == 200
    assert signed_in.page.count(">new<") == 1
    app.brought(allow(signed_in))
    row = world.one(sa.select(schema.consent).where(schema.consent.c.user_id == person.id))
    held = ["offline_access", "openid", "storage:read", "storage:write"]
    assert json.loads(row.scopes) == held
    told = [one for one in world.journal() if one.action == "consent.give"]
    assert [one.record for one in told[-2:]] == [f"{person.id}:{app.client.id}"] * 2
    assert signed_in.see(app.path(prompt="consent")).status == 200


def test_a_no_is_told_to_the_application_and_nothing_is_kept(world, signed_in, person, app):
    signed_in.see(app.path())
    refused = signed_in.send(CONSENT, carried(signed_in) | {"decision": "deny"})
    assert app.brought(refused)["error"] == "access_denied"
    kept = sa.select(schema.consent).where(schema.consent.c.user_id == person.id)
    assert world.all(kept) == []
    assert signed_in.see(app.path()).status == 200


def test_the_first_partys_own_client_asks_nobody(server, world, signed_in):
    app = App.of(server, world, first_party=True, public=True)
    assert set(app.brought(signed_in.see(app.path()))) == {"code"}


def test_where_nobody_may_be_asked_each_gap_has_its_own_error(visitor, person, app):
    assert app.brought(visitor.see(app.path(prompt="none")))["error"] == "login_required"
    visitor.sign_in(person)
    assert app.brought(visitor.see(app.path(prompt="none")))["error"] == "consent_required"


def test_of_several_projects_one_is_chosen_and_remembered(server, world, person, visitor, app):
    other = world.project(person.tenant_id)
    world.assign(person.id, other, world.role(person.tenant_id, ["storage:read"]))
    visitor.sign_in(person)
    visitor.see(app.path())
    assert 'name="project"' in visitor.page
    undecided = allow(visitor)
    assert (undecided.status, b"Choose one of your projects" in undecided.body) == (400, True)
    foreign = allow(visitor, project=world.project(world.tenant()))
    assert foreign.status == 400
    code = app.brought(allow(visitor, project=other))["code"]
    assert app.redeem(code).status == 200
    chosen = sa.select(schema.credential.c.project_id).where(
        schema.credential.c.external_id == app.client.id
    )
    assert world.one(chosen).project_id == other
    assert set(app.brought(visitor.see(app.path()))) == {"code"}


def test_a_proof_is_given_again_and_leads_back_to_the_very_request(visitor, person, app):
    visitor.sign_in(person)
    before = dict(visitor.cookies)
    visitor.see(app.path())
    app.brought(allow(visitor))
    again = visitor.see(app.path(prompt="login", nonce="n-2"))
    assert "again=1" in again.headers["location"]
    visitor.see(again.headers["location"])
    form = carried(visitor) | {"login": person.login, "password": person.password}
    back = visitor.send("/sign-in", form).headers["location"]
    # Another session secret than before: who knew the old one is not signed in with the new proof.
    assert visitor.cookies[session.COOKIE] != before[session.COOKIE]
    told = app.brought(visitor.see(back))
    claims = unchecked(app.redeem(told["code"]).json["id_token"])[1]
    assert claims["nonce"] == "n-2"


def test_an_account_can_be_chosen_and_another_one_signed_in(world, signed_in, person, app):
    signed_in.see(app.path())
    app.brought(allow(signed_in))
    signed_in.see(app.path(prompt="select_account"))
    assert f"Go on as {person.login}" in signed_in.page
    form = carried(signed_in)
    kept = signed_in.send(ACCOUNT, form | {"decision": "continue"})
    assert set(app.brought(signed_in.see(kept.headers["location"]))) == {"code"}
    left = signed_in.send(ACCOUNT, form | {"decision": "another"})
    assert session.COOKIE not in signed_in.cookies
    signed_in.see(left.headers["location"])
    second = people.person(world, "storage:read")
    form = carried(signed_in) | {"login": second.login, "password": second.password}
    back = signed_in.send("/sign-in", form).headers["location"]
    assert signed_in.see(back).status == 200  # asked for consent, and no more for the account
    assert second.login in signed_in.page


def test_an_id_token_names_whom_the_application_means(world, signed_in, person, app, server):
    signed_in.see(app.path())
    code = app.brought(allow(signed_in))["code"]
    hint = app.redeem(code).json["id_token"]
    assert set(app.brought(signed_in.see(app.path(id_token_hint=hint)))) == {"code"}
    stranger = Visitor(server)
    stranger.sign_in(people.person(world, "storage:read"))
    silent = app.brought(stranger.see(app.path(id_token_hint=hint, prompt="none")))
    assert silent["error"] == "login_required"
    stranger.see(app.path(id_token_hint=hint))
    assert "not the account that it is for" in stranger.page
    other = App.of(server, world)
    told = other.brought(signed_in.see(other.path(id_token_hint=hint)))
    assert told["error"] == "invalid_request"


def test_a_forged_address_is_a_page_and_never_a_redirect(signed_in, app):
    for told in ({"redirect_uri": "https://evil.example/"}, {"client_id": "client-nobody"}):
        refused = signed_in.see(app.path(**told))
        assert (refused.status, "location" in refused.headers) == (400, False)
        assert b"evil" not in refused.body


def test_no_page_can_be_framed_and_none_is_kept(signed_in, app):
    for path in (app.path(), app.path(prompt="select_account"), "/device", "/applications"):
        headers = signed_in.see(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")


@pytest.mark.parametrize("path", [CONSENT, ACCOUNT])
def test_nobody_elses_page_consents_for_a_person(signed_in, person, world, app, path):
    signed_in.see(app.path(prompt="select_account") if path == ACCOUNT else app.path())
    form = carried(signed_in) | {"decision": "allow"}
    assert signed_in.ask("POST", path, form).status == 403
    assert signed_in.ask("POST", path, form | {"csrf": "0" * 64}).status == 403
    foreign = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}
    told = form | {"csrf": signed_in.token}
    assert signed_in.ask("POST", path, told, **foreign).status == 403
    kept = sa.select(schema.consent).where(schema.consent.c.user_id == person.id)
    assert world.all(kept) == []


def test_a_token_of_another_browsers_page_consents_to_nothing(server, world, signed_in, app):
    other = Visitor(server)
    other.sign_in(people.person(world, "storage:read"))
    other.see(app.path())
    signed_in.see(app.path())
    form = carried(signed_in) | {"decision": "allow", "csrf": other.token}
    assert signed_in.ask("POST", CONSENT, form).status == 403


def test_the_request_that_is_allowed_is_read_anew(signed_in, app):
    signed_in.see(app.path())
    forged = carried(signed_in)["request"].replace("app.example", "evil.example")
    refused = signed_in.send(CONSENT, {"request": forged, "decision": "allow"})
    assert (refused.status, "location" in refused.headers) == (400, False)
    wider = carried(signed_in)["request"].replace("storage%3Aread", "storage%3Adelete")
    told = app.brought(signed_in.send(CONSENT, {"request": wider, "decision": "allow"}))
    assert told["error"] == "invalid_scope"


def test_a_code_is_worth_nothing_to_another_client_or_without_its_verifier(
    server, world, signed_in, app
):
    signed_in.see(app.path())
    code = app.brought(allow(signed_in))["code"]
    other = App.of(server, world)
    assert other.redeem(code).json["error"] == "invalid_grant"
    assert app.redeem(code, "another-verifier-of-forty-three-characters--").json["error"] == (
        "invalid_grant"
    )
    assert app.redeem(code).status == 200


def test_a_request_that_was_posted_by_its_application_is_fetched(visitor, app):
    query = app.path().partition("?")[2]
    foreign = {"Origin": "https://app.example", "Sec_Fetch_Site": "cross-site"}
    moved = visitor.ask("POST", "/oauth/authorize", query.encode(), **foreign)
    assert (moved.status, moved.headers["location"]) == (303, app.path())
    assert "set-cookie" not in moved.headers
    assert visitor.cookies == {}
    twice = visitor.ask("POST", "/oauth/authorize", f"{query}&scope=openid".encode(), **foreign)
    told = app.brought(visitor.see(twice.headers["location"]))
    assert told["error"] == "invalid_request"


def test_an_answer_can_be_posted_to_the_application(signed_in, app):
    signed_in.see(app.path(response_mode="form_post"))
    done = allow(signed_in)
    page = done.body.decode()
    assert f'action="{REDIRECT}"' in page
    assert "form-action 'self' *;" in done.headers["content-security-policy"]
    signed_in.page = page
    told = carried(signed_in)
    assert (told["state"], set(told)) == (app.state, {"code", "state", "iss"})
    assert app.redeem(told["code"]).status == 200


def test_a_browser_that_comes_from_a_form_of_ours_is_sent_on_by_a_page(signed_in, app):
    signed_in.see(app.path())
    app.brought(allow(signed_in))
    page = signed_in.ask("GET", app.path(), Sec_Fetch_Site="same-origin")
    assert page.status == 200
    assert b'http-equiv="refresh"' in page.body
    assert f'content="0; url={REDIRECT}?code=' in page.body.decode()
    assert b"&amp;state=" in page.body


def test_an_application_that_the_person_keeps_out_is_refused(world, signed_in, person, app):
    row = {"user_id": person.id, "application_id": app.client.application_id}
    with world.changing() as change:
        block = sa.insert(schema.application_block)
        change.execute(block.values(**row, blocked_by="user", at=1.0))
    assert app.brought(signed_in.see(app.path()))["error"] == "access_denied"


def test_what_was_consented_to_is_withdrawn_with_a_receipt(signed_in, person, app, server):
    signed_in.see(app.path())
    tokens = app.redeem(app.brought(allow(signed_in))["code"]).json
    signed_in.see("/applications")
    assert "It can act for you now." in signed_in.page
    asking = f"/applications/{app.client.id}/withdraw"
    assert signed_in.ask("POST", asking, {}).status == 403
    signed_in.see(asking)
    done = signed_in.send(asking)
    assert (done.status, b"Receipt: journal number" in done.body) == (200, True)
    told = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert app.token(told).json["error"] == "invalid_grant"
    assert signed_in.see(app.path()).status == 200
    assert signed_in.send("/applications/client-of-nobody/withdraw").status == 404


def test_a_fixed_session_is_worth_nothing(server, person, app):
    """Whoever planted a cookie before the sign-in has no session by it (ATTACKS D4)."""
    planted = "A" * 32
    victim = Visitor(server)
    victim.cookies[session.COOKIE] = planted
    victim.sign_in(person)
    assert victim.cookies[session.COOKIE] != planted
    attacker = Visitor(server)
    attacker.cookies[session.COOKIE] = planted
    assert attacker.see(app.path()).headers["location"].startswith("/sign-in?")
    assert victim.is_signed_in()
