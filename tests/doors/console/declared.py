"""Every page that the console declares, for tests of what holds on all of them."""

from __future__ import annotations

from collections.abc import Iterator

from latchgate.doors.console import app
from latchgate.doors.console.page import Page


def declared() -> Iterator[Page]:
    """Return every page, but those of configured identity providers."""
    for noun in app._NOUNS:
        yield from noun.PAGES


def path_of(page: Page) -> str:
    """Return where a page is asked for, about a record that is not there where it names one."""
    return page.path.replace("{id}", "none-such")
