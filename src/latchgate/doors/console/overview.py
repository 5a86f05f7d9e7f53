"""The overview: what happened of late, and what wants doing."""

from __future__ import annotations

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.page import Page


async def show(browser: Browser) -> Reply:
    """Show it."""
    return browser.page("overview.html", cli=("latchgate whoami",))


PAGES = (Page("/overview", show=show),)
