"""People at the console, in a real browser: every way to sign in, and out again.

The browser is Debian's Chromium, its passkeys are in an authenticator that it makes up itself
(Chrome DevTools Protocol, WebAuthn.addVirtualAuthenticator).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests import people
from tests.e2e.desk import Desk, a_chromium, a_context, a_desk, a_page, sign_in
from tests.people import Person
from tests.world import http_request

from latchgate.signin import session
from latchgate.signin.totp import STEP_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[Desk]:
    with a_desk(tmp_path_factory.mktemp("console")) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_chromium() as made:
        yield made


@pytest.fixture
def context(chromium) -> Iterator[BrowserContext]:
    with a_context(chromium) as made:
        yield made


@pytest.fixture
def page(context) -> Iterator[Page]:
    with a_page(context) as made:
        yield made


@pytest.fixture
def person(desk) -> Person:
    """A new user with a password."""
    return people.person(desk.world)


def cookie(context: BrowserContext, name: str = session.COOKIE) -> dict[str, Any] | None:
    return next((dict(one) for one in context.cookies() if one["name"] == name), None)


def secret(context: BrowserContext) -> str:
    held = cookie(context)
    assert held is not None
    return str(held["value"])


def code_of(key: str, *, steps: int = 0) -> str:
    """Return the code that an app shows now, or some steps later: one off is taken too."""
    return pyotp.TOTP(key.replace(" ", "")).at(time.time() + steps * STEP_SECONDS)


def add_app(page: Page) -> tuple[str, str, list[str]]:
    """Add an authenticator app; returns its secret, the code used, and the recovery codes."""
    page.get_by_role("button", name="Add an authenticator app").click()
    expect(page.locator(".qr svg")).to_be_visible()
    key = page.locator(".secret").inner_text()
    code = code_of(key)
    page.get_by_label("Code that the app shows now").fill(code)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    return key, code, page.locator(".codes code").all_inner_texts()


def with_authenticator(context: BrowserContext, page: Page) -> tuple[Any, str]:
    """Give the browser a passkey authenticator whose user is always verified."""
    wire = context.new_cdp_session(page)
    wire.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = wire.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return wire, made["authenticatorId"]


def add_passkey(page: Page) -> None:
    page.get_by_label("Name of the new passkey").fill("My laptop")
    page.get_by_role("button", name="Add a passkey").click()


def test_the_password_that_init_made_signs_in(desk, page):
    first = desk.server.first["admin"]
    sign_in(page, desk, Person("", "", "", first["name"], first["password"]))
    expect(page).to_have_url(f"{desk.origin}/security")


def test_a_password_signs_in_and_signing_out_ends_it(desk, context, page, person):
    page.goto(f"{desk.origin}/security")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=%2Fsecurity$"))
    page.get_by_label("Login name").fill(person.login)
    page.get_by_label("Password").fill("wrong " + person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The login name or the password is wrong.")
    assert cookie(context) is None
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{desk.origin}/security")
    held = cookie(context)
    assert held is not None
    kept = {"httpOnly": True, "secure": True, "sameSite": "Lax", "path": "/", "expires": -1}
    assert {name: held[name] for name in kept} == kept
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert cookie(context) is None
    stolen = {"Cookie": f"{held['name']}={held['value']}", "Host": desk.origin[7:]}
    address = desk.server.addresses["console"] + "/security"
    assert http_request("GET", address, headers=stolen).status == 303


def test_it_works_on_the_number_of_this_machine_too_and_says_where_passkeys_do(
    desk, context, page, person
):
    by_number = Desk(desk.server, desk.world, desk.server.addresses["console"])
    sign_in(page, by_number, person)
    expect(page).to_have_url(f"{by_number.origin}/security")
    link = page.get_by_role("link", name=desk.origin)
    expect(link).to_have_attribute("href", f"{desk.origin}/security")
    expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)


def test_a_code_of_an_app_is_asked_for_and_works_once(desk, context, page, person):
    sign_in(page, desk, person)
    key, used, _ = add_app(page)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("cell", name="Authenticator app", exact=True)).to_be_visible()
    context.clear_cookies()
    sign_in(page, desk, person)
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    assert cookie(context) is None
    page.goto(f"{desk.origin}/security")  # no step is skipped by its address
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{desk.origin}/sign-in/second")
    for wrong in ("000000", used):
        page.get_by_label("Code of your authenticator app").fill(wrong)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong, or was used already")
    page.get_by_label("Code of your authenticator app").fill(code_of(key, steps=1))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{desk.origin}/security")
    page.goto(f"{desk.origin}/sign-in/second")
    expect(page).to_have_url(f"{desk.origin}/overview")  # it is over, and nobody is asked again


def test_a_recovery_code_signs_in_once(desk, context, page, person):
    sign_in(page, desk, person)
    _, _, codes = add_app(page)
    assert len(set(codes)) == 10
    for expected in ("9 codes are left", None):
        context.clear_cookies()
        sign_in(page, desk, person)
        page.get_by_label("or a recovery code").fill(codes[3].upper())
        page.get_by_role("button", name="Sign in").click()
        if expected is not None:
            expect(page.get_by_text(expected)).to_be_visible()
        else:
            expect(page.get_by_role("alert")).to_contain_text("wrong, or was used already")


def test_a_passkey_signs_in_without_a_name_or_a_password(desk, context, page, person):
    sign_in(page, desk, person)
    wire, authenticator = with_authenticator(context, page)
    add_passkey(page)
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("rowheader", name="My laptop")).to_be_visible()
    context.clear_cookies()
    page.goto(f"{desk.origin}/sign-in?next=/security/password")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{desk.origin}/security/password")
    methods = [one.methods for one in session.listed(desk.world.store, person.id, now=time.time())]
    assert ("pop", "user", "mfa") in methods
    context.clear_cookies()
    sign_in(page, desk, person)  # the password alone does no more
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(f"{desk.origin}/security")
    # One whose user is not verified is a thing somebody found, not a person.
    context.clear_cookies()
    wire.send(
        "WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False}
    )
    page.goto(f"{desk.origin}/sign-in")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert cookie(context) is None


def test_a_passkey_that_was_removed_opens_nothing(desk, context, page, person):
    sign_in(page, desk, person)
    with_authenticator(context, page)
    add_passkey(page)
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("button", name="Remove My laptop").click()
    expect(page.get_by_role("status")).to_have_text("It was removed.")
    context.clear_cookies()
    page.goto(f"{desk.origin}/sign-in")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert").first).to_have_text("That passkey could not be used here.")
    assert cookie(context) is None


def test_a_new_password_ends_every_other_session_and_gives_this_one_another_secret(
    desk, chromium, context, page, person
):
    sign_in(page, desk, person)
    elsewhere = chromium.new_context()
    other = elsewhere.new_page()
    sign_in(other, desk, person)
    expect(other).to_have_url(f"{desk.origin}/security")
    before = secret(context)
    page.reload()
    expect(page.get_by_role("button", name="End all others")).to_be_visible()
    page.get_by_role("link", name="Change the password").click()
    page.get_by_label("Current password").fill(person.password)
    for field in ("New password", "New password again"):
        page.get_by_label(field, exact=True).fill("orange kettle under nine bridges")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status")).to_contain_text("The password was changed")
    assert secret(context) != before
    expect(page.get_by_role("button", name="End all others")).to_have_count(0)
    other.reload()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    elsewhere.close()


def test_a_disabled_user_is_signed_out_at_once(desk, context, page, person):
    sign_in(page, desk, person)
    expect(page).to_have_url(f"{desk.origin}/security")
    assert desk.server.call("POST", f"/manage/v1/users/{person.id}/disable").status == 200
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert desk.server.call("POST", f"/manage/v1/users/{person.id}/enable").status == 200
    page.goto(f"{desk.origin}/security")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_everything_but_passkeys_works_without_script(desk, chromium, person):
    plain = chromium.new_context(java_script_enabled=False)
    page = plain.new_page()
    sign_in(page, desk, person)
    add_app(page)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    plain.close()


def test_no_secret_of_a_sign_in_reaches_the_log_or_the_journal(desk, context, page, person):
    sign_in(page, desk, person)
    key, _, codes = add_app(page)
    told = desk.server.log + repr([tuple(row) for row in desk.world.journal()])
    for one in (person.password, key.replace(" ", ""), codes[0], secret(context)):
        assert one not in told
