"""Signing in: what is wrong is told to nobody, and no step is skipped."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pyotp
import pytest
import sqlalchemy as sa
from tests import people
from tests.doors.console.visitor import Visitor
from tests.people import Person
from tests.world import Answer

from latchgate.core.model import Noun
from latchgate.doors.console.frame import CHALLENGES
from latchgate.signin import ceremony, session
from latchgate.signin.totp import STEP_SECONDS
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SESSION, BROWSER = session.COOKIE, ceremony.COOKIE


def code(key: str, steps: int = 0) -> str:
    return pyotp.TOTP(key).at(time.time() + steps * STEP_SECONDS)


def until_throttled(guess: Callable[[int], Answer]) -> Answer:
    """Guess until no guess is free: each wait doubles, so it is soon longer than a slow machine."""
    for n in range(15):
        answer = guess(n)
        if answer.status == 429:
            assert n >= 5
            return answer
        assert answer.status == 403
    raise AssertionError("fifteen guesses were free")


@pytest.fixture
def protected(server, person) -> tuple[Person, str, list[str]]:
    """Somebody with an app, its secret, and recovery codes."""
    visitor = Visitor(server)
    visitor.sign_in(person)
    visitor.see("/security")
    assert visitor.send("/security/app/new").headers["location"] == "/security/app"
    visitor.see("/security/app")
    key = re.findall(r'class="secret">([A-Z2-7 ]+)<', visitor.page)[0].replace(" ", "")
    made = visitor.send("/security/app", {"code": code(key, -1), "name": "phone"})
    assert made.status == 200, made.body
    return person, key, re.findall(r"<li><code>([^<]+)<", made.body.decode())


def test_a_right_password_opens_a_session_with_new_secrets_and_leads_on(visitor, person):
    visitor.see("/sign-in")
    before = dict(visitor.cookies)
    answer = visitor.sign_in(person, "/security/password")
    assert (answer.status, answer.headers["location"]) == (303, "/security/password")
    assert visitor.cookies[BROWSER] != before[BROWSER]
    assert visitor.is_signed_in()
    again = visitor.see("/sign-in?next=/device?user_code=A")
    assert (again.status, again.headers["location"]) == (303, "/device?user_code=A")


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example"]
)
def test_nobody_is_sent_to_another_origin(visitor, person, elsewhere):
    answer = visitor.sign_in(person, elsewhere)
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_a_session_that_a_visitor_brings_is_not_taken_over(visitor, person):
    visitor.cookies[SESSION] = "A" * 32
    visitor.sign_in(person)
    assert visitor.cookies[SESSION] != "A" * 32
    assert visitor.is_signed_in()


def test_a_wrong_password_an_unknown_name_and_a_disabled_user_are_told_alike(
    visitor, world, person
):
    gone = people.person(world)
    disable = sa.update(schema.user).where(schema.user.c.id == gone.id).values(active=False)
    world.change(Noun.USER, gone.id, disable)
    pages = []
    for login, password in (
        (person.login, "wrong" + person.password),
        ("nobody-of-this-name", person.password),
        (gone.login, gone.password),
        (person.login, "x" * 2_000),
        (person.login, ""),
    ):
        visitor.see("/sign-in")
        form = {"login": login, "password": password, "next": "/"}
        answer = visitor.send("/sign-in", form)
        text = answer.body.decode().replace(f'value="{login}"', "")
        pages.append((answer.status, text))
        assert SESSION not in visitor.cookies
    assert set(pages) == {pages[0]}
    assert pages[0][0] == 403


def test_guesses_are_throttled_for_names_that_nobody_has_as_for_others(server, person):
    for name, address in ((person.login, "192.0.2.77"), ("nobody-at-all", "192.0.2.78")):
        visitor = Visitor(server, address)

        def guess(n: int, name: str = name, visitor: Visitor = visitor) -> Answer:
            visitor.see("/sign-in")
            form = {"login": name, "password": f"wrong number {n}", "next": "/"}
            return visitor.send("/sign-in", form)

        refused = until_throttled(guess)
        assert int(refused.headers["retry-after"]) > 0


def test_the_password_alone_opens_nothing_for_whoever_has_a_second_factor(visitor, protected):
    person, _, _ = protected
    answer = visitor.sign_in(person)
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in/second")
    assert SESSION not in visitor.cookies
    assert not visitor.is_signed_in()
    for path in ("/security/app/new", "/security/codes", "/security/password"):
        answer = visitor.send(path)
        assert answer.status == 303
        assert answer.headers["location"].startswith("/sign-in?")


def test_a_second_step_without_the_first_leads_back_to_it(visitor, protected):
    _, key, _ = protected
    visitor.see("/sign-in")
    assert visitor.see("/sign-in/second").headers["location"] == "/sign-in"
    answer = visitor.send("/sign-in/second", {"code": code(key)})
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    assert SESSION not in visitor.cookies


def test_the_first_step_of_one_browser_is_none_in_another(server, protected):
    person, key, _ = protected
    here, there = Visitor(server), Visitor(server)
    here.sign_in(person)
    there.see("/sign-in")
    assert there.send("/sign-in/second", {"code": code(key)}).headers["location"] == "/sign-in"
    assert SESSION not in there.cookies


def test_a_code_works_once_and_so_does_the_first_step(server, protected):
    person, key, _ = protected
    first, second = Visitor(server), Visitor(server)
    first.sign_in(person)
    second.sign_in(person)
    for visitor in (first, second):
        visitor.see("/sign-in/second")
    kept = dict(first.cookies)
    used = code(key)
    assert first.send("/sign-in/second", {"code": used}).headers["location"] == "/security"
    assert second.send("/sign-in/second", {"code": used}).status == 403
    assert SESSION not in second.cookies
    replayed = Visitor(server, cookies=kept)
    replayed.token = first.token
    answer = replayed.send("/sign-in/second", {"code": code(key, 1)})
    assert answer.headers["location"] == "/sign-in"
    assert SESSION not in replayed.cookies


def test_wrong_codes_are_throttled(server, protected):
    person, _, _ = protected
    visitor = Visitor(server, "192.0.2.80")
    visitor.sign_in(person)
    visitor.see("/sign-in/second")
    until_throttled(lambda n: visitor.send("/sign-in/second", {"code": f"{n:06}"}))
    assert SESSION not in visitor.cookies


def test_a_password_that_changed_meanwhile_ends_the_sign_in_half_way(visitor, world, protected):
    person, key, _ = protected
    visitor.sign_in(person)
    visitor.see("/sign-in/second")
    people.replace_password(world, person)
    answer = visitor.send("/sign-in/second", {"code": code(key)})
    assert answer.headers["location"] == "/sign-in"
    assert SESSION not in visitor.cookies


def test_a_recovery_code_works_once_and_its_use_is_in_the_journal(server, world, protected):
    person, _, codes = protected
    first, second = Visitor(server), Visitor(server)
    for visitor in (first, second):
        visitor.sign_in(person)
        visitor.see("/sign-in/second")
    assert first.send("/sign-in/second", {"code": codes[0]}).headers["location"] == "/security"
    assert second.send("/sign-in/second", {"code": codes[0]}).status == 403
    (row,) = [
        one for one in world.journal() if one.action == "recovery.use" and one.record == person.id
    ]
    assert '"codes":9' in row.detail
    assert row.address == "192.0.2.1"


def test_a_network_of_the_user_or_of_the_password_holds_for_signing_in_too(server, world, person):
    inside = '["198.51.100.0/24"]'
    user, credential = schema.user, schema.credential
    bound = sa.update(user).where(user.c.id == person.id).values(networks=inside)
    world.change(Noun.USER, person.id, bound)
    outside = Visitor(server)
    assert outside.sign_in(person).status == 403
    assert SESSION not in outside.cookies
    assert Visitor(server, "198.51.100.7").sign_in(person).status == 303
    free = sa.update(user).where(user.c.id == person.id).values(networks=None)
    own = credential.c.owner_id == person.id
    held = sa.update(credential).where(own).values(networks=inside)
    world.change(Noun.USER, person.id, free, held)
    assert Visitor(server).sign_in(person).status == 403
    assert Visitor(server, "198.51.100.7").sign_in(person).status == 303


def test_another_person_at_the_same_browser_has_a_session_of_their_own(server, world, person):
    visitor, other = Visitor(server), people.person(world)
    visitor.sign_in(person)
    before = visitor.cookies[SESSION]
    visitor.see("/sign-in?again=1")
    form = {"login": other.login, "password": other.password, "next": "/security"}
    visitor.send("/sign-in", form)
    visitor.see("/security")
    assert other.login in visitor.page
    assert session.resume(world.store, before, now=time.time()) is None


def test_passkeys_are_refused_where_the_address_has_no_name(visitor):
    visitor.see("/sign-in")
    assert "localhost" in visitor.page
    assert visitor.send("/sign-in/passkey/options").status == 409
    assert visitor.send("/sign-in/passkey", {"credential": "{}", "next": "/"}).status == 409


def test_challenges_are_counted_by_address_because_anybody_may_ask(server):
    visitor = Visitor(server, "192.0.2.90")
    port = visitor.origin.rpartition(":")[2]
    named = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
    visitor.see("/sign-in")
    path = "/sign-in/passkey/options"
    asked = [visitor.send(path, **named).status for _ in range(CHALLENGES)]
    assert set(asked) == {200}
    # However slow the machine: at some point more are asked for in a minute than there are.
    assert any(visitor.send(path, **named).status == 429 for _ in range(5 * CHALLENGES))
    other = Visitor(server, "192.0.2.91")
    other.see("/sign-in")
    assert other.send(path, **named).status == 200


@pytest.mark.parametrize("credential", ["", "{}", "[]", "null", '{"id": "a"}', "{" * 5_000])
def test_what_is_no_passkey_signs_nobody_in(visitor, credential):
    port = visitor.origin.rpartition(":")[2]
    named = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
    visitor.see("/sign-in")
    for begun in (False, True):
        if begun:
            options = visitor.send("/sign-in/passkey/options", **named)
            assert options.status == 200, options.body
            assert options.json["publicKey"]["userVerification"] == "required"
        form = {"credential": credential, "next": "/"}
        assert visitor.send("/sign-in/passkey", form, **named).status == 403
        assert SESSION not in visitor.cookies
