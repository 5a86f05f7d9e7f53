"""A page used by its keys alone."""

from __future__ import annotations

from playwright.sync_api import Page

_MOST = 80  # stops between a page's begin and its last field


def tab_to(page: Page, field: str) -> None:
    """Go on from stop to stop until a field has the focus; fails where no Tab leads to it."""
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == field:
            return
    msg = f"no Tab leads to {field}"
    raise AssertionError(msg)
