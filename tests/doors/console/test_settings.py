"""Settings: open to everybody signed in, each part of them to whom it concerns; the language."""

from __future__ import annotations

import pytest
from tests import people, pseudo
from tests.doors.console.visitor import Visitor
from tests.pseudo import pseudo as said
from tests.world import Server, World

from latchgate.doors.console.languages import COOKIE

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PROVIDER = """
[console]
translations = "translations"

[[sign_in.providers]]
name = "staff"
title = "Example Inc."
issuer = "https://id.example.com/realms/staff"
client_id = "latchgate-console"
client_secret_file = "staff.secret"
tenant = "default"
"""
SECRET = "made-up-client-secret"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that has a provider, and speaks two languages."""
    folder = tmp_path_factory.mktemp("settings")
    made = Server.made(folder / "lg")
    pseudo.catalogue(made.folder / "translations")
    (made.folder / "staff.secret").write_text(SECRET)
    (made.folder / "staff.secret").chmod(0o600)
    with made.config.open("a") as config:
        config.write(PROVIDER)
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def world(server):
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture
def owner(world):
    return people.owner(world)


def test_whoever_is_signed_in_opens_settings_and_sees_what_concerns_them(visitor, world, owner):
    colleague = people.colleague(world, owner, "own:account.read")
    visitor.sign_in(colleague, "/settings")
    assert visitor.see("/settings").status == 200
    for path in ("lifetimes", "lifetimes/overdue", "leaks", "providers"):
        assert f'href="/settings/{path}"' not in visitor.page
        assert visitor.see(f"/settings/{path}").status == 403
        assert 'href="/settings"' in visitor.page
        visitor.see("/settings")
    assert f"{visitor.origin}/.well-known/openid-configuration" in visitor.page
    chief = Visitor(visitor.server)
    chief.sign_in(owner, "/settings")
    chief.see("/settings")
    for path in ("lifetimes", "lifetimes/overdue", "leaks", "providers"):
        assert f'href="/settings/{path}"' in chief.page


def test_nobody_sees_settings_without_signing_in(visitor):
    assert visitor.see("/settings").headers["location"] == "/sign-in?next=%2Fsettings"


def test_providers_are_shown_with_what_to_register_and_no_secret(visitor, world, owner):
    visitor.sign_in(owner, "/settings")
    assert visitor.see("/settings/providers").status == 200
    assert "https://id.example.com/realms/staff" in visitor.page
    assert f"{visitor.origin}/sign-in/callback/staff" in visitor.page
    assert SECRET not in visitor.page
    assert "staff.secret" not in visitor.page
    # In which tenant people come is told to the operator alone: it may be another's.
    assert "People come into" not in visitor.page
    operator = Visitor(visitor.server)
    operator.sign_in(people.person(world, "*"), "/settings")
    operator.see("/settings/providers")
    assert "People come into" in operator.page
    assert SECRET not in operator.page


def test_a_language_is_chosen_before_anybody_signs_in_and_kept(visitor, owner):
    visitor.see("/sign-in?next=/settings")
    assert '<html lang="en"' in visitor.page
    form = {"language": pseudo.TAG, "next": "/sign-in?next=/settings"}
    answer = visitor.send("/language", form)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=/settings")
    kept = next(text for name, text in answer.pairs if name == "set-cookie" and COOKIE in text)
    assert "Max-Age=31536000" in kept
    visitor.see("/sign-in?next=/settings")
    assert f'<html lang="{pseudo.TAG}" dir="ltr">' in visitor.page
    assert said("Sign in") in visitor.page
    form = {"login": owner.login, "password": owner.password, "next": "/settings"}
    assert visitor.send("/sign-in", form).status == 303
    visitor.see("/settings")
    assert said("Language and looks") in visitor.page
    # The browser's own wish counts less than the choice.
    answer = visitor.ask("GET", "/settings", Accept_Language="en")
    assert said("Settings").encode() in answer.body


def test_a_refusal_is_told_in_the_readers_language_and_the_rules_words_are_data(visitor, owner):
    visitor.sign_in(owner)
    visitor.cookies[COOKIE] = pseudo.TAG
    visitor.see("/settings/lifetimes/set?kind=nothing")
    assert 'lang="en" translate="no">there is no kind' in visitor.page
    assert visitor.ask("POST", "/security", {}).status == 405
    refused = visitor.send("/language", {"language": "xx", "next": "/"})
    assert said("There is no such language here.") in refused.body.decode()


@pytest.mark.parametrize("wrong", ["xx", "", "../en", "EN", "en; Path=/evil", "en\r\nX-A: b"])
def test_a_language_that_is_not_there_is_refused(visitor, wrong):
    visitor.see("/sign-in")
    answer = visitor.send("/language", {"language": wrong, "next": "/sign-in"})
    assert answer.status == 422
    assert COOKIE not in visitor.cookies


@pytest.mark.parametrize("following", ["https://evil.example/", "//evil.example", "/\\evil", ""])
def test_a_choice_of_language_leads_nowhere_else(visitor, following):
    visitor.see("/sign-in")
    answer = visitor.send("/language", {"language": "en", "next": following})
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_a_choice_of_another_site_is_refused(visitor):
    visitor.see("/sign-in")
    form = {"language": pseudo.TAG, "next": "/"}
    assert visitor.send("/language", form, Sec_Fetch_Site="cross-site").status == 403
    visitor.token = "0" * 64
    assert visitor.send("/language", form).status == 403
    assert COOKIE not in visitor.cookies


@pytest.mark.parametrize("nonsense", ["xx", "en-XA-and-more", '"><script>', "%0d%0a", "é"])
def test_a_cookie_of_nonsense_is_no_choice(visitor, nonsense):
    visitor.cookies[COOKIE] = nonsense
    answer = visitor.see("/sign-in")
    assert answer.status == 200
    assert '<html lang="en" dir="ltr">' in visitor.page
