"""What somebody lets applications do for them, and taking it back."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.onward import server_of
from latchgate.doors.console.page import Page
from latchgate.manage import consents
from latchgate.oauth.consent import in_words
from latchgate.verify.receipts import Receipt

MAX_ID = 255


async def show(browser: Browser) -> Reply:
    """List them."""
    return await _page(browser)


async def withdraw(browser: Browser) -> Reply:
    """End what one may do, at once, and say who follows."""
    door, client_id = browser.door, browser.form.get("client_id", "")[:MAX_ID]
    n = await run_in_threadpool(consents.withdraw, door.store, browser.person, client_id)
    return await _page(browser, receipt=await door.acknowledged(n))


async def _page(browser: Browser, *, receipt: Receipt | None = None) -> Reply:
    policy = server_of(browser).engine.policy
    held = await run_in_threadpool(consents.listed, browser.door.store, browser.person)
    return browser.page(
        "applications.html",
        held=[(one, in_words(policy, tuple(one.scopes))) for one in held],
        receipt=receipt,
    )


PAGES = (
    Page("/applications", show=show),
    Page("/applications/withdraw", take=withdraw, fields=frozenset({"client_id"})),
)
