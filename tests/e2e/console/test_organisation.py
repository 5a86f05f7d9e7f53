"""Projects, roles and tenants in a browser, with script and without."""

import pytest
from playwright.sync_api import expect
from tests import people
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def test_a_project_is_made_renamed_and_disabled(desk, plain, owner):
    sign_in(plain, desk, owner, "/projects")
    plain.get_by_role("link", name="New project").click()
    plain.get_by_label("Name").fill("Website")
    plain.get_by_role("button", name="Make the project").click()
    expect(plain.get_by_role("heading", name="Project Website")).to_be_visible()
    expect(plain.get_by_text("Nobody holds a role in it yet")).to_be_visible()
    plain.get_by_role("link", name="Rename").click()
    plain.get_by_label("Name").fill("Shop")
    plain.get_by_role("button", name="Rename").click()
    expect(plain.get_by_role("status")).to_contain_text("The project was renamed.")
    plain.get_by_role("link", name="Disable").click()
    plain.get_by_role("button", name="Disable").click()
    expect(plain.get_by_role("status")).to_contain_text("The project was disabled. Receipt")
    plain.get_by_role("link", name="All projects").click()
    plain.get_by_label("State").select_option("false")
    plain.get_by_role("button", name="Search").click()
    expect(plain.locator("#results tbody tr")).to_have_count(1)


@pytest.mark.parametrize("script", [True, False])
def test_a_role_is_made_in_words_given_and_deleted(desk, page, plain, owner, script):
    shown = page if script else plain
    other = people.colleague(desk.world, owner, "own:account.read")
    sign_in(shown, desk, owner, "/roles")
    shown.get_by_role("link", name="New role").click()
    shown.get_by_label("Name", exact=True).fill("uploader")
    shown.locator("summary", has_text="Storage").click()
    shown.get_by_label("Upload objects").check()
    shown.get_by_role("button", name="Make the role").click()
    expect(shown.get_by_role("heading", name="Role uploader")).to_be_visible()
    expect(shown.get_by_text("Upload objects storage:write")).to_be_visible()
    role = shown.url.partition("?")[0]
    shown.goto(f"{desk.origin}/people/{other.id}")
    shown.get_by_label("Role", exact=True).select_option(label="uploader")
    shown.get_by_role("button", name="Give the role").click()
    shown.goto(role)
    expect(shown.locator(f'a[href="/people/{other.id}"]')).to_be_visible()
    shown.get_by_role("link", name="Delete").click()
    shown.get_by_role("button", name="Delete the role").click()
    expect(shown.get_by_role("alert")).to_contain_text("it is held 1 times")
    shown.goto(f"{desk.origin}/people/{other.id}")
    shown.get_by_role("button", name="Take away uploader").click()
    expect(shown.get_by_role("status")).to_contain_text("The role was taken. Receipt")
    shown.goto(f"{role}/delete")
    shown.get_by_role("button", name="Delete the role").click()
    expect(shown.get_by_role("status")).to_contain_text("The role was deleted.")


def test_a_tenant_is_made_with_a_token_kept_and_suspended(desk, page, operator):
    sign_in(page, desk, operator, "/tenants/new")
    page.get_by_label("Name of the tenant").fill("Acme")
    page.get_by_label("Name of its first user").fill("coyote")
    page.get_by_role("button", name="Make the tenant").click()
    expect(page.get_by_text("it is shown this once")).to_be_visible()
    assert page.locator("code.secret").last.inner_text().startswith("latchgate_manage_")
    page.get_by_role("link", name="I have kept it").click()
    page.get_by_role("link", name="Suspend").click()
    page.get_by_role("button", name="Suspend the tenant").click()
    expect(page.get_by_role("status")).to_contain_text("The tenant was suspended. Receipt")
    page.get_by_role("button", name="Reinstate").click()
    expect(page.get_by_role("status")).to_contain_text("The tenant was reinstated.")
