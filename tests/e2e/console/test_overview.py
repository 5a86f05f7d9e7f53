"""From the overview to usage: what was asked is on both, and in the file."""

import pytest
from playwright.sync_api import expect
from tests.doors.manage.test_usage import counted
from tests.e2e.desk import sign_in
from tests.world import Owner, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_requests_are_seen_and_taken_along(desk, page, plain, owner, script):
    shown, world = page if script else plain, desk.world
    mine = Owner(owner.tenant_id, owner.project_id, owner.id)
    key = world.key(owner=mine, name="Uploader", scopes=["storage:read"])
    assert desk.server.allows(key.text)
    assert not desk.server.allows(key.text, method="PUT")
    until(lambda: counted(desk.server, key.id) == 2, seconds=30, what="the counts")
    sign_in(shown, desk, owner, "/overview")
    picture = shown.locator("figure").filter(has_text="Last 24 hours")
    expect(picture.locator("rect")).to_have_count(2)
    picture.get_by_text("As a table").click()
    expect(picture.get_by_role("columnheader", name="scope_not_granted")).to_be_visible()
    shown.get_by_role("link", name="Usage in full").click()
    shown.get_by_label("Tell apart by").select_option("credential")
    shown.get_by_label("And by").select_option("reason")
    shown.get_by_role("button", name="Show").click()
    expect(shown.get_by_role("link", name="Uploader").first).to_be_visible()
    with shown.expect_download() as begun:
        shown.get_by_role("link", name="Download all of it as CSV").click()
    told = begun.value.path().read_text().splitlines()
    assert told == [
        "credential_id,reason,count",
        f"{key.id},allowed,1",
        f"{key.id},scope_not_granted,1",
    ]
    shown.get_by_role("link", name="What a month costs").click()
    expect(shown.get_by_text("That month cost nothing.")).to_be_visible()
