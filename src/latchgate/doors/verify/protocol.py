"""The verify connection: parsed by httptools, decided and answered without a framework.

Rule of this file: one request in, one decision, one write. All is answered at once but what needs a
slow password; until that is answered, what follows on its connection waits, undecided, and once
anything waits no more is read. Whatever fails is a refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from latchgate.core.model import Decision, Request
from latchgate.core.network import Networks, parse_address
from latchgate.core.reason import Reason
from latchgate.doors.listener import MAX_HEADERS, MAX_TARGET_BYTES, Listener
from latchgate.doors.readiness import Readiness
from latchgate.doors.verify.caching import CACHED, Caching, forgotten, remembered
from latchgate.doors.verify.gateways import FAMILIES, Family, envoy, nginx
from latchgate.doors.verify.head import HeadReader, request_lines
from latchgate.doors.verify.prepared import Prepared
from latchgate.doors.verify.questions import read_questions, word_answers
from latchgate.doors.verify.wording import BELOW_NGINX, allowed, as_json, passed, problem, told
from latchgate.verify.shadow import Settled, Shadows
from latchgate.verify.walk import Slow

MAX_BODY = 1_048_576
_MAX_NAMES = 4_096
_MAX_NAME = 64  # long ones would fill memory as fast as a flood wants
_log = logging.getLogger(__name__)
_names: dict[bytes, str] = {}
_NONE: frozenset[str] = frozenset()
_ALLOWED = Reason.ALLOWED  # looked up through its class it takes as long as all that is compared
_LINES = request_lines([*FAMILIES, CACHED])

_Asked = tuple[str, str, dict[str, str], frozenset[str], bytes]


class Engine(Protocol):
    """What decides; `latchgate.verify.engine.Engine` in the server."""

    incarnation: int

    @property
    def position(self) -> int:
        """The journal number that decisions are exact at."""
        ...

    def follow(self) -> None:
        """Catch up with the journal."""
        ...

    def attempt(self, request: Request) -> Decision | Slow:
        """Decide one request, or say what slow work it needs first."""
        ...

    async def decide_later(self, request: Request, need: Slow) -> Decision:
        """Decide one request when that work is done."""
        ...

    def ready(self) -> str | None:
        """Return why requests can't be decided now; None when they can. Waits for the database."""
        ...


class VerifyDoor:
    """What all connections of the verify listener share.

    Without `shadows`, whatever falls into an area with an old system is refused; without `caching`
    no gateway is let remember anything; `readiness` says when the server ends.
    """

    def __init__(
        self,
        engine: Engine,
        trusted: Networks,
        shadows: Shadows | None = None,
        caching: Caching | None = None,
        readiness: Readiness | None = None,
    ) -> None:
        self.engine = engine
        self.trusted = trusted
        self.shadows = shadows
        self.caching = caching
        self.readiness = readiness or Readiness()
        self.refused = Prepared().worded

    def allowed(self, decision: Decision, url: str) -> bytes:
        """Return the answer that passes a request on, identity included, as was asked at `url`.

        Worded once for a remembered decision: any change of a record makes a new one.
        """
        memo = decision.memo
        if memo is None:
            return allowed(decision, url)
        if url.startswith(BELOW_NGINX):
            if memo.answer_to_nginx is None:
                memo.answer_to_nginx = allowed(decision, url)
            return memo.answer_to_nginx
        if memo.answer is None:
            memo.answer = allowed(decision, url)
        return memo.answer

    def protocol(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        turned_away: Callable[[str], None] | None = None,
    ) -> VerifyProtocol:
        """Make the protocol of one connection, as uvicorn asks for it."""
        return VerifyProtocol(self, config, server_state, app_state, _loop, turned_away=turned_away)


