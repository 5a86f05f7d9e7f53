"""An old system: a real HTTP server that answers by what the request's Authorization says.

`Bearer allow` and whatever a test adds to `allowed` pass, `Bearer …` of a fault is answered with
that fault, everything else is 401 with a challenge and a body. What it was asked is kept.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = b'{"error":"who\r\n are you"}'


@dataclass
class OldSystem:
    """Where it listens, whom it allows, what it was asked: (Authorization, all headers)."""

    url: str
    allowed: set[str] = field(default_factory=lambda: {"Bearer allow", "Bearer anonymous"})
    asked: list[list[tuple[str, str]]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    connections: int = 0

    def header(self, name: str) -> list[str]:
        """Return the values of a header in the last question."""
        return [value for key, value in self.asked[-1] if key.lower() == name.lower()]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: peers leave on purpose."""


@contextlib.contextmanager
def old_system(port: int = 0) -> Iterator[OldSystem]:  # noqa: C901 - a branch a fault
    """Serve one on a port of 127.0.0.1."""
    told = OldSystem("")
    sockets: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            told.connections += 1
            sockets.add(self.connection)

        def finish(self) -> None:
            sockets.discard(self.connection)
            super().finish()

        def do_GET(self) -> None:  # noqa: C901, PLR0912 - a branch a fault
            told.asked.append(list(self.headers.items()))
            authorization = self.headers.get("Authorization", "")
            word = authorization.removeprefix("Bearer ")
            if word == "slow":
                told.held.set()
                told.hold.wait(30)
            if word == "reset":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif word == "redirect":
                self.answer(302, b"", Location=told.url)
            elif word == "fails":
                self.answer(500, b"broken")
            elif word == "huge":
                self.answer(403, b"x" * 70_000)
            elif word == "long":
                self.answer(204, b"", X_Old_User="x" * 5_000)
            elif word == "compressed":
                self.answer(403, gzip.compress(BODY), Content_Encoding="gzip")
            elif word == "teapot":
                self.answer(418, b"short and stout", Content_Type="text/plain")
            elif word == "two":
                self.two()
            elif word == "html":
                self.answer(403, b"<html>\r\n<p>no\xff\r\n</html>", Content_Type="text/html")
            elif authorization not in told.allowed:
                self.answer(401, BODY, Content_Type="application/json",
                            WWW_Authenticate='Basic realm="old"')  # fmt: skip
            elif word == "anonymous":
                self.answer(204, b"", Set_Cookie="session=1")
            else:
                self.answer(200, b"welcome", X_Old_User="ada", X_Secret_Note="not for you",
                            X_Latchgate_User="root", Set_Cookie="session=1")  # fmt: skip

        def two(self) -> None:
            self.send_response(200)
            for user in ("ada", "bob"):
                self.send_header("X-Old-User", user)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", port), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}/check"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
        for one in list(sockets):  # a stopped program's connections are gone, too
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
