"""The console's own origin: pages for people, what else is mounted here, and health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from latchgate.core.dialects import DIALECTS, Public

_HEALTHZ = b'{"status":"ok"}'
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
MISSING = "*"  # for the page that says there is none, instead of a path


def console(pages: Mapping[str, Application]) -> Application:
    """Return the ASGI application of the console's address.

    `pages` by their exact path, or by one that names a record, such as `/keys/{id}`; the one of
    MISSING tells people that there is none, programs are told in their own way.
    """

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        missing = pages.get(MISSING)
        reads = scope["method"] in {"GET", "HEAD"} and scope["path"] != "/healthz"
        if missing is not None and reads and _takes_html(scope):
            await missing(scope, receive, send)
        else:
            await _rest(scope, receive, send)

    named = Router(
        [Route(path, page) for path, page in pages.items() if "{" in path],
        redirect_slashes=False,
        default=rest,
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        page = pages.get(scope["path"]) if scope["path"] != MISSING else None
        await (page or named)(scope, receive, send)

    return answer


def _takes_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in text for name, text in scope["headers"])


async def _rest(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer `/healthz`, and refuse the rest as problem documents."""
    status, kind, body = 200, "application/json", _HEALTHZ
    if scope["path"] != "/healthz" or scope["method"] not in {"GET", "HEAD"}:
        text = "There is no such page here. People sign in at /sign-in."
        reply = DIALECTS["problem"](Public(404, "not_found", text), (), "")
        status, kind, body = reply.status, "application/problem+json", reply.body
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    sent = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": sent})