class VerifyProtocol(Listener):
    """One gateway's connection."""

    most_connections = 1

    def __init__(
        self,
        door: VerifyDoor,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        turned_away: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop, turned_away=turned_away)
        self._door = door
        self._attempt = door.engine.attempt
        self._read_head = HeadReader(_LINES).read
        self._peer_trusted = False
        self._headers: dict[str, str] = {}
        self._repeated = _NONE
        self._more = 0
        self._body = b""
        self._waiting: deque[tuple[_Asked, bool]] = deque()
        self._under_way: asyncio.Task[None] | None = None

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

    def data_received(self, data: bytes) -> None:
        """Answer a whole usual request at once; all else is parsed and bounded by the listener."""
        if not (
            self._in_head
            or self._in_body
            or self._last
            or self._held
            or self._under_way is not None
            or self.transport.is_closing()
        ):
            read = self._read_head(data)
            if read is not None:
                self._progress += 1
                self._respond(("GET", *read, _NONE, b""), last=False)
                return
        super().data_received(data)

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
        method = self.parser.get_method().decode("latin-1")
        asked = method, self.url.decode("latin-1"), self._headers, self._repeated, self._body
        last = self._last or not self.parser.should_keep_alive()
        if self._under_way is not None:
            self._waiting.append((asked, last))
            # Not before: a transport that is not read from does not notice that its peer left.
            self.flow.pause_reading()
            return
        self._respond(asked, last=last)

    def _respond(self, asked: _Asked, *, last: bool) -> None:
        """Answer now, or start what answers when the slow work is done."""
        try:
            answered = self._answer(asked)
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            _log.exception("a question to the verify door could not be answered")
            answered = problem(Reason.FAULT, "GET")
        if isinstance(answered, bytes):
            self._write(answered, last=last)
            return
        self._under_way = self.loop.create_task(self._finish(answered, last=last))
        # A server that ends waits for these, and cancels them when it may wait no longer.
        self.server_state.tasks.add(self._under_way)
        self._under_way.add_done_callback(self.server_state.tasks.discard)

    def _write(self, written: bytes, *, last: bool) -> None:
        if last:
            # RFC 9112 §9.6: whoever is going to close says so with the last answer.
            written = written.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        self.transport.write(written)
        self.server_state.total_requests += 1
        if last:
            self.transport.close()

    async def _finish(self, answered: Awaitable[bytes], *, last: bool) -> None:
        """Write a late answer, then turn to what came behind it."""
        try:
            written = await answered
        except asyncio.CancelledError:
            self.transport.abort()  # no answer is a refusal
            raise
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            _log.exception("a question to the verify door could not be answered")
            written = problem(Reason.FAULT, "GET")
        self._under_way = None
        if self.transport.is_closing():
            return
        self._write(written, last=last or (self._last and not self._waiting))
        while self._waiting and self.idle() and not self.transport.is_closing():
            asked, last = self._waiting.popleft()
            self._respond(asked, last=last or (self._last and not self._waiting))
        if not self.transport.is_closing() and not self._waiting:
            self.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what nobody waits for any more."""
        if self._under_way is not None:
            self._under_way.cancel()
        self._waiting.clear()
        super().connection_lost(exc)

    def full(self) -> bool:
        """Whether something waits behind a slow answer, or the peer leaves its answers unread."""
        return self.flow.write_paused or bool(self._waiting)

    def pause_writing(self) -> None:
        """Take no more questions from a peer that leaves its answers unread."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Take questions again."""
        super().resume_writing()
        self.go_on()

    def shutdown(self) -> None:
        """Close, once what is under way is answered."""
        if self._under_way is None:
            super().shutdown()
        else:
            self._last = True

    def idle(self) -> bool:
        """Whether no answer is under way; but for slow ones, each is written at once."""
        return self._under_way is None

    def _give_up(self) -> bool:
        """Say that a refusal may not overtake the answer under way; it is the last."""
        return False

    def _answer(self, asked: _Asked) -> bytes | Awaitable[bytes]:
        method, url, headers, repeated, body = asked
        if not self._peer_trusted:
            return problem(Reason.GATEWAY_NOT_TRUSTED, method)
        family = FAMILIES.get(url) or _family(url)
        if family is None:
            return self._cacheable(asked) if url == CACHED else self._other(method, url, body)
        door = self._door
        request = family(method, url, headers, repeated, door.trusted)
        decision = self._attempt(request)
        if not isinstance(decision, Decision):
            return self._later(request, decision, method, url, headers.get("accept", ""))
        area = decision.area
        if area is not None and area.shadow is not None:
            return self._shadowed(request, decision, method, url, headers.get("accept", ""))
        if decision.reason is _ALLOWED:
            return door.allowed(decision, url)
        return door.refused(decision, method, url, headers.get("accept", ""))

    def _cacheable(self, asked: _Asked) -> bytes | Awaitable[bytes]:
        """Answer an nginx that remembers what it may, and nothing else."""
        method, url, headers, repeated, _ = asked
        caching = self._door.caching
        moment = caching.moment() if caching is not None else None
        request = nginx(method, url, headers, repeated, self._door.trusted)
        decision = self._attempt(request)
        accept = headers.get("accept", "")
        if not isinstance(decision, Decision):
            return _forgetting(self._later(request, decision, method, url, accept))
        if decision.area is not None and decision.area.shadow is not None:
            return _forgetting(self._shadowed(request, decision, method, url, accept))
        if decision.reason is not Reason.ALLOWED:
            return forgotten(self._door.refused(decision, method, url, accept))
        written = self._door.allowed(decision, url)
        if caching is None or moment is None:
            return forgotten(written)
        until = caching.until(request, decision, moment)
        return forgotten(written) if until is None else remembered(written, until, moment)

    async def _later(
        self, request: Request, need: Slow, method: str, url: str, accept: str
    ) -> bytes:
        decision = await self._door.engine.decide_later(request, need)
        if decision.area is not None and decision.area.shadow is not None:
            return await self._shadowed(request, decision, method, url, accept)
        if decision.reason is Reason.ALLOWED:
            return self._door.allowed(decision, url)
        return self._door.refused(decision, method, url, accept)

    async def _shadowed(
        self, request: Request, decision: Decision, method: str, url: str, accept: str
    ) -> bytes:
        """Answer what the old system of the area says."""
        settled = await self._settled(request, decision)
        if settled is None:
            return problem(Reason.FAULT, method)
        if settled.told is None:
            if settled.allowed:
                return self._door.allowed(settled.decision, url)
            return self._door.refused(settled.decision, method, url, accept)
        if settled.allowed:
            return passed(settled.passed, url)
        return told(settled, method, url)

    async def _settled(self, request: Request, decision: Decision) -> Settled | None:
        shadows = self._door.shadows
        if shadows is None:
            return None
        return await shadows.settle(self._door.engine, request, decision)

    def _other(self, method: str, url: str, body: bytes) -> bytes | Awaitable[bytes]:
        if url == "/" and method == "POST":
            try:
                requests, batch = read_questions(body)
            except msgspec.MsgspecError as error:
                return problem(Reason.REQUEST_INVALID, method, detail=str(error))
            decisions = [(request, self._attempt(request)) for request in requests]
            if not any(map(_waits, decisions)):
                return as_json(word_answers(decisions, batch=batch), method)
            return self._questions(decisions, batch=batch)
        if url == "/healthz" and method in {"GET", "HEAD"}:
            told = {"status": "ok", "verifier": f"{self._door.engine.incarnation:016x}"}
            return as_json(msgspec.json.encode(told), method)
        if url == "/readyz" and method in {"GET", "HEAD"}:
            return self._ready(method)
        if url == "/":
            return problem(Reason.METHOD_NOT_ALLOWED, method, allow="POST")
        return problem(Reason.NO_AREA, method)

    async def _ready(self, method: str) -> bytes:
        why = (
            "The server is stopping."
            if self._door.readiness.draining
            else await asyncio.to_thread(self._door.engine.ready)
        )
        if why is not None:
            return problem(Reason.STORE_UNAVAILABLE, method, detail=why)
        return as_json(msgspec.json.encode({"status": "ready"}), method)

    async def _questions(
        self, decisions: list[tuple[Request, Decision | Slow]], *, batch: bool
    ) -> bytes:
        """Wait for what takes slow work; what changed meanwhile has all of it decided anew."""
        engine = self._door.engine
        while True:
            before = engine.position
            settled = [
                (request, found)
                if isinstance(found, Decision)
                else (request, await engine.decide_later(request, found))
                for request, found in decisions
            ]
            engine.follow()
            if engine.position == before:
                enforced = await asyncio.gather(*(self._enforced(*one) for one in settled))
                return as_json(word_answers(enforced, batch=batch), "POST")
            decisions = [(request, self._attempt(request)) for request, _ in decisions]

    async def _enforced(
        self, request: Request, decision: Decision
    ) -> tuple[Request, Decision | Settled]:
        if decision.area is None or decision.area.shadow is None:
            return request, decision
        settled = await self._settled(request, decision)
        if settled is None:
            msg = "an area has a shadow, and nobody asks its old system"
            raise RuntimeError(msg)
        return request, settled


async def _forgetting(answer: Awaitable[bytes]) -> bytes:
    return forgotten(await answer)


def _family(url: str) -> Family | None:
    """Return who asks with more than a target that stands for a family by itself."""
    return envoy if url.startswith("/envoy/") else FAMILIES.get(url.partition("?")[0])


def _waits(asked: tuple[Request, Decision | Slow]) -> bool:
    _, decision = asked
    if not isinstance(decision, Decision):
        return True
    return decision.area is not None and decision.area.shadow is not None


def _folded(name: bytes) -> str:
    """Return a header's name in lower case, and remember the spellings that gateways use."""
    key = name.decode("latin-1").lower()
    if len(_names) < _MAX_NAMES and len(name) <= _MAX_NAME:
        _names[name] = key
    return key
