"""The application "test": a key that documentation prints, and whose users may ask with it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.core.kinds import ApplicationKeyKind
from latchgate.core.policy import Policy
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, lines, read_spec
from latchgate.manage import published_key
from latchgate.manage.errors import InvalidError
from latchgate.manage.published_key import PublishedKeySpec
from latchgate.verify.receipt import Receipt

_WRITE = "operator:applications.write"


def has_keys(policy: Policy) -> bool:
    """Whether applications have keys of their own."""
    return any(isinstance(one, ApplicationKeyKind) for one in policy.kinds.values())


async def show(browser: Browser) -> Reply:
    """Show which key is taken, and for whose users."""
    return await _page(browser)


async def take(browser: Browser) -> Reply:
    """Take another key, or other tenants, in the place of those before."""
    door, form = browser.door, browser.form
    told = {"api_key": form.get("api_key", "").strip(), "tenants": lines(form.get("tenants")) or []}
    try:
        spec = read_spec(PublishedKeySpec, told)
        _, n = await run_in_threadpool(
            published_key.set_published_key, door.store, browser.policy, browser.caller, spec
        )
    except InvalidError as error:
        return await _page(browser, faults=by_field(error))
    return await _page(browser, receipt=await door.acknowledged(n))


async def _page(
    browser: Browser,
    *,
    receipt: Receipt | None = None,
    faults: Mapping[str, list[str]] | None = None,
) -> Reply:
    found = await run_in_threadpool(published_key.shown, browser.door.store)
    return browser.page(
        "published_key.html",
        status=422 if faults else 200,
        found=found,
        key=browser.form.get("api_key", ""),
        tenants=browser.form["tenants"] if faults else "\n".join(found.tenants if found else ()),
        receipt=receipt,
        faults=faults or {},
        cli=("latchgate app test-key KEY --tenant ID",),
    )


PAGES = (
    Page(
        "/review/test-key",
        show=show,
        take=take,
        fields=frozenset({"api_key", "tenants"}),
        scopes=(_WRITE,),
        offered=has_keys,
    ),
)
