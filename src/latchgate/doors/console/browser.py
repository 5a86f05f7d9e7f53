"""One request of a browser at the console: who is signed in, what it sent, and how it is answered.

Rule of this file: whatever changes something comes from a page of this origin (the browser says so)
and carries the token of that page; who must be signed in is, and proved it lately where that is
asked. A page's handler is called when all of that holds.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import cookie_parser
from starlette.types import Receive, Scope, Send

from latchgate.core.model import Request
from latchgate.core.network import Address, Networks
from latchgate.core.secret import Secret, digest, same
from latchgate.doors.asgi import read_request
from latchgate.doors.console.frame import Frame, Reply, headers
from latchgate.doors.door import Door
from latchgate.doors.form import (
    FormError,
    check_origin,
    read_all,
    read_body,
    read_form,
    read_pairs,
)
from latchgate.manage.actor import Person
from latchgate.manage.errors import ManageError, TooManyError
from latchgate.signin import ceremony, session
from latchgate.signin.next_path import HOME, local
from latchgate.signin.session import Session
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import stored

CSRF = "csrf"  # the field that holds a page's token
_COOKIE = "Path=/; Secure; HttpOnly; SameSite=Lax"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Browser:
    """What a page is given: who asks, from where, with which form; and what it answers with.

    `form` holds the fields of a form that was sent, `query` those of the address, `raw` the query
    as it came, `known` what the browser is known by before anybody is signed in.
    """

    frame: Frame
    asked: Request
    origin: str
    path: str
    session: Session | None
    known: Secret
    form: Mapping[str, str]
    query: Mapping[str, str]
    _token: str
    raw: bytes = b""
    _cookies: list[str] = field(default_factory=list)

    @property
    def door(self) -> Door:
        """What it works with."""
        return self.frame.door

    @property
    def address(self) -> str | None:
        """Where they are."""
        return str(self.asked.client) if self.asked.client is not None else None

    @property
    def who(self) -> Session:
        """Who is signed in, on a page that asks for it."""
        if self.session is None:
            raise RuntimeError("a page that needs a session was opened without one")
        return self.session

    @property
    def token(self) -> str:
        """What a form of this page carries, so that no other page can send it (CSRF)."""
        return self._token

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        form_targets: Iterable[str] = (),
        **values: object,
    ) -> Reply:
        """Answer with a page; `form_targets` are other origins that a form of it may lead to."""
        given = {"csrf": self._token, "session": self.session, "problem": "", **values}
        body = self.frame.render(template, given)
        return self._reply(status, body, headers(form_targets))

    def json(self, body: bytes) -> Reply:
        """Answer a page's script."""
        return self._reply(200, body, headers() | {"Content-Type": "application/json"})

    def refuse(self, status: int, words: str, **more: str) -> Reply:
        """Answer with a page that says why it can't be done."""
        reply = self.page("refused.html", status=status, words=words)
        return Reply(reply.status, reply.body, (*reply.headers, *more.items()))

    def redirect(self, path: str) -> Reply:
        """Send the browser to a path of this origin, to be fetched."""
        kept = {name: value for name, value in headers().items() if name != "Content-Type"}
        return self._reply(303, b"", kept | {"Location": local(path)})

    def depart(self, uri: str) -> Reply:
        """Send the browser to another origin, whose address is known to be right."""
        kept = {name: value for name, value in headers().items() if name != "Content-Type"}
        return self._reply(303, b"", kept | {"Location": uri})

    def to_sign_in(self, following: str, *, again: bool = False, login: str = "") -> Reply:
        """Send the browser to sign in, and to a path of this origin after that.

        With `again` who is signed in proves it again. `login` is a name to begin with.
        """
        told = {"login": login, "again": "1" if again else ""}
        query = {"next": following} | {name: text for name, text in told.items() if text}
        return self.redirect(f"/sign-in?{urlencode(query)}")

    @property
    def person(self) -> Person:
        """Who is signed in, as whoever changes what is their own."""
        who = self.who
        return Person(who.actor(self.address), who.tenant_id, who.user_id, who.id)

    async def sign_in(
        self,
        user_id: str,
        methods: Iterable[str],
        *,
        provider: str | None = None,
        auth_time: float | None = None,
    ) -> None:
        """Begin a session of a user who has proven who they are, or renew the one they have.

        `provider` is the external one that they came from, `auth_time` when they proved it there.
        The browser gets other secrets than it had. FormError where they may not sign in from here.
        """
        store, now = self.door.store, self.door.clock()
        tenant_id = await run_in_threadpool(self._may, user_id)
        if self.session is not None and self.session.user_id == user_id:
            self.session, secret = await run_in_threadpool(
                session.renew,
                store,
                self.session,
                methods=tuple(methods),
                now=now,
                entropy=self.door.entropy,
                address=self.address,
                auth_time=auth_time,
            )
        else:
            if self.session is not None:
                await self.sign_out()
            self.session, secret = await run_in_threadpool(
                session.begin,
                store,
                user_id=user_id,
                tenant_id=tenant_id,
                methods=tuple(methods),
                address=self.address,
                agent=self.asked.headers.get("user-agent", ""),
                now=now,
                entropy=self.door.entropy,
                provider=provider,
                auth_time=auth_time,
            )
        self._set(session.COOKIE, secret)
        self._set(ceremony.COOKIE, ceremony.browser(self.door.entropy))
        self._token = _token_of(secret)

    async def sign_out(self) -> None:
        """End the session, and take its cookie back."""
        if self.session is not None:
            store, now = self.door.store, self.door.clock()
            await run_in_threadpool(session.end, store, self.session.id, now, address=self.address)
        self.session = None
        self._cookies.append(f"{session.COOKIE}=; {_COOKIE}; Max-Age=0")

    def _may(self, user_id: str) -> str:
        """Return the tenant of a user who may sign in from here; FormError."""
        table = schema.user
        wanted = sa.select(table.c.tenant_id, table.c.networks).where(table.c.id == user_id)
        with self.door.store.reading() as connection:
            row = stored(connection.execute(wanted).mappings().one())
        if not is_inside(self.asked.client, row["networks"]):
            raise FormError(403, "This account can't be used from your network address.")
        tenant_id: str = row["tenant_id"]
        return tenant_id

    def _set(self, name: str, secret: Secret) -> None:
        self._cookies.append(f"{name}={secret.reveal()}; {_COOKIE}")

    def _reply(self, status: int, body: bytes, told: Mapping[str, str]) -> Reply:
        cookies = (("Set-Cookie", one) for one in self._cookies)
        return Reply(status, body, (*told.items(), *cookies))


