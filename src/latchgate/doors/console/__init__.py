"""The console's own origin: pages for people, what else is mounted here, and health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from latchgate.core.dialects import DIALECTS, Public

_HEALTHZ = b'{"status":"ok"}'
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def console(pages: Mapping[str, Application]) -> Application:
    """Return the ASGI application of the console's address.

    `pages` by their exact path, or by one that names a record, such as `/keys/{id}`.
    """
    named = Router(
        [Route(path, page) for path, page in pages.items() if "{" in path],
        redirect_slashes=False,
        default=_rest,
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        page = pages.get(scope["path"])
        await (page or named)(scope, receive, send)

    return answer


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
