"""The HTTP/1.1 connection of every door: uvicorn's protocol, with limits it lacks.

Plain uvicorn took 200 MB of headers and kept a half-sent request open for as long as it was
watched (ARCHITECTURE §8). Rule of this file: whatever a peer sends is bounded in size and time,
and a request whose framing could be read in two ways ends its connection (RFC 9112 §6, §11.2).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from httptools import HttpParserError, HttpParserUpgrade
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_HEADERS = 100
MAX_HEAD_BYTES = 65_536
MAX_TARGET_BYTES = 16_384
HEAD_SECONDS = 10.0
IDLE_SECONDS = 75.0
BODY_SECONDS = 30.0
UNREAD_SECONDS = 30.0
_TICK_SECONDS = 2.5
_READ_BYTES = 16_384  # of its answers that a peer must take in `UNREAD_SECONDS`
_PIECE_BYTES = 4_096  # parsed at a time: 150 of the shortest requests
_WARN_SECONDS = 60.0
# Fixed here, because the standard library's phrases differ between versions of Python.
_LIMITS = {
    400: ("Bad Request", "request_invalid"),
    408: ("Request Timeout", "request_timeout"),
    413: ("Content Too Large", "request_too_large"),
    414: ("URI Too Long", "uri_too_long"),
    431: ("Request Header Fields Too Large", "request_header_fields_too_large"),
    503: ("Service Unavailable", "service_unavailable"),
    505: ("HTTP Version Not Supported", "version_not_supported"),
}
ANSWERS_UNREAD = "answers_unread"
TURNED_AWAY = (*(code for _, code in _LIMITS.values()), ANSWERS_UNREAD)
"""Why a listener turns requests away: a problem's code, or for what no answer can be given."""
_UNREADABLE = "The request could not be read as one HTTP/1.1 request within limits."
_CROWDED = "As many connections are open as this server takes."
_VERSIONS = frozenset({"1.0", "1.1"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_log = logging.getLogger(__name__)


class Listener(HttpToolsProtocol):
    """One connection: at most 100 headers, 64 KiB of head, 10 s to send it, 30 s for a body.

    Requests that came behind one that is being answered are not parsed until it is: as bytes they
    are at most one packet, as requests they would be a hundred times as large. Who doesn't take
    its answers for 30 s is cut off.

    uvicorn answers 503 when as many connections as its `limit_concurrency` are open, but goes on
    taking more; none is taken here above twice that number.

    `turned_away` is told why, one of `TURNED_AWAY`, of whatever no application is asked about.
    """

    most_connections = 2  # times the limit

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        turned_away: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._turned_away = turned_away or _untold
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
        self._unsent = 0
        self._unread = 0.0
        self._held = b""
        self._running: RequestResponseCycle | None = None
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the connection and watch its pace; refuse it where too many are open."""
        super().connection_made(transport)
        self._watch = self.loop.call_later(_TICK_SECONDS, self._check_pace)
        limit = self.limit_concurrency
        if limit is not None and len(self.connections) > limit * self.most_connections:
            _crowded.warn(self.loop.time(), len(self.connections) - 1)
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch with the connection."""
        if self._watch is not None:
            self._watch.cancel()
        if self._running is not None:
            # uvicorn tells the request that was parsed last, which may wait behind this one.
            self._running.disconnected = True
            self._running.message_event.set()
        self.pipeline.clear()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, or as much of it as may be answered now."""
        if not self._held and len(data) <= _PIECE_BYTES and not self.full():
            self._parse(data)
            return
        data, self._held = self._held + data, b""
        for at in range(0, len(data), _PIECE_BYTES):
            if self.full():
                self._held = data[at:]
                self.flow.pause_reading()
                return
            self._parse(data[at : at + _PIECE_BYTES])

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Note which request is being answered, or that uvicorn has too many to."""
        self._running = cycle
        if app is service_unavailable:
            self._turned_away(_LIMITS[503][1])
        super()._start_asgi_task(cycle, app)

    def full(self) -> bool:
        """Whether more requests are read than can be answered now."""
        return bool(self.pipeline)

    def go_on(self) -> None:
        """Read on where reading stopped, unless too much still waits."""
        if self._held and not self.transport.is_closing() and not self.full():
            self.data_received(b"")
        if self._held or self.transport.is_closing() or self.full():
            return
        self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Turn to the next request; what is behind it stays unread until its answer is begun."""
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()  # uvicorn reads on, and a peer could send without end
        elif self._held:
            self.go_on()

    def _parse(self, data: bytes) -> None:
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

    def resume_writing(self) -> None:
        """Note that the peer takes its answers."""
        super().resume_writing()
        self._unread = 0.0

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
        title, code = _LIMITS[self._status]
        told, self._last = self._last, True
        if self.transport.is_closing():
            return
        if not told:
            self._turned_away(code)
        if not self.idle() and not self._give_up():
            return
        body = msgspec.json.encode(
            {
                "type": f"urn:latchgate:problem:{code}",
                "title": title,
                "status": self._status,
                "detail": _CROWDED if self._status == 503 else _UNREADABLE,  # noqa: PLR2004
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
        """Close a connection that is slow with a head, a body or our answers, or idle too long."""
        if self._leaves_unread():
            self._turned_away(ANSWERS_UNREAD)
            self.transport.abort()  # whatever else waits for what was written to be taken
            return
        if not self.transport.is_closing():
            self._end_slow()
        self._watch = self.loop.call_later(_TICK_SECONDS, self._check_pace)

    def _leaves_unread(self) -> bool:
        """Say whether the peer has taken next to nothing of its answers for too long.

        The next request of a peer that is read from counts as taking: what it leaves is bounded.
        """
        unsent = self.transport.get_write_buffer_size()
        moved = self._progress != self._progress_seen and not self.transport.is_closing()
        if not unsent or moved or unsent <= self._unsent - _READ_BYTES:
            self._unsent, self._unread = unsent, 0.0
            return False
        self._unsent = max(unsent, self._unsent)
        self._unread += _TICK_SECONDS
        return self._unread > UNREAD_SECONDS

    def _end_slow(self) -> None:
        """Refuse or close what its peer takes too long for; time that we don't read is not its."""
        if self._progress == self._progress_seen and not self.full():
            self._waited += _TICK_SECONDS
        else:
            self._progress_seen, self._waited = self._progress, 0.0
        waited = self._waited
        if (self._in_head and waited > HEAD_SECONDS) or (self._in_body and waited > BODY_SECONDS):
            self._refuse(408)
        elif waited > IDLE_SECONDS and self.idle():
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is the client's wish, not an event (RFC 9110 §7.8)."""

    def idle(self) -> bool:
        """Whether no answer is under way."""
        cycle: object = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is None or self.cycle.response_complete


def _untold(_why: str) -> None:
    """Where nobody counts what is turned away."""


class _Crowded:
    """Tells the log that connections are refused, once a minute however many are."""

    def __init__(self) -> None:
        self._until = 0.0

    def warn(self, now: float, open_: int) -> None:
        """Say it, unless it was just said."""
        if now >= self._until:
            self._until = now + _WARN_SECONDS
            _log.warning("%d connections are open; more are refused", open_)


_crowded = _Crowded()
