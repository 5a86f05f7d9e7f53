"""One worker process: an engine, the doors over it, three listeners on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from latchgate import providers
from latchgate.config import Config
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.redact import Redactor
from latchgate.doors import (
    application_form,
    keystone,
    leaks,
    manage,
    teracloud,
    upcloud,
    wayscloud,
)
from latchgate.doors.application_form import ApplicationForm
from latchgate.doors.console import console
from latchgate.doors.door import Door
from latchgate.doors.gate import gate
from latchgate.doors.listener import Listener
from latchgate.doors.verify import VerifyDoor
from latchgate.jobs import JOBS
from latchgate.jobs.job import AccessFiles, Export, Work
from latchgate.jobs.mail import Mailer
from latchgate.jobs.runner import Runner
from latchgate.jobs.sending import resolve
from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.keyring.signing import Purpose
from latchgate.manage import signing_keys
from latchgate.manage.applications import DEVELOPER_PATTERN
from latchgate.manage.census import Census
from latchgate.manage.rehash import Rehash
from latchgate.serve.logs import configure
from latchgate.serve.tls import CLOSE_SECONDS, HANDSHAKE_SECONDS, Certificate, CertificateError
from latchgate.signin.jose import PublicKey
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.partners import Partners, Signer, read_keys
from latchgate.signin.pool import Passwords
from latchgate.signin.quota import Quota
from latchgate.store.access_log import AccessLog
from latchgate.store.access_read import AccessReader
from latchgate.store.journal import Store
from latchgate.store.recorder import Usage
from latchgate.store.retention import Retention
from latchgate.store.shadows import ShadowLog, ShadowReader
from latchgate.store.usage import UsageReader
from latchgate.tokens.signers import Signers
from latchgate.verify.engine import Engine
from latchgate.verify.shadow import Shadows

FOLLOW_SECONDS = 0.01
DRAIN_SECONDS = 10
MAX_API_CONNECTIONS = 1_000
# Requests for an application that one address may send, by API or form, to each worker.
REQUESTS = 5
REQUEST_SECONDS = 3_600.0
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sockets:
    """The bound sockets of the three addresses."""

    api: socket.socket
    console: socket.socket
    verify: socket.socket


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


class _Server(TlsServer):
    """One that leaves signals to the worker, which runs three of them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


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
    built_in = providers.text(providers.BUILT_IN)
    redact = Redactor()
    redact.learn([DEVELOPER_PATTERN])
    configure(redact, level=logging.getLevelNamesMapping()[config.log_level.upper()])

    def compile_policy(files: dict[str, str], version: int) -> Policy:
        policy = with_built_in(files, built_in, version=version)
        redact.learn(policy.patterns())
        return policy

    kept = config.access_log
    usage = Usage(
        config.usage_database,
        redact=redact,
        ticks=time.monotonic,
        clock=time.time,
        access_log=_access_log(config, redact),
    )
    store = Store(config.database, clock=time.time)
    rehash = Rehash(store)
    passwords = Passwords(ticks=time.monotonic, entropy=secrets.token_bytes, on_renewal=rehash)
    assertions = Assertions(ticks=time.monotonic, entropy=secrets.token_bytes, fetch=fetch)
    engine = Engine(
        config.database,
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
        compile_policy=compile_policy,
        passwords=passwords,
        assertions=assertions,
        on_decision=usage.on_decision,
    )
    differences = ShadowLog(
        config.usage_database, redact=redact, ticks=time.monotonic, clock=time.time
    )
    shadows = Shadows(
        note=differences.note,
        on_decision=usage.on_decision,
        entropy=secrets.token_bytes,
        clock=time.time,
        ticks=time.monotonic,
    )
    requests = Quota(REQUESTS, REQUEST_SECONDS)
    reader = UsageReader(config.usage_database)
    compared = ShadowReader(config.usage_database)
    door = Door(
        store=store,
        census=Census(store, clock=time.time, ticks=time.monotonic),
        usage=reader,
        shadows=compared,
        access_log=AccessReader(kept.directory, ticks=time.monotonic) if kept else None,
        engine=engine,
        passwords=passwords,
        signers=Signers(
            current=lambda: signing_keys.current(store, Purpose.TOKEN),
            load=lambda: master.load(config.master_key),
            position=lambda: engine.position,
        ),
        requests=requests,
        trusted=config.trusted,
        built_in=built_in,
        api_url=config.api.url,
        webhook_networks=config.webhook_networks,
        master_key=config.master_key,
        redact=redact,
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
    )
    form = ApplicationForm(
        store=store,
        requests=requests,
        trusted=config.trusted,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
    )
    partners = _partners(config)
    work = Work(
        store=store,
        usage=reader,
        usage_database=config.usage_database,
        retention=Retention(**msgspec.structs.asdict(config.usage)),
        policy=lambda: engine.policy,
        webhook_networks=config.webhook_networks,
        mail=Mailer(**dataclasses.asdict(config.mail)) if config.mail is not None else None,
        resolve=resolve,
        master_key=config.master_key,
        redact=redact,
        clock=time.time,
        entropy=secrets.token_bytes,
        export=_export(config),
        access_log=AccessFiles(**dataclasses.asdict(kept)) if kept is not None else None,
    )
    jobs = Runner(JOBS, work, Runner.beside(config.database), ticks=time.monotonic)
    servers = [
        (_api_server(api(door, partners), certificate), sockets.api),
        (_api_server(console({application_form.PATH: form}), certificate), sockets.console),
        (_verify_server(VerifyDoor(engine, config.trusted, shadows)), sockets.verify),
    ]
    _warn_of_master_key(config)
    usage.start()
    jobs.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(_serve(servers, engine, certificate, on_ready, supervised=supervised))
            finally:
                runner.run(shadows.aclose())
    finally:
        jobs.close()
        passwords.close()
        rehash.close()
        assertions.close()
        partners.close()
        engine.close()
        differences.close()
        usage.close()
        compared.close()
        reader.close()
        store.close()


