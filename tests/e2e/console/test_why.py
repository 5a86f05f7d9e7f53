"""Somebody finds out why a request is refused: by its id, by trying it, by keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in
from tests.world import Owner

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def key_of(desk, owner):
    whose = Owner(owner.tenant_id, owner.project_id, owner.id)
    return desk.world.key("storage", scopes=["storage:read"], owner=whose, name="Nightly backup")


@pytest.mark.parametrize("script", [True, False])
def test_a_refusal_is_found_by_its_id_and_the_request_tried_again(desk, page, plain, owner, script):
    shown = page if script else plain
    key = key_of(desk, owner)
    refused = desk.server.verdict(key.text, method="PUT", target="/v1/storage/report.pdf")
    sign_in(shown, desk, owner, "/why")
    shown.get_by_label("Its id").fill(refused["decision"])
    shown.get_by_role("button", name="Say why").click()
    expect(shown.get_by_role("heading", name="Refused", exact=False).first).to_be_visible()
    expect(shown.get_by_text("Make a key with the scope storage:write")).to_be_visible()
    steps = shown.get_by_role("list", name="Step by step").get_by_role("listitem")
    expect(steps.first).to_contain_text("passed")
    expect(steps.last).to_contain_text("failed")
    shown.get_by_label("Method").fill("GET")
    shown.get_by_label("Address", exact=True).fill("https://api.example/v1/storage/report.pdf")
    shown.get_by_label("Headers").fill(f"Authorization: Bearer {key.text}")
    shown.get_by_role("button", name="Decide it").click()
    expect(shown.get_by_role("heading", name="Allowed")).to_be_visible()
    expect(shown.get_by_label("Headers")).to_have_value("")
    expect(shown.get_by_label("Address", exact=True)).to_have_value(
        "https://api.example/v1/storage/report.pdf"
    )
    assert shown.url == f"{desk.origin}/why"
    assert key.text not in shown.content()
    # The refusal stands in the list, a click away.
    row = shown.get_by_role("row", name=re.compile("report.pdf"))
    row.get_by_role("link", name="scope not granted").click()
    expect(shown).to_have_url(f"{desk.origin}/why?id={refused['decision']}")
    expect(shown.get_by_label("Its id")).to_have_value(refused["decision"])


def test_a_request_is_tried_by_keyboard_alone(desk, page, owner):
    key = key_of(desk, owner)
    sign_in(page, desk, owner, "/why")
    expect(page.get_by_role("heading", name="Why?", level=1)).to_be_visible()

    def tab_to(label):
        field = page.get_by_label(label, exact=True)
        for _ in range(40):
            if field.evaluate("one => one === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {label}")

    tab_to("Method")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("PUT")
    page.keyboard.press("Tab")
    page.keyboard.type("/v1/storage/a")
    tab_to("Headers")
    page.keyboard.type(f"Authorization: Bearer {key.text}")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Make a key with the scope storage:write")).to_be_visible()
