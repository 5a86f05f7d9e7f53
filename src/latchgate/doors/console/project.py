"""In which of their projects somebody works, and the start page."""

from __future__ import annotations

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.page import Page
from latchgate.doors.console.standing import PROJECT_COOKIE
from latchgate.doors.form import FormError


async def switch(browser: Browser) -> Reply:
    """Go on in another project; from the start, for what was open is of the one before."""
    wanted = browser.form.get("project", "")
    if all(one.id != wanted for one in browser.standing.projects):
        raise FormError(404, "You hold no role in a project of this id.")
    browser.keep(PROJECT_COOKIE, wanted)
    return browser.redirect("/")


async def home(browser: Browser) -> Reply:
    """Lead to the first page that is open to who is signed in."""
    return browser.redirect("/overview")


PAGES = (
    Page("/", show=home),
    Page("/project", take=switch, fields=frozenset({"project"})),
)
