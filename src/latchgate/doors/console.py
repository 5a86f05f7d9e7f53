"""The console's own origin; so far it says where things are, and that the process answers."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from latchgate.core.dialects import DIALECTS, Public

_HEALTHZ = b'{"status":"ok"}'


async def console(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer `/healthz`, and refuse the rest as problem documents."""
    if scope["type"] != "http":
        return
    status, kind, body = 200, "application/json", _HEALTHZ
    if scope["path"] != "/healthz" or scope["method"] not in {"GET", "HEAD"}:
        text = "This version has no console yet. Use the latchgate command or /manage/v1."
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
