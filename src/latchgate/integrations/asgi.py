"""ASGI: a middleware that decides every request and WebSocket before the application sees it.

Rule of this file: what is decided is the raw path as it arrived, and it must be the path that the
application serves. No framework is needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from latchgate.integrations.guard import Asked, Guard, doubt
from latchgate.integrations.identity import Identity, is_identity_header
from latchgate.verifier import Verdict

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = "latchgate"
_POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1
_DENIAL = "websocket.http.response"
_SAFE = "/:@!$&'()*+,;=~"
_log = logging.getLogger(__name__)


def read(scope: Mapping[str, Any]) -> Asked:
    """Read what an `http` or `websocket` scope asks; a WebSocket is asked for by GET."""
    raw, path, prefix = scope.get("raw_path"), scope["path"], scope.get("root_path", "")
    if raw is None:
        # Optional in ASGI. Every % left in the decoded path is data, so it is quoted too: what
        # is decided is what the application, which has no other path either, serves.
        target, why = quote(path, safe=_SAFE, errors="surrogatepass"), None
    else:
        target = raw.decode("latin-1").partition("?")[0]
        why = doubt(target, prefix=prefix, path=path)
    query = scope.get("query_string", b"").decode("latin-1")
    client = scope.get("client")
    return Asked(
        method=scope.get("method", "GET"),
        target=f"{target}?{query}" if query else target,
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        peer=client[0] if client else None,
        tls=scope.get("scheme") in {"https", "wss"},
        doubt=why,
    )


def hide(scope: Mapping[str, Any], replaced: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return a scope's headers without the identity headers that a client sent.

    Those of the area's old system (`Verdict.replaced`) stand in their place.
    """
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if not is_identity_header(name.decode("latin-1"), replaced)
    ]
    told = ((name, value) for name, value in replaced.items() if value)
    return kept + [(name.lower().encode(), value.encode("latin-1")) for name, value in told]


def known(scope: Scope) -> Identity | None:
    """Return for whom this request was already allowed, None when nobody decided it yet."""
    found = scope.get("state", {}).get(KEY)
    return found if isinstance(found, Identity) else None


def remember(scope: Scope, identity: Identity) -> None:
    """Keep the identity with the request, in a state of its own: a server may share one."""
    scope["state"] = {**scope.get("state", {}), KEY: identity}


class LatchgateMiddleware:
    """Decides each request before `app`; the identity is `scope["state"]["latchgate"]`.

    `set_headers` adds it as `X-Latchgate-*` headers too. The guard's verifier is opened and
    closed with the server's lifespan, or opened by the first request where there is none.
    """

    def __init__(self, app: App, *, guard: Guard | None = None, set_headers: bool = False) -> None:
        self._app = app
        self._guard = guard or Guard()
        self._set_headers = set_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; NotImplementedError for a sort that nobody could decide."""
        if scope["type"] == "lifespan":
            await _Lifespan(self._app, self._guard, receive, send).run(scope)
            return
        if scope["type"] not in {"http", "websocket"}:
            msg = f"Latchgate can't decide an ASGI scope of type {scope['type']!r}"
            raise NotImplementedError(msg)
        verdict = await self._guard.decide_async(read(scope))
        if not verdict.allowed:
            await refuse(verdict, scope, send)
            return
        identity = Identity.of(verdict.identity)
        headers = hide(scope, verdict.replaced)
        if self._set_headers:
            headers += [
                (name.lower().encode(), value.encode("utf-8")) for name, value in identity.headers()
            ]
        inner: Scope = {**scope, "headers": headers}
        remember(inner, identity)
        await self._app(inner, receive, telling(send, verdict) if verdict.headers else send)


def telling(send: Send, verdict: Verdict) -> Send:
    """Return what adds an allowed verdict's headers to the application's answer."""
    more = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in verdict.headers
    ]

    async def tell(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.accept"}:
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return tell


async def refuse(verdict: Verdict, scope: Scope, send: Send) -> None:
    """Answer a refused request exactly as its verdict says.

    A WebSocket gets that answer where the server can give one before it accepts, else it is
    closed with 1008, which a client sees as 403.
    """
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in verdict.headers
    ]
    headers.append((b"content-length", str(len(verdict.body)).encode()))
    start = {"status": verdict.status, "headers": headers}
    if scope["type"] == "http":
        await send({"type": "http.response.start", **start})
        body = b"" if scope["method"] == "HEAD" else verdict.body
        await send({"type": "http.response.body", "body": body})
    elif _DENIAL in scope.get("extensions", {}):
        await send({"type": f"{_DENIAL}.start", **start})
        await send({"type": f"{_DENIAL}.body", "body": verdict.body})
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})


class _Lifespan:
    """Opens the verifier before the application starts, and closes it after its end."""

    def __init__(self, app: App, guard: Guard, receive: Receive, send: Send) -> None:
        self._app = app
        self._guard = guard
        self._receive = receive
        self._send = send
        self._began: Message | None = None
        self._answered = False

    async def run(self, scope: Scope) -> None:
        self._began = await self._receive()
        try:
            await asyncio.to_thread(self._guard.open)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server must not start
            _log.exception("the verifier could not be opened")
            await self._send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        try:
            await self._inside(scope)
        finally:
            await asyncio.to_thread(self._guard.close)

    async def _inside(self, scope: Scope) -> None:
        try:
            await self._app(scope, self._first, self._noted)
        except Exception:
            if self._answered:
                raise
            # ASGI lets an application that has no use for a lifespan raise; it is still ours.
            _log.debug("the application takes no lifespan", exc_info=True)
        if not self._answered:
            await self._send({"type": "lifespan.startup.complete"})
            await self._receive()
            await self._send({"type": "lifespan.shutdown.complete"})

    async def _first(self) -> Message:
        """Hand the message on that was read here, then the server's."""
        began, self._began = self._began, None
        return began if began is not None else await self._receive()

    async def _noted(self, message: Message) -> None:
        self._answered = True
        await self._send(message)
