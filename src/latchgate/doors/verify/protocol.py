"""The verify connection: parsed by httptools, decided and answered without a framework.

Rule of this file: one request in, one decision, one write; everything is answered in order
because everything is answered at once. Whatever fails is a refusal.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from latchgate.core.answer import identity, refusal
from latchgate.core.dialects import DIALECTS, Public
from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision, Grant, Request
from latchgate.core.network import Networks, parse_address
from latchgate.core.policy import Rule
from latchgate.core.reason import Reason
from latchgate.doors.listener import MAX_HEADERS, MAX_TARGET_BYTES, Listener
from latchgate.doors.verify.gateways import FAMILIES, envoy
from latchgate.doors.verify.questions import answer

MAX_BODY = 1_048_576
_MAX_NAMES = 4_096
_MAX_NAME = 64  # long ones would fill memory as fast as a flood wants
_MAX_PREPARED = 200_000
_log = logging.getLogger(__name__)
_NO_BODY = b"Content-Length: 0\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_names: dict[bytes, str] = {}
_NONE: frozenset[str] = frozenset()


class Engine(Protocol):
    """What decides; `latchgate.verify.engine.Engine` in the server."""

    incarnation: int

    def decide(self, request: Request) -> Decision:
        """Decide one request."""
        ...


class VerifyDoor:
    """What all connections of the verify listener share."""

    def __init__(self, engine: Engine, trusted: Networks) -> None:
        self.engine = engine
        self.trusted = trusted
        self._prepared: dict[str, tuple[Grant, Rule | None, bytes]] = {}

    def allowed(self, decision: Decision) -> bytes:
        """Return the answer that passes a request on, identity included.

        Prepared once for each credential and reused while the very same grant and rule decide:
        any change of a record makes a new grant.
        """
        grant = decision.grant
        if grant is None:
            return _allowed(decision)
        known = self._prepared.get(grant.credential.id)
        if known is not None and known[0] is grant and known[1] is decision.rule:
            return known[2]
        if len(self._prepared) >= _MAX_PREPARED:
            self._prepared.clear()
        written = _allowed(decision)
        self._prepared[grant.credential.id] = grant, decision.rule, written
        return written

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> VerifyProtocol:
        """Make the protocol of one connection, as uvicorn asks for it."""
        return VerifyProtocol(self, config, server_state, app_state, _loop)


class VerifyProtocol(Listener):
    """One gateway's connection."""

    def __init__(
        self,
        door: VerifyDoor,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._door = door
        self._decide = door.engine.decide
        self._peer_trusted = False
        self._headers: dict[str, str] = {}
        self._repeated = _NONE
        self._more = 0
        self._body = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note whether the peer is a configured gateway; a unix socket's peer passed its mode."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if not isinstance(peer, tuple):
            self._peer_trusted = True
            return
        try:
            self._peer_trusted = parse_address(peer[0]) in self._door.trusted
        except ValueError:
            self._peer_trusted = False

    def on_message_begin(self) -> None:
        """Start a request without any of the state that an ASGI application would need."""
        self._in_head = True
        self.url = b""
        self._headers = {}
        self._repeated = _NONE
        self._more = 0
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Bound the request target."""
        self.url += url
        if len(self.url) > MAX_TARGET_BYTES:
            self._limit(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header under its lower-case name; several values become one list.

        The list is what RFC 9110 §5.3 reads; whoever can't take one looks at `_repeated`.
        """
        if self._in_body:
            self._limit(400)  # a trailer
        key = _names.get(name) or _folded(name)
        headers = self._headers
        text = value.decode("latin-1")
        if key in headers:
            self._repeated |= {key}
            text = f"{headers[key]}, {text}"
            self._more += 1
        headers[key] = text

    def on_headers_complete(self) -> None:
        """Check the head's size and framing."""
        headers = self._headers
        if len(headers) + self._more > MAX_HEADERS:
            self._limit(431)
        if "host" in self._repeated:
            self._limit(400)
        self._hosts = "host" in headers
        self._framed = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.end_head()
        if "expect" in headers and headers["expect"].lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Keep a bounded body; only `POST /` has a use for one."""
        self._body += body
        if len(self._body) > MAX_BODY:
            self._limit(413)

    def on_message_complete(self) -> None:
        """Decide and answer."""
        self._in_body = False
        if self.transport.is_closing():
            return
        try:
            written = self._answer(self.url.decode("latin-1"))
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            _log.exception("a question to the verify door could not be answered")
            written = _problem(Reason.FAULT, "GET")
        self.transport.write(written)
        self.server_state.total_requests += 1
        if self._last or not self.parser.should_keep_alive():
            self.transport.close()

    def idle(self) -> bool:
        """Every answer is written at once, so a quiet connection is an idle one."""
        return True

    def _answer(self, url: str) -> bytes:
        method = self.parser.get_method().decode("latin-1")
        if not self._peer_trusted:
            return _problem(Reason.GATEWAY_NOT_TRUSTED, method)
        family = FAMILIES.get(url.partition("?")[0])
        if family is not None:
            decision = self._decide(
                family(method, url, self._headers, self._repeated, self._door.trusted)
            )
            if decision.reason is Reason.ALLOWED:
                return self._door.allowed(decision)
            return _for_nginx(decision) if url.startswith("/nginx") else _refused(decision, method)
        if url.startswith("/envoy/"):
            decision = self._decide(
                envoy(method, url, self._headers, self._repeated, self._door.trusted)
            )
            if decision.reason is Reason.ALLOWED:
                return self._door.allowed(decision)
            return _refused(decision, method)
        return self._other(method, url)

    def _other(self, method: str, url: str) -> bytes:
        if url == "/" and method == "POST":
            try:
                return _json(answer(self._body, self._decide), method)
            except msgspec.MsgspecError as error:
                return _problem(Reason.REQUEST_INVALID, method, detail=str(error))
        if url == "/healthz" and method in {"GET", "HEAD"}:
            told = {"status": "ok", "verifier": f"{self._door.engine.incarnation:016x}"}
            return _json(msgspec.json.encode(told), method)
        if url == "/":
            return _problem(Reason.METHOD_NOT_ALLOWED, method, allow="POST")
        return _problem(Reason.NO_AREA, method)


def _folded(name: bytes) -> str:
    """Return a header's name in lower case, and remember the spellings that gateways use."""
    key = name.decode("latin-1").lower()
    if len(_names) < _MAX_NAMES and len(name) <= _MAX_NAME:
        _names[name] = key
    return key


def _allowed(decision: Decision) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in identity(decision)])
    return _OK + lines.encode("latin-1") + _NO_BODY


