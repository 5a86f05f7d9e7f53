"""Apps connection switched on, reissued and off in a browser; each change is asked for once."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.e2e.keyboard import tab_to_field

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_it_is_switched_on_reissued_and_switched_off(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/apps")
    shown.get_by_role("link", name="Switch on: TeraCLOUD").click()
    login = f"app-{owner.login}"
    shown.get_by_label("Connection ID").fill(login)
    shown.get_by_role("button", name="Switch it on").click()
    expect(shown.locator("#part-2")).to_have_text(login)
    first = shown.locator("#part-3").inner_text()
    shown.get_by_role("link", name="I have kept it").click()
    card = shown.get_by_role("region", name="TeraCLOUD")
    expect(card).to_contain_text(login)
    card.get_by_text("What it opens").click()
    expect(card.get_by_text("Delete files")).to_be_visible()
    shown.get_by_role("link", name="Reissue the password: TeraCLOUD").click()
    expect(shown.get_by_role("main")).to_contain_text("ends at once")
    shown.get_by_role("button", name="Reissue it").click()
    second = shown.locator("#part-3")
    expect(second).not_to_have_text(first)
    shown.get_by_role("link", name="I have kept it").click()
    shown.get_by_role("link", name="Switch off: TeraCLOUD").click()
    shown.get_by_role("button", name="Switch it off").click()
    expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
    shown.get_by_role("link", name="Back to apps connection").click()
    expect(shown.get_by_role("link", name="Switch on: TeraCLOUD")).to_be_visible()


def test_it_is_switched_on_by_keys_alone(desk, page, owner):
    sign_in(page, desk, owner, "/apps/teracloud/on")
    expect(page.get_by_label("Connection ID")).to_be_visible()
    tab_to_field(page, "login")
    page.keyboard.press("Control+A")
    page.keyboard.type(f"keys-{owner.login}")
    page.keyboard.press("Enter")
    expect(page.locator("#part-2")).to_have_text(f"keys-{owner.login}")
