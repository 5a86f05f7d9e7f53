"""OAuth2 clients in a real browser: made, given another secret, ended; let act in a tenant."""

import pytest
from playwright.sync_api import expect
from tests.acting import acting_client, service_user
from tests.e2e.desk import sign_in
from tests.e2e.keyboard import tab_to

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_a_client_is_made_changed_given_another_secret_and_ended(
    desk, page, plain, operator, script
):
    shown = page if script else plain
    sign_in(shown, desk, operator, "/clients")
    shown.get_by_role("link", name="New client").click()
    expect(shown.get_by_label("Application", exact=True)).to_be_hidden()
    shown.get_by_label("Name", exact=True).fill("Albums")
    shown.get_by_label("Vendor").fill("Example")
    shown.get_by_label("Contact").fill("keys@example.com")
    shown.get_by_label("What it does").fill("Albums.")
    shown.get_by_label("Redirect URIs").fill("https://albums.example/callback")
    shown.get_by_text("Storage 0 of").click()
    shown.get_by_label("storage:read").check()
    shown.get_by_role("button", name="Make the client").click()
    first = shown.locator("#part-2").inner_text()
    shown.get_by_role("link", name="I have kept it").click()
    expect(shown.get_by_role("heading", name="OAuth2 client of Albums")).to_be_visible()
    assert first not in shown.content()
    shown.get_by_role("link", name="Change").click()
    shown.get_by_label("storage:write").check()
    shown.get_by_role("button", name="Save").click()
    expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
    shown.get_by_role("link", name="New secret").click()
    shown.get_by_label("The old secret ends").select_option("in a week")
    shown.get_by_role("button", name="Make the secret").click()
    second = shown.locator("#part-2").inner_text()
    assert second != first
    shown.get_by_role("link", name="I have kept it").click()
    expect(shown.get_by_text("being replaced")).to_be_visible()
    shown.get_by_role("link", name="Revoke").first.click()
    shown.get_by_role("button", name="Revoke").click()
    expect(shown.get_by_role("status")).to_contain_text("The secret was revoked.")
    shown.get_by_role("link", name="Switch off").click()
    shown.get_by_role("button", name="Switch off").click()
    expect(shown.get_by_role("status")).to_contain_text("It is switched off")
    shown.get_by_role("button", name="Switch on").click()
    shown.get_by_role("link", name="End it for good").click()
    shown.get_by_role("button", name="End it for good").click()
    expect(shown.get_by_role("status")).to_contain_text("It has ended")
    expect(shown.get_by_role("link", name="Change")).to_have_count(0)


def test_a_client_is_let_act_as_a_service_user_by_keyboard_alone(desk, page, owner):
    world = desk.world
    robot = service_user(world, owner, "storage:read")
    made = acting_client(world, world.engine().policy, owner, "storage:read")
    sign_in(page, desk, owner, "/clients")
    expect(page.get_by_role("row", name="Photos")).to_contain_text("nobody")
    tab_to(page, "Say as whom Photos acts")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Let Photos act")).to_be_visible()
    tab_to(page, "Let it act")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Receipt: journal number")
    expect(page.get_by_text(robot)).to_be_visible()
    page.get_by_role("link", name="All that act by themselves").click()
    expect(page.get_by_role("row", name="Photos")).to_contain_text(robot)
    assert made.id in page.content()
