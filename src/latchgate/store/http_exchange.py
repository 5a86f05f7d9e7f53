"""HTTP to one Latchgate elsewhere: connections that are kept, bounded in size and time.

Rule of this file: the token goes to one origin, over TLS or within this machine, and into no
message; redirects are not followed, and neither are proxies of the environment.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from latchgate.core.secret import Secret
from latchgate.store.errors import StoreError

_CONNECT_SECONDS = 3.0
MAX_BYTES = 64 << 20
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_IDLE = 4
_BROKEN = (OSError, http.client.HTTPException)
_CLOSED = (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError)  # kept for too long
_BEARER = re.compile(r"[!-~]{1,8192}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a Latchgate's API answers: `https://…`, or `http://…` on this machine."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read a URL without path; ValueError says what is wrong with it, and shows none of it."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = parts = None
        if parts is None or not host or parts.scheme not in {"http", "https"} or port == 0:
            raise ValueError("the upstream is no URL such as https://api.example.com")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("the upstream takes scheme, host and port only: no path, no password")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ValueError("the token goes to another machine over https only")
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Exchange:
    """Asks one origin; used by several threads at once.

    `token` returns the bearer that is shown, OSError or ValueError where there is none; `program`
    is how this one calls itself. `context` says whose certificates count, the system's authorities
    unless told. `limit` is for how many seconds an answer is waited for.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        token: Callable[[], Secret],
        program: str,
        limit: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = origin
        self._token = token
        self._program = program
        self._limit = limit
        self._context = context
        if origin.scheme == "https" and context is None:
            self._context = ssl.create_default_context()
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._waiting: set[http.client.HTTPConnection] = set()
        self._interrupted = False
        self._closed = False

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        again: bool = True,
        longer: float = 0.0,
    ) -> tuple[int, bytes]:
        """Send one request and return status and body; StoreError when none came.

        A kept connection that broke may have been closed before it was asked: then once `again`.
        """
        headers = self._headers(body)
        kept = self._taken() if again else None
        try:
            if kept is not None:
                with suppress(*_CLOSED):
                    return self._exchange(kept, method, path, body, headers, longer)
            return self._exchange(self._connection(), method, path, body, headers, longer)
        except _BROKEN as error:
            msg = f"the upstream {self._origin} can't be reached: {_why(error)}"
            raise StoreError(msg) from error

    def _headers(self, body: bytes | None) -> Mapping[str, str]:
        try:
            bearer = self._token().reveal()
        except (OSError, ValueError) as error:
            raise StoreError(f"the token for the upstream can't be read: {error}") from error
        if not _BEARER.fullmatch(bearer):
            raise StoreError("the token for the upstream is none: it has spaces or other signs")
        told = {
            "Authorization": f"Bearer {bearer}",
            "Accept": "application/json",
            "User-Agent": f"latchgate/{self._program}",
        }
        return {**told, "Content-Type": "application/json"} if body is not None else told

    def _connection(self) -> http.client.HTTPConnection:
        at, wait = self._origin, min(_CONNECT_SECONDS, self._limit)
        if self._context is not None and at.scheme == "https":
            return http.client.HTTPSConnection(
                at.host, at.port, timeout=wait, context=self._context
            )
        return http.client.HTTPConnection(at.host, at.port, timeout=wait)

    def _taken(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        longer: float,
    ) -> tuple[int, bytes]:
        done = False
        try:
            if longer:
                self._wait_with(connection)
            if connection.sock is None:
                connection.connect()
            until = time.monotonic() + self._limit + longer
            connection.sock.settimeout(self._limit + longer)
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            told = _bounded(answer, until)
            done = not answer.will_close
            answer.close()  # else the connection takes it for unread
            return answer.status, told
        finally:
            self._put_back(connection, good=done)

    def _wait_with(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if self._interrupted:
                raise ConnectionAbortedError
            self._waiting.add(connection)

    def _put_back(self, connection: http.client.HTTPConnection, *, good: bool) -> None:
        with self._lock:
            self._waiting.discard(connection)
            if good and not self._closed and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    @property
    def interrupted(self) -> bool:
        """Whether questions that wait for longer end at once."""
        return self._interrupted

    def interrupt(self) -> None:
        """End the questions under way that wait for longer; later ones end at once."""
        with self._lock:
            self._interrupted = True
            waiting = list(self._waiting)
        for one in waiting:
            if one.sock is not None:
                with suppress(OSError):
                    one.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of every connection."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _bounded(answer: http.client.HTTPResponse, until: float) -> bytes:
    """Read a body that may be neither too long nor too slow."""
    held = bytearray()
    while chunk := answer.read1(1 << 20):
        held += chunk
        if len(held) > MAX_BYTES:
            raise http.client.HTTPException("its answer is too long")
        if time.monotonic() > until:
            raise TimeoutError("its answer took too long")
    if answer.length:
        raise http.client.IncompleteRead(bytes(held), answer.length)
    return bytes(held)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it took too long"
    return type(error).__name__
