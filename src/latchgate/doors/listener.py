"""The HTTP/1.1 connection of every door: uvicorn's protocol, with limits it lacks.

Plain uvicorn took 200 MB of headers and kept a half-sent request open for as long as it was
watched (ARCHITECTURE §8). Rule of this file: whatever a peer sends is bounded in size and time,
and a request whose framing could be read in two ways ends its connection (RFC 9112 §6, §11.2).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from httptools import HttpParserError, HttpParserUpgrade
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
# Fixed here, because the standard library's phrases differ between versions of Python.
_LIMITS = {
    400: ("Bad Request", "request_invalid"),
    408: ("Request Timeout", "request_timeout"),
    413: ("Content Too Large", "request_too_large"),
    414: ("URI Too Long", "uri_too_long"),
    431: ("Request Header Fields Too Large", "request_header_fields_too_large"),
    505: ("HTTP Version Not Supported", "version_not_supported"),
}
_VERSIONS = frozenset({"1.0", "1.1"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


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
        self._framed = False
        self._last = False
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
        """Count the bytes of a head before the parser keeps any of them, then parse."""
        if self._last:
            return
        if not self._in_body:
            self._head_bytes += len(data)
            if not self._in_head:
                self._in_head = True
                self._progress += 1
            if self._head_bytes > MAX_HEAD_BYTES and self._head_is_long(data):
                self._refuse(431)
                return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            pass  # end_head() saw to it
        except HttpParserError:
            # Not logged: whoever sends garbage would fill the disk with it (D7.62).
            self.send_400_response("")

    def _head_is_long(self, data: bytes) -> bool:
        """Whether the head is over its bound, or merely a body in the same packet."""
        end = data.find(b"\r\n\r\n")
        return end < 0 or self._head_bytes - len(data) + end > MAX_HEAD_BYTES

    def on_message_begin(self) -> None:
        """Start counting a new request."""
        super().on_message_begin()
        self.begin_head()

    def begin_head(self) -> None:
        """Reset the counters of a head."""
        self._header_count = 0
        self._hosts = self._framed = False
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Bound the request target."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._limit(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Bound the number of headers, and the Host header to one (RFC 9112 §3.2)."""
        if self._in_body:
            # A trailer: uvicorn would add it to the headers that the application reads.
            self._limit(400)
        self._header_count += 1
        if self._header_count > MAX_HEADERS:
            self._limit(431)
        if len(name) == 4 and name.lower() == b"host":  # noqa: PLR2004 - the length of "host"
            if self._hosts:
                self._limit(400)
            self._hosts = True
        if value != b"0" and name.lower() in _FRAMING:
            self._framed = True
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse HTTP/1.1 without a Host, then go on as uvicorn does."""
        self.end_head()
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    def end_head(self) -> None:
        """Check a whole head and turn to its body."""
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._limit(505)
        if not self._hosts and version != "1.0":
            self._limit(400)
        if self.parser.should_upgrade():
            # The parser takes what follows such a head for another protocol. None is spoken here,
            # so a body would be read as a request of its own (D2.21).
            if self._framed:
                self._limit(400)
            self._last = True
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
        self._last = True
        if self.transport.is_closing():
            return
        if not self.idle() and not self._give_up():
            return
        title, code = _LIMITS[self._status]
        body = msgspec.json.encode(
            {
                "type": f"urn:latchgate:problem:{code}",
                "title": title,
                "status": self._status,
                "detail": "The request could not be read as one HTTP/1.1 request within limits.",
                "code": code,
            }
        )
        self.transport.write(
            f"HTTP/1.1 {self._status} {title}\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        self.transport.close()

    def _give_up(self) -> bool:
        """Say whether the refusal may be written while an answer is under way."""
        if self.pipeline or (self._in_body and self.cycle.response_started):
            self.transport.close()
            return False
        if self._in_body:
            # It is this very request that can't be read: the application's answer is not wanted.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            return True
        # The request before it is being carried out: its answer comes first, and is the last.
        self.cycle.keep_alive = False
        return False

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

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is the client's wish, not an event (RFC 9110 §7.8)."""

    def idle(self) -> bool:
        """Whether no answer is under way."""
        cycle: object = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is None or self.cycle.response_complete
