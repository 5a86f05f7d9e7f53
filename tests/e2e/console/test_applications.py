"""What somebody does about applications in a real browser, with and without JavaScript."""

import pytest
from playwright.sync_api import expect
from tests.acting import consent
from tests.e2e.desk import sign_in
from tests.minting import approved, client, with_issuer
from tests.world import FILES

from latchgate.manage.applications import ApplicationSpec

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_what_was_allowed_is_withdrawn_and_an_application_blocked_and_unblocked(
    desk, page, plain, owner, script
):
    shown, world = page if script else plain, desk.world
    app = approved(world, ApplicationSpec("Sync", "Example", "a@example.com", "P", "individual"))
    made = client(world, with_issuer(FILES, 1))
    consent(world, made, owner.id)
    sign_in(shown, desk, owner, "/applications")
    shown.get_by_text("It may do 2 things").click()
    expect(shown.get_by_text("Show who one is and what one may do")).to_be_visible()
    shown.get_by_role("link", name="Withdraw Photos").click()
    expect(shown.get_by_role("heading", name="Withdraw Photos?")).to_be_visible()
    shown.get_by_role("button", name="Withdraw").click()
    expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
    expect(shown.get_by_text("No application may act for you.")).to_be_visible()
    shown.get_by_label("Block an application by its id").fill("app-nothing")
    shown.get_by_role("button", name="Block it").click()
    field = shown.get_by_label("Block an application by its id")
    expect(field).to_have_value("app-nothing")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill(app)
    shown.get_by_role("button", name="Block it").click()
    expect(shown.get_by_role("row", name="Sync")).to_contain_text("you")
    shown.get_by_role("button", name="Unblock Sync").click()
    expect(shown.get_by_text("You keep no application out.")).to_be_visible()


def test_the_request_form_is_reached_and_fits_a_narrow_screen(desk, page, owner):
    page.set_viewport_size({"width": 320, "height": 640})
    sign_in(page, desk, owner, "/applications")
    page.get_by_role("link", name="Request an application").click()
    page.get_by_label("Name of the application").fill("Albums")
    page.get_by_label("Vendor").fill("Example")
    page.get_by_label("E-mail").fill("a@example.com")
    page.get_by_label("What it does").fill("Albums.")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.get_by_role("button", name="Send the request").click()
    expect(page.get_by_text("Keep the token")).to_be_visible()
    page.get_by_role("link", name="Latchgate").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
