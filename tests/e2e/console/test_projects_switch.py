"""Somebody with roles in two projects works in one at a time, and sees what it lets them do."""

import pytest
from playwright.sync_api import expect
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.mark.parametrize("script", [True, False])
def test_the_project_is_switched_and_the_menu_follows(desk, page, plain, owner, script):
    shown = page if script else plain
    world = desk.world
    second = world.project(owner.tenant_id)
    world.assign(owner.id, second, world.role(owner.tenant_id, ["own:account.read"]))
    sign_in(shown, desk, owner, "/overview")
    expect(shown.get_by_role("heading", name="Overview")).to_be_visible()
    choice = shown.get_by_label("Project", exact=True)
    expect(choice).to_have_value(owner.project_id)
    choice.select_option(second)
    shown.get_by_role("button", name="Switch").click()
    expect(shown.get_by_label("Project", exact=True)).to_have_value(second)
    context = shown.context
    held = {one["name"]: one for one in context.cookies()}["__Host-latchgate-project"]
    assert (held["value"], held["httpOnly"], held["secure"]) == (second, True, True)
    # What the browser keeps is a wish: a project in which they hold nothing is not taken.
    context.add_cookies([{**held, "value": desk.world.owner.project_id}])
    shown.reload()
    expect(shown.get_by_label("Project", exact=True)).to_have_value(owner.project_id)