def _refused(decision: Decision, method: str) -> bytes:
    """Answer as the provider would: this family of gateways passes status, headers and body on."""
    reply = refusal(decision)
    lines = [f"{name}: {value}" for name, value in reply.headers]
    lines.append(f"X-Latchgate-Decision: {decision.id}")
    return _whole(reply.status, lines, reply.body, method)


_FOR_NGINX = {
    "Content-Type": "X-Latchgate-Content-Type",
    "WWW-Authenticate": "X-Latchgate-Challenge",
    "Allow": "X-Latchgate-Allow",
}


def _for_nginx(decision: Decision) -> bytes:
    """Answer with the status that nginx passes on, and the provider's answer in headers.

    `auth_request` takes 401 and 403 and drops bodies; one location of the shipped configuration
    rebuilds the answer from these (deploy/nginx).
    """
    reply = refusal(decision)
    lines = [f"{_FOR_NGINX[name]}: {value}" for name, value in reply.headers]
    lines += [
        f"X-Latchgate-Status: {reply.status}",
        f"X-Latchgate-Body: {reply.body.decode()}",
        f"X-Latchgate-Decision: {decision.id}",
        "Content-Length: 0",
    ]
    return _bytes(401 if reply.status == 401 else 403, lines, b"")  # noqa: PLR2004 - see above


def _problem(
    reason: Reason, method: str, *, detail: str | None = None, allow: str | None = None
) -> bytes:
    public = TABLE[reason]["problem"]
    if detail is not None:
        public = Public(public.status, public.code, detail)
    reply = DIALECTS["problem"](public, None)
    lines = [f"{name}: {value}" for name, value in reply.headers]
    if allow is not None:
        lines.append(f"Allow: {allow}")
    return _whole(reply.status, lines, reply.body, method)


def _json(body: bytes, method: str) -> bytes:
    return _whole(200, ["Content-Type: application/json"], body, method)


def _whole(status: int, lines: list[str], body: bytes, method: str) -> bytes:
    lines = [*lines, "Cache-Control: no-store", f"Content-Length: {len(body)}"]
    return _bytes(status, lines, b"" if method == "HEAD" else body)


def _bytes(status: int, lines: list[str], body: bytes) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} {_PHRASES[status]}", *lines, "", ""])
    return head.encode("utf-8") + body
