"""An access key made, exchanged and deleted in a browser, with the password in the same form."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.e2e.keyboard import tab_to_field

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def exchanged(desk, key_id, secret):
    credential = {"id": key_id, "secret": secret}
    identity = {"methods": ["application_credential"], "application_credential": credential}
    told = {"auth": {"identity": identity}}
    return desk.server.call("POST", "/identity/v3/auth/tokens", told).status == 201


@pytest.mark.parametrize("script", [True, False])
def test_a_key_is_made_exchanged_and_deleted(desk, page, plain, owner, script):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/access-keys")
    shown.get_by_role("link", name="Make the first one").click()
    shown.get_by_label("Name", exact=True).fill("deploy")
    shown.get_by_label("role", exact=True).check()
    shown.get_by_text("More: which requests").click()
    shown.get_by_label("Access rules").fill("GET /v1")
    shown.get_by_role("button", name="Create the access key").click()
    expect(shown.locator("#access_rules-fault")).to_contain_text("GET:identity")
    expect(shown.get_by_label("role", exact=True)).to_be_checked()
    shown.get_by_label("Access rules").fill("")
    shown.get_by_role("button", name="Create the access key").click()
    expect(shown.get_by_role("heading", name="Your new access key")).to_be_visible()
    key_id, _, user_id, secret = (
        shown.locator(f"#part-{number}").inner_text() for number in range(1, 5)
    )
    assert user_id == owner.id
    assert exchanged(desk, key_id, secret)
    with shown.expect_download() as saved:
        shown.get_by_role("link", name="Download clouds.yaml").click()
    assert secret in saved.value.path().read_text()
    shown.get_by_role("link", name="I have kept it").click()
    assert secret not in shown.content()
    shown.get_by_role("link", name="Delete deploy").click()
    shown.get_by_label("Your password").fill("not the password")
    shown.get_by_role("button", name="Delete it").click()
    expect(shown.locator("#password-fault")).to_be_visible()
    expect(shown.get_by_label("Your password")).to_have_value("")
    assert exchanged(desk, key_id, secret)
    shown.get_by_label("Your password").fill(owner.password)
    shown.get_by_role("button", name="Delete it").click()
    expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
    assert not exchanged(desk, key_id, secret)


def test_a_key_is_made_and_deleted_by_keys_alone(desk, page, owner):
    sign_in(page, desk, owner, "/access-keys/new")
    expect(page.get_by_label("Name", exact=True)).to_be_visible()
    tab_to_field(page, "name")
    page.keyboard.type("by keys")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your new access key")).to_be_visible()
    key_id = page.locator("#part-1").inner_text()
    page.goto(f"{desk.origin}/access-keys/{key_id}/delete")
    tab_to_field(page, "password")
    page.keyboard.type(owner.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Receipt: journal number")
