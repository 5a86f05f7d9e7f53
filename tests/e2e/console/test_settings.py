"""Settings in a real browser: the language, the expiry policy, what happens to leaked secrets."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.pseudo import TAG, pseudo

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
KIND = "wayscloud.service_key"
SCRIPT = pytest.mark.parametrize("script", [True, False])


@SCRIPT
def test_a_policy_is_set_refused_where_it_is_wrong_and_taken_away(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/settings")
    shown.get_by_role("link", name="Expiry policy").click()
    shown.get_by_role("link", name=f"Set a policy of {KIND}").click()
    shown.get_by_label("Lives at most").fill("ninety days")
    shown.get_by_label("Rotate after").fill("30d")
    shown.get_by_role("button", name="Save").click()
    field = shown.get_by_label("Lives at most")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("ninety days")
    expect(shown.get_by_text("is not a duration")).to_be_visible()
    field.fill("90d")
    shown.get_by_role("button", name="Save").click()
    expect(shown.get_by_role("status")).to_contain_text("It holds from now on")
    row = shown.get_by_role("row", name=KIND)
    expect(row).to_contain_text("90d")
    expect(row).to_contain_text("30, 7, 1 days")
    row.get_by_role("link", name="Take away the policy").click()
    expect(shown.get_by_role("heading", level=1)).to_contain_text(f"of {KIND} away?")
    shown.get_by_role("button", name="Take it away").click()
    expect(shown.get_by_role("row", name=KIND)).to_contain_text("as every other kind")


def test_a_policy_is_set_with_the_keyboard_alone(desk, page, owner):
    sign_in(page, desk, owner, "/settings/lifetimes/set?kind=*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Expiry policy of every other kind")
    wanted = page.get_by_label("Lives at most")
    for _ in range(40):
        if wanted.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.type("365d")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("It holds from now on")
    expect(page.get_by_role("row", name="every other kind").first).to_contain_text("365d")


@SCRIPT
def test_what_happens_to_leaked_secrets_is_chosen_by_kind(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/settings/leaks")
    shown.get_by_label(f"What happens to {KIND}").select_option("notify")
    shown.get_by_role("button", name=f"Save: {KIND}").click()
    expect(shown.get_by_role("status")).to_have_text("It holds from now on.")
    expect(shown.get_by_label(f"What happens to {KIND}")).to_have_value("notify")
    expect(shown.get_by_role("row", name=KIND)).to_contain_text("its own")


@SCRIPT
def test_overdue_credentials_are_searched(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/settings/lifetimes/overdue")
    expect(shown.locator("#results")).to_contain_text("Nothing is overdue")
    shown.get_by_label("Name or id").fill("uploader")
    shown.get_by_label("Kind").select_option(KIND)
    shown.get_by_role("button", name="Search").click()
    expect(shown.locator("#results")).to_contain_text("Nothing of that sort is overdue.")
    expect(shown.get_by_label("Name or id")).to_have_value("uploader")


@SCRIPT
def test_a_language_is_chosen_before_and_after_signing_in(pseudo_desk, page, plain, script):
    shown = page if script else plain
    shown.goto(f"{pseudo_desk.origin}/sign-in?next=/settings")
    expect(shown.get_by_role("heading", level=1)).to_have_text("Sign in")
    shown.get_by_label("Language").select_option(TAG)
    shown.get_by_role("button", name="Choose").click()
    expect(shown.get_by_role("heading", level=1)).to_have_text(pseudo("Sign in"))
    assert shown.url.endswith("/sign-in?next=/settings")
    shown.get_by_label(pseudo("Language")).select_option("en")
    shown.get_by_role("button", name=pseudo("Choose")).click()
    expect(shown.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_a_page_that_is_not_there_is_a_page(desk, page, owner):
    page.goto(f"{desk.origin}/nothing/here")
    expect(page.get_by_role("heading", level=1)).to_have_text("This can’t be done")
    expect(page.get_by_text("There is no such page here.")).to_be_visible()
    sign_in(page, desk, owner, "/settings/nothing")
    expect(page.get_by_text("There is no such page here.")).to_be_visible()
    expect(page.get_by_role("link", name="Settings")).to_be_visible()
