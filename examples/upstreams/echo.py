"""A server that answers with what reached it: request line, every header line, its body's size.

What a gateway adds, replaces and drops can be read off its answers. Standard library only, and
no header is folded, renamed or joined on the way.

    python examples/upstreams/echo.py --port 9000
    curl http://127.0.0.1:9000/anything?status=403&header=WWW-Authenticate:%20Mine

`status` chooses the answer's status and each `header` adds a header line to it. `/count` says how
many requests arrived before, itself not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import socketserver
import threading
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_MAX_LINE = 65_536


class Echo(socketserver.ThreadingTCPServer):
    """Counts the requests of all its connections."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self._lock = threading.Lock()
        self.count = 0

    def counted(self) -> int:
        """Count one more request and return the number before it."""
        with self._lock:
            self.count += 1
            return self.count - 1


class Connection(socketserver.StreamRequestHandler):
    """One connection, request after request."""

    server: Echo
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer until the peer has no more to ask."""
        try:
            while self._answer():
                pass
        except (ConnectionError, ValueError):
            return

    def _answer(self) -> bool:
        request = self.rfile.readline(_MAX_LINE).decode("latin-1").rstrip("\r\n")
        if not request:
            return False
        headers = list(iter(self._header, None))
        method, _, rest = request.partition(" ")
        target = rest.rpartition(" ")[0]
        if target == "/count":
            self._write(HTTPStatus.OK, [], {"count": self.server.count}, method)
            return True
        number = self.server.counted()
        body = self._body({name.lower(): value for name, value in headers})
        told = {
            "count": number,
            "request": request,
            "method": method,
            "target": target,
            "headers": headers,
            "body": body,
        }
        asked = parse_qsl(urlsplit(target).query)
        status = next((int(value) for name, value in asked if name == "status"), 200)
        self._write(status, [value for name, value in asked if name == "header"], told, method)
        return True

    def _header(self) -> tuple[str, str] | None:
        line = self.rfile.readline(_MAX_LINE).decode("latin-1").rstrip("\r\n")
        if not line:
            return None
        name, _, value = line.partition(":")
        return name, value.strip()

    def _body(self, headers: dict[str, str]) -> dict[str, Any]:
        """Read the body; `first` and `last` say when its ends arrived, by the monotonic clock."""
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest, size = hashlib.sha256(), 0
        first = last = None
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        left = int(headers.get("content-length", "0"))
        while True:
            if chunked and not left:
                left = int(self.rfile.readline(_MAX_LINE).split(b";")[0], 16)
                if not left:
                    self.rfile.readline(_MAX_LINE)
            if not left:
                break
            piece = self.rfile.read1(min(left, 1 << 20))
            if not piece:
                raise ConnectionError
            last = time.monotonic()
            first = last if first is None else first
            digest.update(piece)
            size += len(piece)
            left -= len(piece)
            if chunked and not left:
                self.rfile.readline(_MAX_LINE)
        return {"bytes": size, "sha256": digest.hexdigest(), "first": first, "last": last}

    def _write(self, status: int, lines: list[str], told: dict[str, Any], method: str) -> None:
        body = json.dumps(told).encode()
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Own"
        head = [
            f"HTTP/1.1 {status} {phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *lines,
        ]
        text = "\r\n".join([*head, "", ""]).encode("latin-1")
        self.wfile.write(text + (b"" if method == "HEAD" else body))


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="Answers with what reached it.")
    parser.add_argument("--port", type=int, default=9000)
    with Echo(parser.parse_args().port) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
