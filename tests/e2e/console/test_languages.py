"""What the test of all pages relies on: a text that misses gettext, or does not fit, is found."""

import pytest
from playwright.sync_api import expect
from tests import people
from tests.pseudo import overflowing, pseudo, unmarked

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def test_a_page_speaks_the_language_that_its_reader_asks_for(pseudo_desk, pseudo_page):
    pseudo_page.goto(f"{pseudo_desk.origin}/sign-in")
    expect(pseudo_page.get_by_role("heading", level=1)).to_have_text(pseudo("Sign in"))
    assert pseudo_page.locator("html").get_attribute("lang") == "en-XA"
    assert unmarked(pseudo_page) == []
    assert overflowing(pseudo_page) == []


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>Untranslated</p>", ["p: Untranslated"]),
        ("<p>⟦with <strong>a name</strong> inside⟧</p>", []),
        ("<p>⟦one⟧ and another</p>", ["p: and another"]),
        ('<p translate="no">data</p><code>ls</code><time>now</time> 12 ·', []),
        ('<button aria-label="Close">⟦x⟧</button>', ["button[aria-label]: Close"]),
        ('<input type="submit" value="Go"><input value="mine">', ["input[value]: Go"]),
        ("<template>Copied</template>", [": Copied"]),
        ("<p hidden>Later</p>", ["p: Later"]),
    ],
)
def test_a_text_that_misses_gettext_is_found(page, html, found):
    page.set_content(f"<title>⟦t⟧ · Latchgate</title><body>{html}</body>")
    assert unmarked(page) == found


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>short</p>", []),
        ('<p style="width:50rem">a wide box</p>', ["320 px: the page is"]),
        (
            '<p style="width:4rem;white-space:nowrap">longer than its own box</p>',
            ["320 px: sticks out of p", "1280 px: sticks out of p"],
        ),
        (
            '<p style="width:4rem;overflow:hidden;white-space:nowrap">longer than its box</p>',
            ["320 px: sticks out of p", "1280 px: sticks out of p"],
        ),
        (
            '<p style="height:1rem;width:5rem;overflow:hidden">several lines of text</p>',
            ["320 px: is cut off by p", "1280 px: is cut off by p"],
        ),
        ('<div style="overflow-x:auto"><p style="width:90rem">scrolls by itself</p></div>', []),
        ('<p style="position:absolute;left:-99rem">for who hears it</p>', []),
    ],
)
def test_what_does_not_fit_is_found(page, html, found):
    page.set_content(f"<title>t</title><body>{html}</body>")
    told = overflowing(page)
    assert len(told) == len(found), told
    assert all(one.startswith(start) for one, start in zip(told, found, strict=True)), told


def test_a_page_keeps_its_size(page):
    page.set_viewport_size({"width": 700, "height": 500})
    page.set_content("<p>x</p>")
    overflowing(page)
    assert page.viewport_size == {"width": 700, "height": 500}


def test_the_pages_of_somebody_signed_in_are_in_their_language(pseudo_desk, pseudo_page):
    who = people.owner(pseudo_desk.world)
    pseudo_page.goto(f"{pseudo_desk.origin}/sign-in?next=/security")
    pseudo_page.locator("[name=login]").fill(who.login)
    pseudo_page.locator("[name=password]").fill(who.password)
    pseudo_page.locator("form:has([name=password]) button").click()
    expect(pseudo_page.locator("html")).to_have_attribute("lang", "en-XA")
    expect(pseudo_page.locator("nav.menu")).to_be_attached()
    assert unmarked(pseudo_page) == []
    assert overflowing(pseudo_page) == []
