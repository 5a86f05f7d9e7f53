"""One HTTP/1.1 connection of a client: what it asks, when it started, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was answered; `status` is 0 where nothing came, and `fault` says why.

    `start` was read before the first byte was sent, `end` after the last one came.
    """

    start: float
    end: float
    status: int
    body: bytes = b""
    fault: str = ""

    @property
    def json(self) -> Any:
        """The body as JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


@dataclass(frozen=True, slots=True)
class Address:
    """Host and port."""

    host: str
    port: int


class Connection:
    """One kept connection, opened anew when the last request on it failed."""

    def __init__(self, address: Address, seconds: float) -> None:
        self._address, self._seconds = address, seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send one request and wait for its answer, so many seconds at most; never raises."""
        start = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                reader, writer = await self._open()
                start = time.monotonic()
                writer.write(request)
                status, body, kept = await _read(reader)
        except TimeoutError:
            return self._failed(start, "silent")
        except (OSError, EOFError, ValueError) as error:
            return self._failed(start, type(error).__name__)
        end = time.monotonic()
        if not kept:
            self.close()
        return Answer(start, end, status, body)

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[1].is_closing() or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection(self._address.host, self._address.port)
        return self._streams

    def _failed(self, start: float, fault: str) -> Answer:
        self.close()
        return Answer(start, time.monotonic(), 0, fault=fault)


async def once(address: Address, request: bytes, seconds: float) -> Answer:
    """Ask on a connection of its own."""
    connection = Connection(address, seconds)
    with contextlib.closing(connection):
        return await connection.ask(request)


def spelled(method: str, path: str, token: str, told: object = None) -> bytes:
    """Return a request to the management API."""
    body = b"" if told is None else json.dumps(told).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: latchgate\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status and body, and whether the connection is kept."""
    line = await reader.readline()
    if not line:
        raise EOFError
    status, length, kept = int(line.split()[1]), 0, True
    while (header := (await reader.readline()).rstrip()) != b"":
        name, _, value = header.lower().partition(b":")
        if name == b"content-length":
            length = int(value)
        elif name == b"connection" and value.strip() == b"close":
            kept = False
    return status, await reader.readexactly(length), kept
