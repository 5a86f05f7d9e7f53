"""The HTTP/1.1 connection of every door: uvicorn's protocol, with limits it lacks.

Plain uvicorn took 200 MB of headers and kept a half-sent request open for as long as it was
watched (ARCHITECTURE §8). Rule of this file: whatever a peer sends is bounded in size and time,
and a request whose framing could be read in two ways ends its connection (RFC 9112 §6, §11.2).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MAX_HEADERS = 100
MAX_HEAD_BYTES = 65_536
MAX_TARGET_BYTES = 16_384
HEAD_SECONDS = 10.0
IDLE_SECONDS = 75.0
BODY_SECONDS = 30.0
_TICK_SECONDS = 2.5


class Listener(HttpToolsProtocol):
    """One connection: at most 100 headers, 64 KiB of head, 10 s to send it, 30 s for a body."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._status = 400
        self._head_bytes = 0
        self._in_head = False
        self._in_body = False
        self._hosts = False
        self._header_count = 0
        # Counted, not timed: a clock read for every request would cost more than this.
        self._progress = 0
        self._progress_seen = 0
        self._waited = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the connection and watch its pace."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(_TICK_SECONDS, self._check_pace)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch with the connection."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head before the parser keeps any of them."""
        if not self._in_body:
            self._head_bytes += len(data)
            if not self._in_head:
                self._in_head = True
                self._progress += 1
            # A body may follow in the same packet, so the bound is checked on what stays a head.
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and self.parser is not None:
            self._refuse(431)

    def on_message_begin(self) -> None:
        """Start counting a new request."""
        super().on_message_begin()
        self.begin_head()

    def begin_head(self) -> None:
        """Reset the counters of a head."""
        self._header_count = 0
        self._hosts = False
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Bound the request target."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._limit(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Bound the number of headers, and the Host header to one (RFC 9112 §3.2)."""
        self._header_count += 1
        if self._header_count > MAX_HEADERS:
            self._limit(431)
        if len(name) == 4 and name.lower() == b"host":  # noqa: PLR2004 - the length of "host"
            if self._hosts:
                self._limit(400)
            self._hosts = True
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse HTTP/1.1 without a Host, then go on as uvicorn does."""
        self.end_head()
        super().on_headers_complete()

    def end_head(self) -> None:
        """Check a whole head and turn to its body."""
        if not self._hosts and self.parser.get_http_version() != "1.0":
            self._limit(400)
        self._in_head, self._in_body = False, True
        self._head_bytes = 0
        self._progress += 1

    def on_message_complete(self) -> None:
        """Turn to the next request."""
        self._in_body = False
        super().on_message_complete()

    def _limit(self, status: int) -> None:
        self._status = status
        msg = "a limit was passed"
        raise ValueError(msg)  # becomes HttpParserError, and so the answer below

    def _refuse(self, status: int) -> None:
        self._status = status
        self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Answer what can't be read, as a problem document, and close; uvicorn words `msg`."""
        del msg
        if self.transport.is_closing():
            return
        phrase = HTTPStatus(self._status).phrase
        code = "request_invalid" if self._status == 400 else phrase.lower().replace(" ", "_")  # noqa: PLR2004
        body = msgspec.json.encode(
            {
                "type": f"urn:latchgate:problem:{code}",
                "title": phrase,
                "status": self._status,
                "detail": "The request could not be read as one HTTP/1.1 request within limits.",
                "code": code,
            }
        )
        self.transport.write(
            f"HTTP/1.1 {self._status} {phrase}\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        self.transport.close()

    def _check_pace(self) -> None:
        """Close a connection that is slow with a head or a body, or idle for too long."""
        if self.transport.is_closing():
            return
        if self._progress == self._progress_seen:
            self._waited += _TICK_SECONDS
        else:
            self._progress_seen, self._waited = self._progress, 0.0
        waited = self._waited
        if self._in_head and waited > HEAD_SECONDS:
            self._refuse(408)
            return
        if self._in_body and waited > BODY_SECONDS:
            self._refuse(408)
            return
        if waited > IDLE_SECONDS and self.idle():
            self.transport.close()
            return
        self._watch = self.loop.call_later(_TICK_SECONDS, self._check_pace)

    def idle(self) -> bool:
        """Whether no answer is under way."""
        cycle: object = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is None or self.cycle.response_complete
