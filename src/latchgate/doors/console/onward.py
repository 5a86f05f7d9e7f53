"""Out of the console: to the address that a client is answered at.

Rule of this file: what is sent there was read by the protocol (`oauth`), which knows the address to
be the client's own. A browser that comes from a form of ours is sent on by a page: the policy of
that form's page (`form-action`) holds for every redirect that follows it.
"""

from __future__ import annotations

from collections.abc import Mapping

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.oauth import authorization
from latchgate.oauth.authorization import Back, Mode
from latchgate.oauth.server import AuthorizationServer


def server_of(browser: Browser) -> AuthorizationServer:
    """Return the authorization server behind a page."""
    door = browser.door
    return AuthorizationServer(door.store, door.engine, door.jwt_signers, door.clock, door.entropy)


def answered(browser: Browser, back: Back, told: Mapping[str, str]) -> Reply:
    """Bring a client its answer, in the way that it asked for."""
    fields = authorization.answer(server_of(browser), back, told)
    if back.mode is Mode.FORM_POST:
        # Anywhere: the policy holds for where the application leads on to as well.
        return browser.page(
            "answer.html", form_targets=("*",), action=back.redirect_uri, fields=fields
        )
    return onward(browser, authorization.with_query(back.redirect_uri, fields))


def onward(browser: Browser, uri: str) -> Reply:
    """Send the browser to an address of a client."""
    if browser.asked.headers.get("sec-fetch-site") == "same-origin":
        return browser.page("onward.html", uri=uri)
    return browser.depart(uri)
