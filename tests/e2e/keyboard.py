"""A page used by its keys alone."""

from __future__ import annotations

from playwright.sync_api import Page

_NAME = "e => e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || ''"
_MOST = 150


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name is in focus; AssertionError where nothing ever is."""
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        if page.locator(":focus").count() and page.locator(":focus").evaluate(_NAME) == name:
            return
    msg = f"nothing called {name!r} comes by Tab"
    raise AssertionError(msg)


def tab_to_field(page: Page, field: str) -> None:
    """Press Tab until the field of this id is in focus; AssertionError where it never is."""
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == field:
            return
    msg = f"no Tab leads to {field}"
    raise AssertionError(msg)
