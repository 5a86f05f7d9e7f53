"""A webhook receiver: a real HTTP server that keeps what it is sent and answers as it is told."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.certificates import Pair


@dataclass(frozen=True, slots=True)
class Received:
    """One request; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Listens on a free port of 127.0.0.1, in the clear or with a certificate."""

    pair: Pair | None = None
    statuses: list[int] = field(default_factory=list)  # of the next answers; then 200
    received: list[Received] = field(default_factory=list)
    location: str | None = None
    trickle: bool = False

    def __post_init__(self) -> None:
        outer = self
        self.ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.received.append(Received(self.path, headers, body))
                if outer.trickle:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not outer.ended.wait(0.05):
                        self.wfile.write(b"a: b\r\n")
                    return
                status = outer.statuses.pop(0) if outer.statuses else 200
                self.send_response(status)
                if outer.location is not None:
                    self.send_header("Location", outer.location)
                said = b"what a receiver says is nobody's business"
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A peer that hangs up is what some tests are about."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if self.pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.pair.certificate, self.pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'http' if self.pair is None else 'https'}://127.0.0.1:{self.port}/hook?a=b"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
