"""HTTP/1.1 on a bare socket: what is sent is exactly what is written, and so is what is read.

Clients repair requests and fold answers; a test about either needs neither.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Address = tuple[str, int] | str
Headers = Iterable[tuple[str, str]]
_NO_BODY = frozenset({204, 304})


@dataclass(frozen=True)
class Answer:
    """One answer, headers in the order and spelling they came in."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def every(self, name: str) -> list[str]:
        """Return the values of every line of a name, in any case."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def one(self, name: str) -> str:
        """Return the value of the only line of a name."""
        (value,) = self.every(name)
        return value

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


def written(
    method: str, target: str, headers: Headers = (), body: bytes = b"", *, host: str = "localhost"
) -> bytes:
    """Spell a request: Host first, the given headers, and a length when there is a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Wire:
    """One connection; a context manager."""

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = 15,
        source: str | None = None,
        receive: int | None = None,
    ) -> None:
        """Connect; `receive` bounds what the kernel keeps for us, in bytes."""
        if isinstance(address, str):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(timeout)
            self._socket.connect(address)
        else:
            self._socket = socket.socket()
            self._socket.settimeout(timeout)
            if receive is not None:  # before it connects, or its window is larger
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            if source is not None:
                self._socket.bind((source, 0))
            self._socket.connect(address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def secure(self, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
        """Shake hands; what is sent and read from here on goes through TLS."""
        secured = context.wrap_socket(self._socket, server_hostname=name)
        self._socket = secured
        return secured

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def reset(self, data: bytes) -> None:
        """Send bytes and break the connection off, as a peer that crashed does."""
        self._socket.sendall(data)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """Send one request and read its answer."""
        self.send(written(method, target, headers, body))
        return self.answer(head=method == "HEAD")

    def answer(self, *, head: bool = False) -> Answer:
        """Read one answer; ConnectionError when the connection ends before it does."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        assert version == "HTTP/1.1"
        headers = tuple(_split(line) for line in lines[1:])
        told = {name.lower(): value for name, value in headers}
        code = int(status)
        if head or code in _NO_BODY or 100 <= code < 200:
            body = b""
        elif "content-length" in told:
            body = self._exactly(int(told["content-length"]))
        elif told.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.rest()
        return Answer(code, headers, body)

    def piece(self, size: int) -> bytes:
        """Read what is there, `size` bytes at most."""
        piece = self._socket.recv(size)
        assert piece
        return piece

    def chunk(self) -> bytes:
        """Read one chunk of a chunked body; empty for the last one."""
        size = int(self._until(b"\r\n"), 16)
        piece = self._exactly(size)
        assert self._exactly(2) == b"\r\n"
        return piece

    def rest(self, *, seconds: float | None = None) -> bytes:
        """Read until the peer closes; TimeoutError when it has not within `seconds`."""
        if seconds is not None:
            self._socket.settimeout(seconds)
        found, self._held = self._held, b""
        while True:
            try:
                piece = self._socket.recv(65_536)
            except ConnectionResetError:  # closed while something of ours was still unread
                return found
            if not piece:
                return found
            found += piece

    def silent(self, seconds: float) -> bool:
        """Whether nothing arrives and nobody closes for a while."""
        if self._held:
            return False
        before = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            self._held = self._socket.recv(65_536)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(before)
        return False

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            self._more()
        found, _, self._held = self._held.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        found, self._held = self._held[:size], self._held[size:]
        return found

    def _more(self) -> None:
        piece = self._socket.recv(65_536)
        if not piece:
            msg = f"the connection ended after {self._held[:200]!r}"
            raise ConnectionError(msg)
        self._held += piece


def ask(
    address: Address,
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes = b"",
    *,
    source: str | None = None,
) -> Answer:
    """Send one request on a connection of its own."""
    with Wire(address, source=source) as wire:
        return wire.ask(method, target, headers, body)


def exchange(address: Address, data: bytes, *, seconds: float = 15) -> list[Answer]:
    """Send bytes, close our side of the talk, and return every answer until the peer closes."""
    answers: list[Answer] = []
    with Wire(address, timeout=seconds) as wire:
        wire.send(data)
        while True:
            try:
                answers.append(wire.answer())
            except (ConnectionError, TimeoutError):
                return answers


def bearer(key: str) -> tuple[str, str]:
    """Return the header that carries a key."""
    return "Authorization", f"Bearer {key}"


def _split(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    assert colon, line
    return name, value.strip()