Handler = Callable[[Browser], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at its exact path: how it is shown, and what takes the form that it sends.

    `fields` are those of that form, `query` those of its address (None: its handler reads them);
    `signed_in` is False where nobody need be, `fresh` where they must have proven lately that it
    is they. An `entrance` is where other sites send browsers to: its handler reads the query as it
    came, and what was posted there is fetched, because no cookie comes along with another site's
    form. It changes nothing that its visitor was not asked for.
    """

    path: str
    show: Handler | None = None
    take: Handler | None = None
    fields: frozenset[str] = frozenset()
    query: frozenset[str] | None = frozenset()
    signed_in: bool = True
    fresh: bool = False
    entrance: bool = False

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
        browser = Browser(
            frame, request, frame.site.origin, page.path, None, Secret(""), {}, {}, ""
        )
        if request.fault is not None:
            return browser.refuse(400, "The request could not be read.")
        origin = frame.site.reached_by(request.host)
        if origin is None:
            words = f"This console is at {frame.site.origin}: open it there. If that is not where"
            words += " you reach it, its operator sets url under [console] in latchgate.toml."
            return browser.refuse(421, words)
        browser.origin = origin
        handler = page.handler(request.method)
        if handler is None:
            allowed = page.methods
            return browser.refuse(405, f"This page takes {allowed}.", Allow=allowed)
        try:
            return await self._handled(browser, handler, scope, receive)
        except FormError as refused:
            return browser.refuse(refused.status, refused.words, **refused.headers)
        except TooManyError as error:
            words = "Too many attempts of late. Wait a little, then try again."
            return browser.refuse(429, words, **{"Retry-After": str(error.retry_after)})
        except (ManageError, ConflictError) as error:
            return browser.refuse(409, f"{error}")
        except Exception:  # noqa: BLE001 - whatever fails is a page, and no half answer
            _log.exception("a page of the console could not be answered")
            return browser.refuse(503, "This can't be done just now. Try again later.")

    async def _handled(
        self, browser: Browser, handler: Handler, scope: Scope, receive: Receive
    ) -> Reply:
        page, door = self.page, self.frame.door
        if page.entrance and browser.asked.method == "POST":
            return await _fetched(browser, receive)
        cookies = cookie_parser(browser.asked.headers.get("cookie", ""))
        secret = Secret(cookies.get(session.COOKIE, ""))
        browser.session = await run_in_threadpool(
            session.resume, door.store, secret.reveal(), now=door.clock()
        )
        came_by = browser.session.provider if browser.session is not None else None
        if came_by is not None and not door.providers.knows(came_by):
            browser.session = None  # its provider is one no more (ATTACKS D6.59)
        known = cookies.get(ceremony.COOKIE, "")
        new = len(known) != ceremony.LENGTH or not known.isalnum() or not known.isascii()
        browser.known = ceremony.browser(door.entropy) if new else Secret(known)
        if new:
            browser._set(ceremony.COOKIE, browser.known)  # noqa: SLF001 - made and filled here
        browser._token = _token_of(secret if browser.session is not None else browser.known)  # noqa: SLF001
        if page.entrance:
            browser.raw = scope["query_string"]
        elif page.query is None or browser.asked.method != "POST":
            browser.query = read_pairs(scope["query_string"], page.query, "The address")
        if browser.asked.method == "POST":
            # Before anything is told: what another site sends is answered alike, session or not.
            check_origin(browser.asked, {browser.origin})
        told = _later(browser)
        if page.signed_in and browser.session is None:
            return browser.to_sign_in(told)
        if page.fresh and not browser.who.fresh(door.clock()):
            return browser.to_sign_in(told, again=True)
        if browser.asked.method == "POST":
            form = await read_form(browser.asked, receive, page.fields | {CSRF})
            _check_token(browser, form.pop(CSRF, ""), new=new)
            browser.form = form
        return await handler(browser)


async def _fetched(browser: Browser, receive: Receive) -> Reply:
    """Have what another site posted fetched instead, as RFC 6749 §3.1 lets it be sent either way.

    Nothing of it is looked at, and no cookie is set: those of this browser are not seen here.
    """
    sent = read_all(await read_body(browser.asked, receive), "The form")
    target = f"{browser.path}?{urlencode(sent)}"
    if local(target) != target:
        raise FormError(413, "The form is too long.")
    return browser.redirect(target)


def is_inside(client: Address | None, networks: list[str] | None) -> bool:
    """Whether an address is among networks; None for these is everywhere."""
    return networks is None or (client is not None and client in Networks.of(networks))


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
        words = "Your browser sent no cookie back. Signing in needs cookies, and they need HTTPS"
        raise FormError(403, f"{words} (or this machine's own address).")
    raise FormError(
        403, "This page was open for too long, or is of another sign-in. Open it again."
    )


def _token_of(secret: Secret) -> str:
    return digest("csrf", secret.reveal()).hex()
