"""The operator reviews requests in a real browser: with and without JavaScript, by keyboard too."""

import itertools
import secrets

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.e2e.keyboard import tab_to

from latchgate.manage import applications
from latchgate.manage.applications import ApplicationSpec

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

_numbers = itertools.count(1)


def ask(desk):
    """Make a request that no other test has."""
    name = f"Request {next(_numbers)} of {secrets.token_hex(3)}"
    spec = ApplicationSpec(name, "Example", "a@example.com", "Albums.", "individual")
    found, _ = applications.request(
        desk.world.store, spec, address=None, entropy=secrets.token_bytes
    )
    return found


@pytest.mark.parametrize("script", [True, False])
def test_a_request_is_found_approved_suspended_and_reinstated(desk, page, plain, operator, script):
    shown, made = page if script else plain, ask(desk)
    sign_in(shown, desk, operator, "/review")
    expect(shown.get_by_role("heading", name=made.name)).to_be_visible()
    shown.get_by_label("Search names").fill(made.name)
    shown.get_by_label("Search names").press("Enter")
    expect(shown.locator("#results tbody tr")).to_have_count(1)
    shown.locator("#results").get_by_role("link", name=made.name).click()
    for verb, state in (
        ("Approve", "approved"),
        ("Suspend", "suspended"),
        ("Reinstate", "approved"),
    ):
        shown.get_by_role("link", name=verb, exact=True).click()
        shown.get_by_label("Reason").fill("It is well known.")
        shown.get_by_role("button", name=verb).click()
        expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
        expect(shown.locator(".heads .state")).to_have_text(state)
    assert applications.shown(desk.world.store, made.id).reason == "It is well known."


def test_a_request_is_refused_by_keyboard_alone(desk, page, operator):
    made = ask(desk)
    sign_in(page, desk, operator, "/review")
    expect(page.get_by_role("heading", name=made.name)).to_be_visible()
    tab_to(page, f"Refuse {made.name}")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Refuse {made.name}?")).to_be_visible()
    tab_to(page, "Reason")
    page.keyboard.type("Nobody answers at its address.")
    tab_to(page, "Refuse")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("It was refused.")
    assert applications.shown(desk.world.store, made.id).state == "refused"
