"""One page of the console: who may open it, how it is shown, and what takes its form.

Rule of this file: whatever changes something comes from a page of this origin (the browser says so)
and carries the token of that page; who must be signed in is, holds a right to it, and proved lately
that it is they where that is asked. A page's handler is called when all of that holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send

from latchgate.core.model import Request
from latchgate.core.policy import Policy
from latchgate.core.secret import Secret, same
from latchgate.doors.asgi import read_request
from latchgate.doors.console import languages
from latchgate.doors.console.browser import ONCE, Browser
from latchgate.doors.console.frame import Frame, Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.standing import PROJECT_COOKIE, stand
from latchgate.doors.form import (
    FormError,
    check_origin,
    read_all,
    read_body,
    read_form,
    read_pairs,
)
from latchgate.manage.errors import (
    ForbiddenError,
    InvalidError,
    ManageError,
    NotFoundError,
    TooManyError,
    UnprovenError,
)
from latchgate.oauth.sent import UnanswerableError
from latchgate.signin import ceremony, session
from latchgate.signin.next_path import HOME, local
from latchgate.store.errors import ConflictError, UnstorableError

CSRF = "csrf"  # the field that holds a page's token
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,254}")
_ELSEWHERE = N_(
    "This console is at %(origin)s: open it there. If that is not where you reach it, its operator"
    " sets url under [console] in latchgate.toml."
)
_NO_COOKIE = N_(
    "Your browser sent no cookie back. Signing in needs cookies, and they need HTTPS (or this"
    " machine's own address)."
)
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (UnanswerableError, 400),
    (NotFoundError, 404),
    (UnprovenError, 403),
    (ForbiddenError, 403),
    (InvalidError, 422),
    (UnstorableError, 422),
)
_log = logging.getLogger(__name__)

Handler = Callable[[Browser], Awaitable[Reply]]


def _always(_policy: Policy) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Page:
    """A page at its exact path: how it is shown, and what takes the form that it sends.

    `fields` are those of that form, `query` those of its address (None: its handler reads them);
    `signed_in` is False where nobody need be, `fresh` where they must have proven lately that it
    is they. An `entrance` is where other sites send browsers to: its handler reads the query as it
    came, and what was posted there is fetched, because no cookie comes along with another site's
    form. It changes nothing that its visitor was not asked for. A path may name a record, as
    `/keys/{id}`. `scopes` are those of which any opens the page, none where everybody signed in
    may; `several` are the fields that may come more than once; `offered` is whether a policy has
    what the page is about.
    """

    path: str
    show: Handler | None = None
    take: Handler | None = None
    fields: frozenset[str] = frozenset()
    query: frozenset[str] | None = frozenset()
    signed_in: bool = True
    fresh: bool = False
    entrance: bool = False
    scopes: tuple[str, ...] = ()
    several: frozenset[str] = frozenset()
    offered: Callable[[Policy], bool] = _always

    def handler(self, method: str) -> Handler | None:
        """Return what answers a method; None where nothing does."""
        if method == "POST":
            return self.show if self.entrance else self.take
        return self.show if method in {"GET", "HEAD"} else None

    @property
    def methods(self) -> str:
        """The methods that it takes, for `Allow`."""
        known = ("GET", "HEAD", "POST")
        return ", ".join(one for one in known if self.handler(one) is not None)


@dataclass(frozen=True, slots=True)
class Opened:
    """A page as an ASGI application."""

    frame: Frame
    page: Page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET, HEAD and POST where the page has them; the rest is refused."""
        request = read_request(scope, self.frame.door.trusted)
        reply = await self._answer(request, scope, receive)
        await reply.send(scope, send)

    async def _answer(self, request: Request, scope: Scope, receive: Receive) -> Reply:
        frame, page = self.frame, self.page
        cookies = cookie_parser(request.headers.get("cookie", ""))
        language = frame.languages.chosen(
            cookies.get(languages.COOKIE), request.headers.get("accept-language")
        )
        browser = Browser(
            frame, request, frame.site.origin, page.path, None, Secret(""), {}, {}, "", language
        )
        if request.fault is not None:
            return browser.refuse(400, N_("The request could not be read."))
        origin = frame.site.reached_by(request.host)
        if origin is None:
            return browser.refuse(421, _ELSEWHERE, {"origin": frame.site.origin})
        browser.origin = origin
        browser.id = scope.get("path_params", {}).get("id", "")
        if "{id}" in page.path:
            if not _ID.fullmatch(browser.id):
                return browser.refuse(404, N_("There is no such record."))
            browser.path = page.path.replace("{id}", browser.id)
        handler = page.handler(request.method)
        if handler is None:
            allowed = page.methods
            return browser.refuse(
                405,
                N_("This page takes %(methods)s."),
                {"methods": allowed},
                more={"Allow": allowed},
            )
        try:
            return await self._handled(browser, handler, cookies, scope, receive)
        except FormError as refused:
            return browser.refuse(
                refused.status, refused.words, refused.values, more=refused.headers
            )
        except TooManyError as error:
            words = N_("Too many attempts of late. Wait a little, then try again.")
            return browser.refuse(429, words, more={"Retry-After": str(error.retry_after)})
        except (ManageError, ConflictError, UnanswerableError) as error:
            return browser.repeat(_status(error), f"{error}")
        except Exception:  # noqa: BLE001 - whatever fails is a page, and no half answer
            _log.exception("a page of the console could not be answered")
            return browser.refuse(503, N_("This can't be done just now. Try again later."))

    async def _handled(
        self,
        browser: Browser,
        handler: Handler,
        cookies: Mapping[str, str],
        scope: Scope,
        receive: Receive,
    ) -> Reply:
        page, door = self.page, self.frame.door
        if page.entrance and browser.asked.method == "POST":
            return await _fetched(browser, receive)
        secret = Secret(cookies.get(session.COOKIE, ""))
        await run_in_threadpool(_resume, browser, secret, cookies.get(PROJECT_COOKIE))
        new = browser.recognize(cookies.get(ceremony.COOKIE, ""), secret)
        if page.entrance:
            browser.raw = scope["query_string"]
        elif page.query is None or browser.asked.method != "POST":
            browser.query = read_pairs(scope["query_string"], page.query)
        if browser.asked.method == "POST":
            # Before anything is told: what another site sends is answered alike, session or not.
            check_origin(browser.asked, {browser.origin})
        told = _later(browser)
        if page.signed_in:
            if browser.session is None:
                return browser.to_sign_in(told)
            _check_rights(browser, page)
        if page.fresh and not browser.who.fresh(door.clock()):
            return browser.to_sign_in(told, again=True)
        if browser.asked.method == "POST":
            names = page.fields | {CSRF, ONCE}
            form, browser.chosen = await read_form(browser.asked, receive, names, page.several)
            _check_token(browser, form.pop(CSRF, ""), new=new)
            browser.form = form
        return await handler(browser)


