"""An alert is made, changed and deleted, with a mouse or without, with JavaScript or without."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_an_alert_of_money_is_made_changed_and_deleted(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/alerts")
    expect(shown.get_by_text("Nothing is watched yet.")).to_be_visible()
    shown.get_by_role("link", name="Make the first alert").click()
    shown.get_by_label("Name").fill("Spending")
    shown.get_by_label("What it watches").select_option("billing")
    # What the kind takes no part of is not asked for.
    expect(shown.get_by_label("Raise it at this many")).to_be_hidden()
    shown.get_by_label("Raise it at this amount in a month").fill("1,50")
    shown.get_by_label("Currency").fill("nok")
    shown.get_by_label("Added up for").select_option("project")
    shown.get_by_role("button", name="Make it").click()
    wrong = shown.get_by_label("Raise it at this amount in a month")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_have_value("1,50")
    wrong.fill("1.50")
    shown.get_by_role("button", name="Make it").click()
    expect(shown.get_by_role("heading", name="Alert: Spending")).to_be_visible()
    expect(shown.get_by_text("1.50 NOK")).to_be_visible()
    expect(shown.get_by_text("It was not raised so far.")).to_be_visible()
    shown.get_by_role("link", name="Change it").click()
    shown.get_by_label("Raise it at this amount in a month").fill("2")
    shown.get_by_label("It is on").uncheck()
    shown.get_by_role("button", name="Save").click()
    expect(shown.get_by_text("2.00 NOK")).to_be_visible()
    shown.get_by_role("link", name="All alerts").click()
    shown.get_by_label("Find an alert").fill("spend")
    shown.get_by_role("button", name="Search").click()
    shown.get_by_role("link", name="Spending").click()
    shown.get_by_role("link", name="Delete it").click()
    expect(shown.get_by_role("heading", name="Delete the alert Spending?")).to_be_visible()
    shown.get_by_role("button", name="Delete it").click()
    expect(shown.get_by_text("Nothing is watched yet.")).to_be_visible()


def test_an_alert_is_made_with_the_keyboard_alone(desk, page, owner):
    sign_in(page, desk, owner, "/alerts/new")
    name = page.get_by_label("Name")
    expect(name).to_be_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        if name.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.type("Requests")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("1000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Alert: Requests")).to_be_visible()
    expect(page.get_by_text("The alert was made.")).to_be_visible()
