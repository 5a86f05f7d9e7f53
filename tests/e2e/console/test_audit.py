"""Somebody reads what was changed: narrows the list, opens a change, and goes on from there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.world import Owner

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_a_change_is_found_and_opened(desk, page, plain, owner, script):
    shown = page if script else plain
    whose = Owner(owner.tenant_id, owner.project_id, owner.id)
    key = desk.world.key("storage", scopes=["storage:read"], owner=whose, name="Nightly backup")
    desk.world.revoke(key)
    sign_in(shown, desk, owner, "/audit")
    expect(shown.get_by_role("link", name="session.begin")).to_be_visible()
    shown.get_by_label("To what").select_option("Credential")
    shown.get_by_label("What was done").fill("key.revoke")
    shown.get_by_role("button", name="Show", exact=True).click()
    expect(shown.get_by_role("link", name="session.begin")).to_have_count(0)
    expect(shown.get_by_role("row", name="Nightly backup")).to_have_count(1)
    shown.get_by_role("link", name="key.revoke").click()
    expect(shown.get_by_role("heading", level=1)).to_contain_text("Change ")
    changed = shown.get_by_role("row", name="revoked_at")
    expect(changed).to_contain_text("nothing")
    expect(changed.locator("time")).to_be_visible()
    shown.get_by_role("link", name="Everything done to it").click()
    expect(shown.get_by_role("link", name="key.create")).to_be_visible()
    expect(shown.get_by_label("Which, by its id")).to_have_value(key.id)


def test_a_list_is_narrowed_by_keyboard_alone(desk, page, owner):
    sign_in(page, desk, owner, "/audit")
    field = page.get_by_label("What was done")
    expect(field).to_be_visible()
    while not field.evaluate("one => one === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.type("login.create")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="session.begin")).to_have_count(0)
    expect(page.get_by_role("link", name="login.create")).to_be_visible()
    expect(page).to_have_url(
        f"{desk.origin}/audit?actor=&action=login.create&noun=&record=&since=&until="
    )


def test_the_operator_sees_every_tenant_and_the_signed_head(desk, page, operator):
    sign_in(page, desk, operator, "/audit")
    page.get_by_role("link", name="Signed head").click()
    expect(page.get_by_text('"format": "latchgate-audit-head-1"')).to_be_visible()
    expect(page.get_by_text("latchgate audit verify --against head.json")).to_be_visible()
