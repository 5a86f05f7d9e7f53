"""People, from a form to their first sign-in; with script, without, and by keyboard alone."""

import pytest
from playwright.sync_api import expect
from tests import people
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def press_until(page, key, wanted):
    """Go on by a key until something has the focus: no page here has a hundred stops."""
    for _ in range(100):
        page.keyboard.press(key)
        if wanted.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"{wanted} is not reached by {key}")


@pytest.mark.parametrize("script", [True, False])
def test_somebody_is_made_given_a_role_and_a_password_and_signs_in(
    desk, chromium, page, plain, owner, script
):
    shown = page if script else plain
    role = desk.world.role(owner.tenant_id, ["own:account.read"])
    sign_in(shown, desk, owner, "/people")
    shown.get_by_role("link", name="New person").click()
    login = f"ada-{'with' if script else 'without'}-script"
    shown.get_by_label("Name", exact=True).fill(login)
    shown.get_by_role("button", name="Make the person").click()
    expect(shown.get_by_role("status")).to_contain_text("Give them a role in a project next")
    shown.get_by_label("Role", exact=True).select_option(role)
    shown.get_by_role("button", name="Give the role").click()
    expect(shown.get_by_role("status")).to_contain_text("The role was given. Receipt")
    shown.get_by_role("link", name="Issue a password").click()
    shown.get_by_role("button", name="Issue the password").click()
    expect(shown.get_by_text("it is shown this once")).to_be_visible()
    name, password = shown.locator("code.secret").all_inner_texts()
    assert name == login
    shown.get_by_role("link", name="I have kept it").click()
    expect(shown.get_by_role("cell", name="this console")).to_be_visible()
    context = chromium.new_context()
    theirs = context.new_page()
    first = people.Person("", owner.tenant_id, owner.project_id, login, password)
    sign_in(theirs, desk, first, "/overview")
    expect(theirs.get_by_role("heading", name="Overview")).to_be_visible()
    context.close()


@pytest.mark.parametrize("script", [True, False])
def test_the_list_is_searched_and_somebody_disabled_and_enabled(desk, page, plain, owner, script):
    shown = page if script else plain
    other = people.colleague(desk.world, owner, "own:account.read")
    sign_in(shown, desk, owner, "/people")
    rows = shown.locator("#results tbody tr")
    expect(rows).to_have_count(2)
    shown.get_by_label("Search people").fill(other.id)
    if not script:
        shown.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(1)
    rows.get_by_role("link").click()
    shown.get_by_role("link", name="Disable").click()
    expect(shown.get_by_text("No credential of theirs is accepted")).to_be_visible()
    shown.get_by_role("button", name="Disable").click()
    expect(shown.get_by_role("status")).to_contain_text("They were disabled. Receipt")
    shown.get_by_role("button", name="Enable").click()
    expect(shown.get_by_role("status")).to_contain_text("They were enabled.")


def test_who_would_shut_themselves_out_is_warned_and_can_add_where_they_are(desk, plain, owner):
    sign_in(plain, desk, owner, f"/people/{owner.id}/change")
    plain.get_by_label("Only from these addresses and networks").check()
    plain.get_by_label("Addresses and networks, one a line").fill("203.0.113.0/24")
    plain.get_by_role("button", name="Save").click()
    expect(plain.get_by_role("alert")).to_contain_text("you would shut yourself out")
    plain.get_by_label("where you are now").check()
    plain.get_by_role("button", name="Save").click()
    expect(plain.get_by_role("status")).to_contain_text("They were changed. Receipt")
    expect(plain.get_by_text("203.0.113.0/24")).to_be_visible()


def test_a_person_is_made_by_keyboard_alone(desk, page, owner):
    sign_in(page, desk, owner, "/people")
    press_until(page, "Tab", page.get_by_role("link", name="New person"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New person")).to_be_visible()
    press_until(page, "Tab", page.get_by_label("Name", exact=True))
    page.keyboard.type("Build machine")
    press_until(page, "Tab", page.get_by_label("What they are"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("What they are")).to_have_value("service")
    press_until(page, "Tab", page.get_by_role("button", name="Make the person"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Person Build machine")).to_be_visible()
