"""One request of a browser at the console: who is signed in, what it sent, and how it is answered.

Rule of this file: what a page is given was checked before it was called (`page`); what it answers
with is kept by nobody.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from latchgate.core.model import Request
from latchgate.core.network import Address, Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import NONE
from latchgate.core.secret import Secret, digest
from latchgate.doors.console.frame import Frame, Reply, headers
from latchgate.doors.console.languages import Language
from latchgate.doors.console.menu import Group, may_open
from latchgate.doors.console.standing import Standing
from latchgate.doors.door import Door
from latchgate.doors.form import (
    FormError,
)
from latchgate.manage.actor import Caller, Person
from latchgate.manage.idempotency import Once
from latchgate.signin import ceremony, session
from latchgate.signin.next_path import local
from latchgate.signin.session import Session
from latchgate.store import schema
from latchgate.store.journal import stored

ONCE = "once"  # the field that tells one opening of a form from another
_NUMBER = re.compile(r"[0-9a-f]{32}")  # of one opening of a form, as `page` gives it
NOTHING: Mapping[str, object] = {}
_NO_HEADERS: Mapping[str, str] = {}
_YEAR = 31_536_000
_NOBODY = Standing(None, (), outside=False)
_COOKIE = "Path=/; Secure; HttpOnly; SameSite=Lax"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Browser:
    """What a page is given: who asks, from where, with which form; and what it answers with.

    `form` holds the fields of a form that was sent, `query` those of the address, `raw` the query
    as it came, `known` what the browser is known by before anybody is signed in. `chosen` are the
    fields that may come several times, `id` the record that the path names.
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
    language: Language
    raw: bytes = b""
    id: str = ""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    standing: Standing = _NOBODY
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
    def caller(self) -> Caller:
        """Who is signed in, as one who acts."""
        if self.standing.caller is None:
            raise RuntimeError("a page that needs somebody who acts was opened without one")
        return self.standing.caller

    @property
    def policy(self) -> Policy:
        """The policy that is published now."""
        return self.door.engine.policy

    def may(self, *scopes: str) -> bool:
        """Whether who is signed in holds one of these scopes."""
        caller = self.standing.caller
        return caller is not None and may_open(scopes, caller.rights)

    def opens(self, path: str) -> bool:
        """Whether a page is shown at a path, such as `/keys/{id}`, to who is signed in."""
        caller = self.standing.caller
        return caller is not None and self.frame.menu.opens(path, caller.rights, self.policy)

    def words(self, text: str, **values: object) -> str:
        """Return a text in the reader's language, with its values put in."""
        return self.language.words(text, values)

    def choices(self, told: Mapping[Any, str]) -> list[tuple[str, str]]:
        """Return values of a field, each with its words in the reader's language."""
        return [(f"{value}", self.words(text)) for value, text in told.items()]

    def once(self, spec: object) -> Once | None:
        """Return that this form makes what it asks for once, however often it is sent."""
        key = self.form.get(ONCE, "")
        return Once.of(f"console {key}", self.path, spec) if _NUMBER.fullmatch(key) else None

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
        given = {
            "csrf": self._token,
            "once": self.door.entropy(16).hex(),
            "session": self.session,
            "problem": "",
            "faults": {},
            "path": self.path,
            "here": self._here,
            "menu": self.menu,
            "standing": self.standing,
            "may": self.may,
            **values,
        }
        body = self.frame.render(template, self.language, given)
        return self._reply(status, body, headers(form_targets))

    @property
    def menu(self) -> tuple[Group, ...]:
        """What who is signed in may open; nothing where nobody is."""
        caller = self.standing.caller
        rights = caller.rights if caller is not None else NONE
        return self.frame.menu.seen_with(rights, self.policy) if self.session else ()

    @property
    def _here(self) -> str:
        """Where this page is fetched: what a form was sent to may have no page of its own."""
        return self.asked.target if self.asked.method in {"GET", "HEAD"} else self.path

    def json(self, body: bytes) -> Reply:
        """Answer a page's script."""
        return self._reply(200, body, headers() | {"Content-Type": "application/json"})

    def file(self, name: str, kind: str, body: bytes) -> Reply:
        """Answer with a file to keep, of a media type; its name is one of ours."""
        told = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
        return self._reply(200, body, headers() | told)

    def refuse(
        self,
        status: int,
        text: str,
        values: Mapping[str, object] = NOTHING,
        *,
        more: Mapping[str, str] = _NO_HEADERS,
    ) -> Reply:
        """Answer with a page that says why it can't be done; `more` are headers by name."""
        words = self.language.words(text, values)
        reply = self.page("refused.html", status=status, words=words, told="")
        return Reply(reply.status, reply.body, (*reply.headers, *more.items()))

    def repeat(self, status: int, told: str) -> Reply:
        """Answer with a page that says what the rules refused, in the words that the API has."""
        return self.page("refused.html", status=status, words="", told=told)

    def redirect(self, path: str) -> Reply:
        """Send the browser to a path of this origin, to be fetched."""
        kept = {name: value for name, value in headers().items() if name != "Content-Type"}
        return self._reply(303, b"", kept | {"Location": local(path)})

    def depart(self, uri: str) -> Reply:
        """Send the browser to another origin, whose address is known to be right."""
        kept = {name: value for name, value in headers().items() if name != "Content-Type"}
        return self._reply(303, b"", kept | {"Location": uri})

    def to_sign_in(
        self, following: str, *, again: bool = False, login: str = "", provider: str = ""
    ) -> Reply:
        """Send the browser to sign in, and to a path of this origin after that.

        With `again` who is signed in proves it again. `login` is a name to begin with, `provider`
        that of an external one to go through.
        """
        told = {"login": login, "provider": provider, "again": "1" if again else ""}
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

    def recognize(self, known: str, secret: Secret) -> bool:
        """Take what the browser is known by, and what its session is; returns whether it is new."""
        new = len(known) != ceremony.LENGTH or not known.isalnum() or not known.isascii()
        self.known = ceremony.browser(self.door.entropy) if new else Secret(known)
        if new:
            self._set(ceremony.COOKIE, self.known)
        self._token = _token_of(secret if self.session is not None else self.known)
        return new

    def keep(self, name: str, choice: str) -> None:
        """Have the browser remember a choice for a year: nothing that opens anything."""
        self._cookies.append(f"{name}={choice}; {_COOKIE}; Max-Age={_YEAR}")

    def _set(self, name: str, secret: Secret) -> None:
        self._cookies.append(f"{name}={secret.reveal()}; {_COOKIE}")

    def _reply(self, status: int, body: bytes, told: Mapping[str, str]) -> Reply:
        cookies = (("Set-Cookie", one) for one in self._cookies)
        return Reply(status, body, (*told.items(), *cookies))


def is_inside(client: Address | None, networks: list[str] | None) -> bool:
    """Whether an address is among networks; None for these is everywhere."""
    return networks is None or (client is not None and client in Networks.of(networks))


def _token_of(secret: Secret) -> str:
    return digest("csrf", secret.reveal()).hex()
