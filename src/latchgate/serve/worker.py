"""One worker process: its three listeners on one event loop, signals, and what follows the store.

What it serves is put together in `serve/assembly.py`.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import uvloop

from latchgate.config import Config
from latchgate.core.redact import Redactor
from latchgate.doors.readiness import Readiness
from latchgate.manage import signing_keys
from latchgate.manage.applications import DEVELOPER_PATTERN
from latchgate.serve.assembly import Assembly
from latchgate.serve.logs import configure
from latchgate.serve.servers import WorkerServer, api_server, verify_server
from latchgate.serve.tls import Certificate, CertificateError
from latchgate.store.journal import Store
from latchgate.verify.engine import Engine

FOLLOW_SECONDS = 0.01
SETTLE_SECONDS = 5.0
# Containers made and not gone before the youngest are walked over (1 ms), how many such walks
# before those that outlived one are (5 ms), how many of these before all are (50 ms and more).
GC_THRESHOLDS = (2_000, 10, 50)
# For how long a thread that works in Python may hold up the loop, which lets go of the interpreter
# in each of its rounds: Python's 5 ms are what a gateway's request then takes.
SWITCH_SECONDS = 0.0005
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound sockets of the three addresses."""

    api: socket.socket
    console: socket.socket
    verify: socket.socket


def run_worker(
    config: Config,
    sockets: Sockets,
    certificate: Certificate | None,
    *,
    on_ready: Callable[[], None],
    supervised: bool,
) -> None:
    """Serve until SIGTERM or SIGINT, and finish what is under way; StoreError if it can't start.

    API and console speak TLS when there is a certificate; SIGHUP then reads its files again.
    """
    redact = Redactor()
    redact.learn([DEVELOPER_PATTERN])
    configure(redact, level=logging.getLevelNamesMapping()[config.log_level.upper()])
    parts = Assembly(config, redact)
    servers = [
        (api_server(parts.api, certificate, parts.turned_away("api")), sockets.api),
        (api_server(parts.console, certificate, parts.turned_away("console")), sockets.console),
        (verify_server(parts.verify, parts.turned_away("verify")), sockets.verify),
    ]
    _warn_of_master_key(config)
    parts.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                serving = serve_all(servers, parts, certificate, on_ready, supervised=supervised)
                runner.run(serving)
            finally:
                runner.run(parts.shadows.aclose())
    finally:
        parts.close()


def _warn_of_master_key(config: Config) -> None:
    """Say at the start that nothing can be signed; decisions never wait for it."""
    with closing(Store(config.database, clock=time.time)) as store:
        why = signing_keys.unusable(store, config.master_key)
    if why is not None:
        _log.warning("nothing can be signed: %s", why)


class Parts(Protocol):
    """What serving takes besides sockets: who decides, and how it is stopped."""

    @property
    def engine(self) -> Engine:
        """Who decides."""

    @property
    def readiness(self) -> Readiness:
        """What is told of whether requests can be decided."""

    @property
    def drain_seconds(self) -> float:
        """For how long it says that it ends before it does."""


async def serve_all(
    servers: list[tuple[WorkerServer, socket.socket]],
    parts: Parts,
    certificate: Certificate | None,
    on_ready: Callable[[], None],
    *,
    supervised: bool,
) -> None:
    """Run servers on their sockets until SIGTERM or SIGINT, following with one engine."""
    loop = asyncio.get_running_loop()
    parts.engine.settle = functools.partial(_settled, loop)

    def end() -> None:
        for server, _ in servers:
            server.should_exit = True

    def stop() -> None:
        # Told first, so that whoever balances load sends nothing more; a second signal hurries.
        if parts.readiness.draining or not parts.drain_seconds:
            end()
        else:
            loop.call_later(parts.drain_seconds, end)
        parts.readiness.draining = True

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    if certificate is not None:
        loop.add_signal_handler(signal.SIGHUP, _renew, certificate)
        # Held back since before this process began, so that none was lost (supervisor.serve).
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    following = asyncio.create_task(_follow(parts.engine, stop, supervised=supervised))
    running = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in servers]
    while not all(server.started for server, _ in servers) and not any(t.done() for t in running):  # noqa: ASYNC110 - uvicorn tells it by a flag alone
        await asyncio.sleep(0.005)
    _tune_interpreter()
    on_ready()
    try:
        await asyncio.gather(*running)
    finally:
        following.cancel()
        parts.engine.settle = _nothing  # nobody answers any more


def _tune_interpreter() -> None:
    """Have the collector look at what is made from here on, and threads give way to the loop soon.

    What exists now lives as long as the process, so it is never walked over again. What decides and
    what is remembered is out of its sight (docs/decisions/0030).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)


def _nothing() -> None:
    pass


def _settled(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until the loop has gone round: what was decided before has been answered by then."""

    async def gone_round() -> None:
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(gone_round(), loop).result(SETTLE_SECONDS)


async def _follow(engine: Engine, stop: Callable[[], None], *, supervised: bool) -> None:
    """Keep an idle cache up to date, so that receipts don't wait for the next request.

    A worker whose supervisor is gone stops; a server on its own outlives the shell it came from.
    """
    parent = os.getppid()
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        engine.follow()
        if supervised and os.getppid() != parent:
            _log.warning("the supervisor is gone; stopping")
            stop()
            return


def _renew(certificate: Certificate) -> None:
    """Show new connections the certificate that the files hold now; a bad pair changes nothing."""
    try:
        certificate.reload()
    except CertificateError as error:
        _log.error("the certificate was not renewed, the one before stays: %s", error)
        return
    _log.info("the certificate was read anew")
    for warning in certificate.warnings:
        _log.warning(warning)
