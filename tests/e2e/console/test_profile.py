"""The profile in a browser: the unique user id is there to copy, and leads on to what is one's."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def test_the_unique_user_id_is_copied(desk, context, page, owner):
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=desk.origin)
    sign_in(page, desk, owner, "/profile")
    page.get_by_role("button", name="Copy the unique user ID").click()
    expect(page.locator("[data-copied]")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == owner.id


def test_without_a_script_all_of_it_is_there(desk, plain, owner):
    sign_in(plain, desk, owner, "/profile")
    expect(plain.locator("#user-id")).to_have_text(owner.id)
    expect(plain.get_by_role("button", name="Copy the unique user ID")).to_be_hidden()
    plain.locator("article summary").click()
    expect(plain.get_by_text("Create and revoke keys")).to_be_visible()
    plain.get_by_role("main").get_by_role("link", name="Sign-in and security").click()
    expect(plain).to_have_url(f"{desk.origin}/security")
