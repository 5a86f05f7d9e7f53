"""An API token made, used and deleted in a browser; with a script, without, and by keys alone."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.e2e.keyboard import tab_to_field

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def accepted(desk, token):
    return desk.server.call("GET", "/1.3/account", token=token).status == 200


@pytest.mark.parametrize("script", [True, False])
def test_a_token_is_made_used_and_deleted(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/tokens")
    shown.get_by_role("link", name="Make the first one").click()
    shown.get_by_label("Name", exact=True).fill("terraform")
    shown.get_by_label("Expires after").select_option("7d")
    shown.get_by_label("Addresses and networks").fill("10.0.0.0/8, nowhere")
    shown.get_by_role("button", name="Create the token").click()
    fault = shown.locator("#allowed_ip_ranges-fault")
    expect(fault).to_contain_text("nowhere")
    expect(shown.get_by_label("Addresses and networks")).to_have_value("10.0.0.0/8, nowhere")
    expect(shown.get_by_label("Expires after")).to_have_value("7d")
    shown.get_by_label("Addresses and networks").fill("10.0.0.0/8, 127.0.0.1")
    shown.get_by_role("button", name="Create the token").click()
    expect(shown.get_by_role("heading", name="Your new API token")).to_be_visible()
    token = shown.locator("#part-1").inner_text()
    assert accepted(desk, token)
    with shown.expect_download() as saved:
        shown.get_by_role("link", name="Download request.sh").click()
    assert token in saved.value.path().read_text()
    shown.get_by_role("link", name="I have kept it").click()
    expect(shown.get_by_role("row", name="terraform")).to_contain_text("10.0.0.0/8")
    assert token not in shown.content()
    shown.get_by_role("link", name="Delete terraform").click()
    shown.get_by_role("button", name="Delete it").click()
    expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
    assert not accepted(desk, token)
    shown.get_by_role("link", name="Back to your API tokens").click()
    expect(shown.get_by_role("link", name="Make the first one")).to_be_visible()


def test_a_token_is_made_by_keys_alone(desk, page, owner):
    sign_in(page, desk, owner, "/tokens/new")
    name = page.get_by_label("Name", exact=True)
    expect(name).to_be_visible()
    tab_to_field(page, "name")
    page.keyboard.type("by keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your new API token")).to_be_visible()
    assert accepted(desk, page.locator("#part-1").inner_text())


def test_the_list_follows_what_is_typed(desk, page, owner):
    sign_in(page, desk, owner, "/tokens/new")
    for name in ("alpha", "beta"):
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Create the token").click()
        expect(page.locator("#part-1")).to_be_visible()
        page.goto(f"{desk.origin}/tokens/new")
    page.goto(f"{desk.origin}/tokens")
    expect(page.get_by_role("row", name="beta")).to_be_visible()
    page.get_by_role("searchbox").type("alp")
    expect(page.get_by_role("row", name="beta")).to_have_count(0)
    expect(page.get_by_role("row", name="alpha")).to_be_visible()
    assert page.get_by_role("searchbox").input_value() == "alp"
