"""Sign-out at a client's wish.

Rule of this file: who proved to be meant is signed out at once, everybody else is asked.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.authorize import login_of
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.onward import onward, server_of
from latchgate.doors.console.page import Page
from latchgate.oauth import discovery, logout
from latchgate.oauth.logout import Leaving

_CONFIRM = f"{discovery.LOGOUT}/confirm"


async def show(browser: Browser) -> Reply:
    """Sign out, or ask whether to."""
    leaving = await _read(browser, browser.raw)
    if browser.session is None:
        return _left(browser, leaving)
    if leaving.subject == browser.session.user_id:
        await browser.sign_out()
        return _left(browser, leaving)
    return browser.page(
        "logout.html",
        action=_CONFIRM,
        carried={"request": leaving.text},
        application=leaving.application,
        login=await login_of(browser),
    )


async def confirm(browser: Browser) -> Reply:
    """Take a person's word that they want to."""
    leaving = await _read(browser, browser.form.get("request", "").encode())
    if browser.form.get("decision") != "leave":
        return browser.redirect("/")
    await browser.sign_out()
    return _left(browser, leaving)


async def _read(browser: Browser, raw: bytes) -> Leaving:
    return await run_in_threadpool(logout.read, server_of(browser), raw)


def _left(browser: Browser, leaving: Leaving) -> Reply:
    if leaving.onward is None:
        return browser.page("logged_out.html")
    return onward(browser, leaving.onward)


PAGES = (
    Page(discovery.LOGOUT, show=show, signed_in=False, entrance=True),
    Page(_CONFIRM, take=confirm, fields=frozenset({"request", "decision"}), signed_in=False),
)
