"""The HTTP servers of one worker: uvicorn, with our listeners and the limits it has no setting for.

Rule of this file: how connections are taken and ended. What is answered is the doors'.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from latchgate.doors.console import console
from latchgate.doors.listener import Listener
from latchgate.doors.verify import VerifyDoor
from latchgate.serve.tls import CLOSE_SECONDS, HANDSHAKE_SECONDS, Certificate

DRAIN_SECONDS = 10
MAX_API_CONNECTIONS = 1_000
MAX_VERIFY_CONNECTIONS = 10_000
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_COMMON: dict[str, Any] = {
    "ws": "none",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": DRAIN_SECONDS,
}


class TlsServer(uvicorn.Server):
    """A uvicorn server with the time limits of TLS that uvicorn has no setting for."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on bound sockets; a peer has 10 s for its handshake, where uvloop gives 60."""
        context = self.config.ssl
        if context is None:
            await super().startup(sockets)
            return
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        make = functools.partial(
            protocol,
            config=self.config,
            server_state=self.server_state,
            app_state={},
        )
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                make,
                sock=bound,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=CLOSE_SECONDS,
                backlog=self.config.backlog,
            )
            for bound in sockets or ()
        ]
        self.started = True


class WorkerServer(TlsServer):
    """One that leaves signals to the worker, which runs three of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def api_server(
    application: Application,
    certificate: Certificate | None,
    turned_away: Callable[[str], None],
) -> WorkerServer:
    """Return the server of API or console, over TLS where there is a certificate."""
    context = certificate.context if certificate is not None else None
    factory: Any = functools.partial(Listener, turned_away=turned_away)
    return WorkerServer(
        uvicorn.Config(
            application,
            http=factory,
            limit_concurrency=min(MAX_API_CONNECTIONS, _open_files() // 16),
            ssl_context_factory=(lambda *_: context) if context is not None else None,
            **_COMMON,
        )
    )


def verify_server(
    door: VerifyDoor, turned_away: Callable[[str], None] | None = None
) -> WorkerServer:
    """Return the server that gateways ask; what it turns away is counted where somebody counts."""
    # The door answers in its protocol; uvicorn only wants an application to exist.
    factory: Any = functools.partial(door.protocol, turned_away=turned_away)
    limit = min(MAX_VERIFY_CONNECTIONS, _open_files() // 2)
    return WorkerServer(
        uvicorn.Config(console({}), http=factory, limit_concurrency=limit, **_COMMON)
    )


def _open_files() -> int:
    """Return how many this process may have; connections leave databases a quarter of them."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