def _access_log(config: Config, redact: Callable[[str], str]) -> AccessLog | None:
    kept = config.access_log
    if kept is None:
        return None
    return AccessLog(
        kept.directory,
        redact=redact,
        ticks=time.monotonic,
        clock=time.time,
        max_bytes=kept.max_bytes,
    )


def _partners(config: Config) -> Partners:
    """Return who may report leaks; one whose file can't be read reports nothing, and is told of."""
    signers: list[Signer] = []
    for one in config.partners:
        keys: tuple[PublicKey, ...] = ()
        if one.keys_file is not None:
            try:
                keys = read_keys(one.keys_file.read_bytes())
            except (OSError, ValueError) as error:
                _log.error("the keys of the partner %s can't be read: %s", one.name, error)
        signers.append(Signer(one.name, one.keys_url, keys))
    return Partners(signers, fetch=fetch, ticks=time.monotonic)


def api(door: Door, partners: Partners) -> Application:
    """Return the API's address: Latchgate's own API and those of the providers, behind one gate."""
    doors = (
        (manage.BELOW, manage.application(door)),
        (teracloud.BELOW, teracloud.application(door)),
        (upcloud.BELOW, upcloud.application(door)),
        (wayscloud.BELOW, wayscloud.application(door)),
        (keystone.BELOW, keystone.application(door)),
        (leaks.BELOW, leaks.application(door, partners)),
    )
    return gate(door, {path: inner for below, inner in doors for path in below})


def _export(config: Config) -> Export | None:
    told = config.audit
    return Export(told.directory, told.every, told.keep) if told is not None else None


def _warn_of_master_key(config: Config) -> None:
    """Say at the start that nothing can be signed; decisions never wait for it."""
    try:
        master.load(config.master_key)
    except KeyringError as error:
        _log.warning("nothing can be signed: %s", error)


async def _serve(
    servers: list[tuple[_Server, socket.socket]],
    engine: Engine,
    certificate: Certificate | None,
    on_ready: Callable[[], None],
    *,
    supervised: bool,
) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    if certificate is not None:
        loop.add_signal_handler(signal.SIGHUP, _renew, certificate)
        # Held back since before this process began, so that none was lost (supervisor.serve).
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    following = asyncio.create_task(_follow(engine, stop, supervised=supervised))
    running = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in servers]
    while not all(server.started for server, _ in servers) and not any(t.done() for t in running):  # noqa: ASYNC110 - uvicorn tells it by a flag alone
        await asyncio.sleep(0.005)
    # What exists now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    on_ready()
    try:
        await asyncio.gather(*running)
    finally:
        following.cancel()


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


def _api_server(application: Application, certificate: Certificate | None) -> _Server:
    context = certificate.context if certificate is not None else None
    return _Server(
        uvicorn.Config(
            application,
            http=Listener,
            limit_concurrency=MAX_API_CONNECTIONS,
            ssl_context_factory=(lambda *_: context) if context is not None else None,
            **_COMMON,
        )
    )


def _verify_server(door: VerifyDoor) -> _Server:
    # The door answers in its protocol; uvicorn only wants an application to exist.
    factory: Any = door.protocol  # uvicorn calls it like a class
    return _Server(uvicorn.Config(console({}), http=factory, **_COMMON))


_COMMON: dict[str, Any] = {
    "ws": "none",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_graceful_shutdown": DRAIN_SECONDS,
}
