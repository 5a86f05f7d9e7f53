"""The request for an application as a form, for people: no script, no session, no cookie.

Rule of this file: a form of another site can't be sent here (CSRF): a browser says where a form
came from, and what came from elsewhere is refused. A browser that says nothing (a text browser)
sends nothing that could be abused either: there is no session.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import jinja2
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from latchgate.core.network import Networks
from latchgate.doors.asgi import read_request
from latchgate.doors.form import FormError, check_origin, read_form
from latchgate.manage import applications
from latchgate.manage.applications import ApplicationSpec
from latchgate.manage.errors import TooManyError
from latchgate.signin.quota import Quota
from latchgate.store.errors import StoreError, UnstorableError
from latchgate.store.journal import Store

PATH = "/applications/request"
_TITLE = "Request an API key for an application"
# The console's colours and shapes, but in the page: nothing is fetched with it.
_STYLE = (
    ":root{--ground:#f6f7f6;--card:#fff;--ink:#1c2422;--soft:#56635f;--line:#d5dcd9;--lead:#1f5f5b;"
    "--on-lead:#fff;--bad:#a11616;--bad-ground:#fdecec}"
    "@media (prefers-color-scheme:dark){:root{--ground:#131817;--card:#1b2221;--ink:#e5ebe9;"
    "--soft:#a0aeaa;--line:#35403d;--lead:#7cc7bf;--on-lead:#0c2321;--bad:#ffb3ac;"
    "--bad-ground:#3d1a19}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}"
    "header{padding:.9rem max(1rem,calc(50vw - 21rem));background:var(--card);"
    "border-bottom:1px solid var(--line)}"
    "header a{color:var(--ink);font-weight:700;text-decoration:none}"
    "main{max-width:44rem;margin:0 auto;padding:1.5rem 1rem 4rem}"
    "h1{margin:0 0 1rem;font-size:1.6rem;line-height:1.25}"
    "form,dl{padding:1.25rem;background:var(--card);border:1px solid var(--line);"
    "border-radius:.6rem}"
    "form p{margin:0 0 1rem}form p:last-child{margin:0}"
    "label,dt{display:block;margin:0 0 .25rem;font-weight:600}"
    "dd{margin:0 0 .75rem}dd:last-child{margin:0}"
    "input,select,textarea{width:100%;padding:.55rem .7rem;border:1px solid var(--soft);"
    "border-radius:.4rem;background:var(--ground);color:inherit;font:inherit}"
    "[aria-invalid]{border-color:var(--bad)}"
    "button{padding:.55rem 1.1rem;border:1px solid var(--lead);border-radius:.4rem;"
    "background:var(--lead);color:var(--on-lead);font:inherit;font-weight:600;cursor:pointer}"
    ":focus-visible{outline:3px solid var(--lead);outline-offset:2px}"
    "code{overflow-wrap:anywhere;font-family:ui-monospace,monospace}"
    ".fault{display:block;margin:.25rem 0 0;color:var(--bad);font-size:.9rem}"
    "p.fault{padding:.6rem .9rem;border-radius:.4rem;background:var(--bad-ground);font-size:1rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that a browser would call its own forms' origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Field:
    """One field as the page shows it; `rule` says what is taken, `fault` that it was not."""

    name: str
    label: str
    rule: str
    type: str = "text"
    rows: int = 0
    longest: int = 120
    choices: tuple[tuple[str, str], ...] = ()
    value: str = ""
    fault: str = ""


_LINE = "1 to 120 characters on one line."
_FIELDS = (
    _Field("name", "Name of the application", _LINE),
    _Field("vendor", "Vendor: who publishes it", _LINE),
    _Field(
        "contact",
        "E-mail address of somebody who answers",
        "An address such as keys@example.com.",
        type="email",
        longest=254,
    ),
    _Field(
        "developer",
        "You are",
        "One of the three.",
        choices=(
            ("corporation", "a corporation"),
            ("individual", "an individual"),
            ("open_source", "an open source project"),
        ),
    ),
    _Field(
        "purpose",
        "What it does, and what it needs the API for",
        "1 to 2,000 characters, without control characters.",
        rows=6,
        longest=2_000,
    ),
)
_NAMES = frozenset(one.name for one in _FIELDS)


@dataclass(frozen=True, slots=True)
class ApplicationForm:
    """The page, as an ASGI application; `ticks` is a clock that never jumps."""

    store: Store
    requests: Quota
    trusted: Networks
    ticks: Callable[[], float]
    entropy: Callable[[int], bytes]
    _template: jinja2.Template = field(init=False, repr=False)

    def __post_init__(self) -> None:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("latchgate.doors", "pages"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        object.__setattr__(self, "_template", environment.get_template("application.html"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET, HEAD and POST; the rest is refused."""
        more: Mapping[str, str] = {}
        try:
            if scope["method"] in {"GET", "HEAD"}:
                status, page = 200, self._page({}, {})
            elif scope["method"] == "POST":
                status, page = await self._take(scope, receive)
            else:
                raise FormError(405, "This page takes GET and POST.", Allow="GET, HEAD, POST")  # noqa: TRY301 - one place words refusals
        except FormError as refused:
            status, page, more = refused.status, self._page({}, {}, refused.words), refused.headers
        body = page.encode()
        headers = _HEADERS | dict(more) | {"Content-Length": str(len(body))}
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        sent = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent})

    async def _take(self, scope: Scope, receive: Receive) -> tuple[int, str]:
        request = read_request(scope, self.trusted)
        if request.fault is not None:
            raise FormError(400, "The request could not be read.")
        host = request.host.lower()
        check_origin(request, (f"https://{host}", f"http://{host}"))
        told, _ = await read_form(request, receive, _NAMES)
        try:
            # A browser ends the lines of a text with two characters.
            given = {one.name: told.get(one.name, "") for one in _FIELDS}
            spec = msgspec.convert(
                {name: text.replace("\r\n", "\n").strip() for name, text in given.items()},
                ApplicationSpec,
            )
        except msgspec.ValidationError as error:
            name = str(error).partition(" - at `$.")[2].rstrip("`")
            rule = next((one.rule for one in _FIELDS if one.name == name), str(error))
            words = "The request was not kept: see the field below."
            return 422, self._page(told, {name: rule}, words)
        wait = self.requests.take(request.client, self.ticks())
        if wait:
            again = math.ceil(wait)
            words = f"Too many requests of late from your address; try again in {again} s."
            raise FormError(429, words, **{"Retry-After": str(again)})
        address = str(request.client) if request.client is not None else None
        try:
            made, token = await run_in_threadpool(
                applications.request, self.store, spec, address=address, entropy=self.entropy
            )
        except TooManyError as error:
            wait_seconds = str(error.retry_after)
            raise FormError(429, f"{error}.", **{"Retry-After": wait_seconds}) from error
        except UnstorableError as error:
            raise FormError(422, f"The request can't be kept: {error}.") from error
        except StoreError as error:
            _log.exception("a request for an application could not be kept")
            raise FormError(503, "It could not be kept just now; try again later.") from error
        shown = self._template.render(
            title=_TITLE, style=_STYLE, made=made, token=token.reveal(), fields=(), problem=""
        )
        return 201, shown

    def _page(self, told: Mapping[str, str], faults: Mapping[str, str], problem: str = "") -> str:
        fields = [
            replace(one, value=told.get(one.name, ""), fault=faults.get(one.name, ""))
            for one in _FIELDS
        ]
        return self._template.render(
            title=_TITLE, style=_STYLE, made=None, token="", fields=fields, problem=problem
        )
