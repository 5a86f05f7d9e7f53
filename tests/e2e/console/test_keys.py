"""API keys in a real browser: made, used, rotated, narrowed down and revoked, by people."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests import people
from tests.e2e.desk import Desk, sign_in
from tests.people import Person
from tests.world import Owner

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def owner_of(person: Person) -> Owner:
    return Owner(person.tenant_id, person.project_id, person.id)


def secret_of(shown: Page) -> str:
    text = shown.locator("code.secret").last.text_content()
    assert text is not None
    return text


@pytest.mark.parametrize("script", [True, False])
def test_a_key_is_made_used_rotated_and_revoked(
    desk: Desk, page: Page, plain: Page, owner: Person, script
):
    shown = page if script else plain
    sign_in(shown, desk, owner, "/keys")
    shown.get_by_role("link", name="Make the first key").click()
    shown.get_by_label("Name", exact=True).fill("Shop uploads")
    # What a service may do is asked once it is chosen, without any script.
    upload = shown.get_by_label("Upload objects storage:write")
    expect(upload).to_be_hidden()
    shown.get_by_label("Storage", exact=True).check()
    upload.check()
    shown.get_by_label("Expires").select_option(label="30 days")
    shown.get_by_role("button", name="Make the key").click()
    expect(shown.get_by_role("heading", name="Your new API key")).to_be_visible()
    first = secret_of(shown)
    assert desk.server.allows(first, method="PUT")
    assert not desk.server.allows(first, method="GET")
    with shown.expect_download() as download:
        shown.get_by_role("link", name="Download .env").click()
    assert f"API_KEY='{first}'" in download.value.path().read_text()
    shown.get_by_role("link", name="I have kept it").click()

    expect(shown.get_by_role("heading", name="Shop uploads")).to_be_visible()
    assert first not in shown.content()
    shown.get_by_role("link", name="Rotate").click()
    shown.get_by_label("The old one works on").select_option(label="For 1 day")
    shown.get_by_role("button", name="Rotate the key").click()
    second = secret_of(shown)
    assert second != first
    assert desk.server.allows(first, method="PUT")
    assert desk.server.allows(second, method="PUT")
    shown.get_by_role("link", name="Who still uses the old one").click()
    expect(shown.get_by_text("being replaced")).to_be_visible()

    shown.get_by_role("link", name="Revoke").click()
    shown.get_by_role("button", name="Revoke the key").click()
    expect(shown.get_by_role("status")).to_contain_text("Receipt: journal number")
    assert not desk.server.allows(first, method="PUT")
    assert desk.server.allows(second, method="PUT")
    shown.get_by_role("navigation", name="Pages").get_by_role("link", name="API keys").click()
    expect(shown.get_by_role("row", name="Shop uploads")).to_have_count(2)


def test_the_list_follows_what_is_typed_and_chosen(desk: Desk, page: Page, owner: Person):
    with desk.world.changing() as change:
        for name in ("alpha", "beta"):
            desk.world.key_in(change, owner=owner_of(owner), name=name)
        desk.world.key_in(change, "llm", owner=owner_of(owner), name="gamma", scopes=["llm:models"])
    sign_in(page, desk, owner, "/keys?sort=name")
    rows = page.get_by_role("rowheader")
    expect(rows).to_have_text(["alpha", "beta", "gamma"])
    page.get_by_label("Name, description or id").press_sequentially("bet")
    expect(rows).to_have_text(["beta"])
    expect(page).to_have_url(
        f"{desk.origin}/keys?q=bet&state=&service=&environment=&owner_id=&sort=name"
    )
    page.get_by_label("Name, description or id").fill("")
    page.get_by_label("Service").select_option(label="LLM")
    expect(rows).to_have_text(["gamma"])
    page.get_by_text("1 scope", exact=True).click()
    expect(page.get_by_text("llm:models")).to_be_visible()
    page.get_by_label("State").select_option(label="revoked")
    expect(page.get_by_text("No key is like that.")).to_be_visible()


def test_a_key_is_made_by_keyboard_alone(desk: Desk, page: Page, owner: Person):
    sign_in(page, desk, owner, "/keys/new")
    expect(page.get_by_role("heading", name="New API key")).to_be_visible()
    reach(page, "name")
    page.keyboard.type("By keyboard")
    reach(page, "services")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")  # into what it may do
    page.keyboard.press("Space")
    reach(page, "BUTTON")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your new API key")).to_be_visible()
    assert desk.server.allows(secret_of(page))


def reach(page: Page, wanted: str) -> None:
    """Go on by Tab to the next field of a name, or the next button of the form."""
    for _ in range(80):
        page.keyboard.press("Tab")
        told = "document.activeElement.name || (document.activeElement.closest('form.new-key')"
        found = page.evaluate(f"{told} ? document.activeElement.tagName : '')")
        if found == wanted:
            return
    pytest.fail(f"{wanted} is not reached by Tab")


def test_what_is_wrong_is_shown_beside_its_field_and_what_was_typed_stays(
    desk: Desk, plain: Page, owner: Person
):
    sign_in(plain, desk, owner, "/keys/new")
    plain.get_by_label("Name", exact=True).fill("Kept")
    plain.get_by_label("Storage", exact=True).check()
    plain.get_by_label("Delete objects storage:delete").check()
    plain.get_by_label("Networks (optional)").fill("no network")
    plain.get_by_label("Only from where I am now").check()
    plain.get_by_role("button", name="Make the key").click()
    networks = plain.get_by_label("Networks (optional)")
    expect(networks).to_have_attribute("aria-invalid", "true")
    expect(networks).to_have_value("no network")
    expect(plain.get_by_label("Name", exact=True)).to_have_value("Kept")
    expect(plain.get_by_label("Delete objects storage:delete")).to_be_checked()
    expect(plain.get_by_label("Only from where I am now")).to_be_checked()
    networks.fill("")
    plain.get_by_role("button", name="Make the key").click()
    expect(plain.get_by_role("heading", name="Your new API key")).to_be_visible()


def test_somebody_with_own_keys_alone_sees_and_narrows_theirs(
    desk: Desk, plain: Page, owner: Person
):
    person = people.colleague(desk.world, owner, "own:keys.read", "own:keys.write", "storage:read")
    desk.world.key(owner=owner_of(owner), name="the owner's")
    mine = desk.world.key(
        owner=owner_of(person), name="mine", scopes=["storage:read", "storage:write"]
    )
    sign_in(plain, desk, person, "/keys")
    expect(plain.get_by_role("rowheader")).to_have_text(["mine"])
    plain.get_by_role("link", name="mine").click()
    plain.get_by_role("link", name="Take rights away").click()
    plain.get_by_label("Upload objects storage:write").uncheck()
    plain.get_by_role("button", name="Take the rest away").click()
    expect(plain.get_by_role("status")).to_contain_text("It may do what you left, and no more.")
    expect(plain.get_by_text("storage:write")).to_have_count(0)
    assert mine.text not in plain.content()
    plain.get_by_role("link", name="Disable").click()
    plain.get_by_role("button", name="Disable the key").click()
    expect(plain.get_by_role("link", name="Enable")).to_be_visible()
    assert not desk.server.allows(mine.text)
