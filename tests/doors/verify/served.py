"""A uvicorn of one protocol, on a thread and a port of its own, for as long as a test takes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn._types import ASGI3Application

from latchgate.serve.servers import TlsServer

Port = tuple[str, int]


@contextmanager
def served(
    application: ASGI3Application,
    protocol: Callable[..., Any],
    tls: ssl.SSLContext | None = None,
    connections: int | None = None,
) -> Iterator[Port]:
    """Serve an application over a protocol class, as the worker does; TLS or a limit if told."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as bound:
        config = uvicorn.Config(
            application,
            http=protocol,  # type: ignore[arg-type] # uvicorn takes any callable
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            limit_concurrency=connections,
            ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        )
        server = TlsServer(config)
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        give_up = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < give_up
            time.sleep(0.005)
        try:
            yield bound.getsockname()
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()
