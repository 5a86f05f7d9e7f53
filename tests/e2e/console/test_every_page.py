"""What holds on every page of the console, by enumeration: a new page is looked at by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Page, expect
from tests import people, pseudo
from tests.e2e.console.addresses import IN_PASSING, address, shown
from tests.e2e.console.soundness import Look, a_look
from tests.e2e.desk import sign_in

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def look(chromium, furnished) -> Iterator[Look]:
    """A browser in which somebody is signed in who may open every page."""
    with a_look(chromium, furnished.desk.origin) as made:
        sign_in(made.page, furnished.desk, furnished.person, "/overview")
        expect(made.page.get_by_role("heading", name="Overview")).to_be_visible()
        yield made


@pytest.mark.parametrize("path", [path for path in shown() if path not in IN_PASSING])
def test_a_page_can_be_used_by_everybody_in_both_themes_and_on_a_narrow_screen(
    furnished, look, path
):
    assert look.open(address(path, furnished)) == []


def test_the_start_page_leads_to_one_that_is_open(look):
    assert look.open("/") == []
    assert look.page.url != f"{look.origin}/"


def test_what_an_application_asks_for_can_be_read_and_answered_by_everybody(furnished, look):
    assert look.open(furnished.app.path()) == []
    expect(look.page.locator("button[name=decision][value=allow]")).to_be_visible()


def test_signing_in_can_be_done_by_everybody_with_a_second_factor_too(chromium, furnished):
    desk = furnished.desk
    somebody = people.colleague(desk.world, furnished.person, "own:account.read")
    with a_look(chromium, desk.origin) as look:
        assert look.open("/sign-in") == []
        sign_in(look.page, desk, somebody, "/security")
        look.page.locator("form[action='/security/app/new'] button").click()
        expect(look.page.locator(".qr svg")).to_be_visible()
        assert look.faults() == []
        app = pyotp.TOTP(look.page.locator(".secret").inner_text().replace(" ", ""))
        look.page.locator("main input[name=code]").fill(app.at(time.time()))
        look.page.locator("main input[name=code]").press("Enter")
        expect(look.page.get_by_role("heading", level=1)).to_contain_text("ecovery codes")
        assert look.faults() == []
    with a_look(chromium, desk.origin) as look:
        sign_in(look.page, desk, somebody)
        expect(look.page.locator("main input[name=code]")).to_be_visible()
        assert look.page.url == f"{look.origin}/sign-in/second"
        assert look.faults() == []


@pytest.fixture(scope="module")
def foreign(chromium, furnished) -> Iterator[Look]:
    """The same in a browser that speaks a language of longer texts, which nobody speaks."""
    with a_look(chromium, furnished.desk.origin, locale=pseudo.TAG) as made:
        # Its page to sign in too, of which no label is known: names and paths stay as they are.
        made.page.goto(f"{made.origin}/sign-in?next=/overview")
        assert unfit(made.page) == []
        made.page.locator("main input[name=login]").fill(furnished.person.login)
        made.page.locator("main input[name=password]").fill(furnished.person.password)
        made.page.locator("main input[name=password]").press("Enter")
        made.page.wait_for_url("**/overview")
        yield made


def unfit(page: Page) -> list[str]:
    """Return what of a page was not translated, and what of it has no room for longer texts."""
    assert page.locator("html").get_attribute("lang") == pseudo.TAG
    return pseudo.unmarked(page) + pseudo.overflowing(page)


@pytest.mark.parametrize("path", [path for path in shown() if path not in IN_PASSING])
def test_every_text_of_a_page_is_translated_and_has_room(furnished, foreign, path):
    foreign.page.goto(foreign.origin + address(path, furnished))
    assert unfit(foreign.page) == []


_PLANTED = {
    "the browser says": '<p style="color: red">inline</p>',
    "it asks https://evil.example": '<img src="https://evil.example/pixel.png" alt="">',
    "image-alt": '<img src="/assets/icon.svg">',
    "at 320 px: the document is": "<svg width='500' height='20' aria-hidden='true'></svg>",
    "it weighs": f"<!--{'x' * 100_000}-->",
    "target-size": "<p><a href='/a'>a</a><a href='/b'>b</a><a href='/c'>c</a></p>",
}


def test_what_is_wrong_with_a_page_is_found(chromium, furnished):
    def spoil(route):
        answer = route.fetch()
        body = answer.text().replace("</form>", f"</form>{''.join(_PLANTED.values())}", 1)
        route.fulfill(response=answer, body=body)

    with a_look(chromium, furnished.desk.origin) as look:
        look.page.route(f"{look.origin}/sign-in", spoil)
        found = look.open("/sign-in")
    missed = [fault for fault in _PLANTED if not any(one.startswith(fault) for one in found)]
    assert missed == [], found


def test_no_page_that_is_passed_on_the_way_to_something_is_forgotten():
    assert set(shown()) >= IN_PASSING