def _resume(browser: Browser, secret: Secret, project: str | None) -> None:
    """Find whose session it is, and what it gives them now."""
    door = browser.door
    found = session.resume(door.store, secret.reveal(), now=door.clock())
    if found is None or (found.provider is not None and not door.providers.knows(found.provider)):
        return  # a provider may be one no more (ATTACKS D6.59)
    browser.session = found
    browser.standing = stand(door, found, browser.asked, wish=project)


def _check_rights(browser: Browser, page: Page) -> None:
    """Refuse a page that is not there for anybody, or not for who is signed in, or not here."""
    if browser.standing.outside:
        raise FormError(403, "This account can't be used from your network address.")
    if not page.offered(browser.policy):
        raise FormError(404, "No provider of this Latchgate has such credentials.")
    if page.scopes and not browser.may(*page.scopes):
        raise FormError(403, "This takes a right that you don't hold in this project.")


def _status(error: ManageError | ConflictError | UnanswerableError) -> int:
    """Return the status of what the rules refused."""
    return next((status for sort, status in _STATUSES if isinstance(error, sort)), 409)


async def _fetched(browser: Browser, receive: Receive) -> Reply:
    """Have what another site posted fetched instead, as RFC 6749 §3.1 lets it be sent either way.

    Nothing of it is looked at, and no cookie is set: those of this browser are not seen here.
    """
    sent = read_all(await read_body(browser.asked, receive))
    target = f"{browser.path}?{urlencode(sent)}"
    if local(target) != target:
        raise FormError(413, "The form is too long.")
    return browser.redirect(target)


def _later(browser: Browser) -> str:
    """Return where to go on after a sign-in: here, or where this form was sent from."""
    if browser.asked.method != "POST":
        query = browser.asked.target.partition("?")[2]
        return f"{browser.path}?{query}" if query else browser.path
    referrer = browser.asked.headers.get("referer", "")
    sent_from = referrer.removeprefix(browser.origin) if referrer.startswith(browser.origin) else ""
    return local(sent_from) if sent_from.startswith("/") else HOME


def _check_token(browser: Browser, token: str, *, new: bool) -> None:
    if same(token.encode(), browser.token.encode()):
        return
    if new:
        raise FormError(403, _NO_COOKIE)
    raise FormError(
        403, "This page was open for too long, or is of another sign-in. Open it again."
    )
