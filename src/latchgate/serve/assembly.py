"""What one worker is made of: databases, an engine, the doors over it, the jobs beside it.

Rule of this file: it puts together and takes apart, and decides nothing. The clock, the entropy
and the files of the configuration reach everything else through here.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import msgspec

from latchgate import providers
from latchgate.config import Config
from latchgate.core.location import Postgres
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.redact import Redactor
from latchgate.doors import (
    application_form,
    keystone,
    leaks,
    manage,
    oauth,
    teracloud,
    upcloud,
    wayscloud,
)
from latchgate.doors.application_form import ApplicationForm
from latchgate.doors.console import console
from latchgate.doors.console.app import pages
from latchgate.doors.console.languages import Languages
from latchgate.doors.console.site import Site
from latchgate.doors.door import Door
from latchgate.doors.gate import gate
from latchgate.doors.readiness import Readiness
from latchgate.doors.verify import VerifyDoor
from latchgate.doors.verify.caching import Caching
from latchgate.jobs import HERE, JOBS, USAGE
from latchgate.jobs.duty import FileDuty, TableDuty
from latchgate.jobs.job import AccessFiles, Export, Work
from latchgate.jobs.mail import Mailer
from latchgate.jobs.runner import Runner
from latchgate.jobs.sending import resolve
from latchgate.keyring import master
from latchgate.keyring.jwt import unseal_jwt
from latchgate.keyring.signing import Purpose, unseal
from latchgate.manage import signing_keys
from latchgate.manage.census import Census
from latchgate.manage.rehash import Rehash
from latchgate.oauth.relying_party import RelyingParty
from latchgate.serve.servers import Application
from latchgate.signin.issuers import Issuers
from latchgate.signin.jose import PublicKey
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.partners import Partners, Signer, read_keys
from latchgate.signin.pool import Passwords
from latchgate.signin.quota import Quota
from latchgate.store.access_log import AccessLog
from latchgate.store.access_read import AccessReader
from latchgate.store.gateway_tails import GatewayTails
from latchgate.store.journal import Store
from latchgate.store.recorder import Usage
from latchgate.store.retention import Retention
from latchgate.store.shadows import ShadowLog, ShadowReader
from latchgate.store.usage import UsageReader
from latchgate.store.verifiers import Verifiers
from latchgate.tokens.signers import Signers
from latchgate.verify.engine import Engine
from latchgate.verify.gateway_tail import GatewayTail, Remembering, tail
from latchgate.verify.lease_engine import boot_clock
from latchgate.verify.news import News
from latchgate.verify.opening import Trust, engine_over
from latchgate.verify.receipts import Receipts
from latchgate.verify.shadow import Shadows

# Requests for an application that one address may send, by API or form, to each worker.
REQUESTS = 5
REQUEST_SECONDS = 3_600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Databases:
    """Both databases, as they are written and as they are read."""

    store: Store
    usage: Usage
    counts: UsageReader
    differences: ShadowLog
    compared: ShadowReader

    @classmethod
    def of(cls, config: Config, redact: Redactor) -> Databases:
        """Open them."""
        file, ticks, clock = config.usage_database, time.monotonic, time.time
        kept, log = config.access_log, None
        if kept is not None:
            log = AccessLog(
                kept.directory, redact=redact, ticks=ticks, clock=clock, max_bytes=kept.max_bytes
            )
        return cls(
            store=Store(config.database, clock=clock),
            usage=Usage(file, redact=redact, ticks=ticks, clock=clock, access_log=log),
            counts=UsageReader(file),
            differences=ShadowLog(file, redact=redact, ticks=ticks, clock=clock),
            compared=ShadowReader(file),
        )


@dataclass(frozen=True, slots=True)
class Deciders:
    """What decides, and what it asks that takes long."""

    engine: Engine
    passwords: Passwords
    rehash: Rehash
    assertions: Assertions
    issuers: Issuers
    shadows: Shadows

    @classmethod
    def of(cls, config: Config, databases: Databases, redact: Redactor) -> Deciders:
        """Read what is published; StoreError, PolicyError where nothing can be decided by it."""
        built_in = providers.text(providers.BUILT_IN)

        given = {"oauth_token": {"issuer": config.issuer}}

        def compile_policy(files: dict[str, str], version: int) -> Policy:
            policy = with_built_in(files, built_in, version=version, given=given)
            redact.learn(policy.patterns())
            return policy

        ticks, entropy = time.monotonic, secrets.token_bytes
        rehash = Rehash(databases.store)
        passwords = Passwords(ticks=ticks, entropy=entropy, on_renewal=rehash)
        assertions = Assertions(ticks=ticks, entropy=entropy, fetch=fetch)
        node = config.node
        trust = Trust(_node_name(config), node.lease, node.stale)
        engine = engine_over(
            config.database,
            trust,
            clock=time.time,
            ticks=ticks,
            entropy=entropy,
            compile_policy=compile_policy,
            passwords=passwords,
            assertions=assertions,
            on_decision=databases.usage.on_decision,
        )
        shadows = Shadows(
            note=databases.differences.note,
            on_decision=databases.usage.on_decision,
            entropy=entropy,
            clock=time.time,
            ticks=ticks,
        )
        issuers = Issuers(allowed=config.workload_networks, ticks=ticks)
        return cls(engine, passwords, rehash, assertions, issuers, shadows)


@dataclass(frozen=True, slots=True)
class Followed:
    """Who follows the journal, and who waits for them."""

    verifiers: Verifiers
    receipts: Receipts
    readiness: Readiness


class Assembly:
    """One worker's parts; `api`, `console` and `verify` are what its three addresses answer."""

    def __init__(self, config: Config, redact: Redactor) -> None:
        """Put it together; StoreError, PolicyError when it can't start. Nothing runs yet."""
        self._databases = Databases.of(config, redact)
        verifiers = Verifiers(self._databases.store)
        self.readiness, self.drain_seconds = Readiness(), config.node.drain
        self._receipts = Receipts(
            verifiers, bell=self._databases.store.bell, clock=time.time, ticks=time.monotonic
        )
        self._deciders = Deciders.of(config, self._databases, redact)
        self._partners = _partners(config)
        self.engine, self.shadows = self._deciders.engine, self._deciders.shadows
        requests = Quota(REQUESTS, REQUEST_SECONDS)
        self._providers = RelyingParty(config.providers, ticks=time.monotonic, clock=time.time)
        followed = Followed(verifiers, self._receipts, self.readiness)
        door = _door(
            config, self._databases, self._deciders, followed, requests, redact, self._providers
        )
        form = ApplicationForm(
            store=door.store,
            requests=requests,
            trusted=config.trusted,
            ticks=time.monotonic,
            entropy=secrets.token_bytes,
        )
        self.api = _api(door, self._partners)
        self.console: Application = console(
            {
                application_form.PATH: form,
                **oauth.endpoints(door),
                **pages(door, Site.of(config.issuer), Languages.beside(config.translations)),
            }
        )
        self._tail = _gateway_tail(config, self._databases.store)
        caching = Caching(self.engine, self._tail, clock=time.time) if self._tail else None
        self.verify = VerifyDoor(self.engine, config.trusted, self.shadows, caching, self.readiness)
        work = _work(config, self._databases, self.engine, redact)
        self._jobs = _runners(config, work)

    def turned_away(self, listener: str) -> Callable[[str], None]:
        """Return what counts requests that a listener turned away, by why."""
        return partial(self._databases.usage.turned_away, listener)

    def start(self) -> None:
        """Begin what runs beside the doors."""
        self._databases.usage.start()
        self._receipts.start()
        if self._tail is not None:
            self._tail.start()
        for runner in self._jobs:
            runner.start()

    def close(self) -> None:
        """End everything, what writes before what is written to; raises the first fault of all."""
        deciders, databases = self._deciders, self._databases
        in_order: tuple[Callable[[], None], ...] = (
            *(() if self._tail is None else (self._tail.close,)),
            *(runner.close for runner in self._jobs),
            self._receipts.close,
            deciders.passwords.close,
            deciders.rehash.close,
            deciders.assertions.close,
            deciders.issuers.close,
            self._partners.close,
            self._providers.close,
            self.engine.close,
            databases.differences.close,
            databases.usage.close,
            databases.compared.close,
            databases.counts.close,
            databases.store.close,
        )
        with ExitStack() as ending:
            for close in reversed(in_order):
                ending.push(_after_faults(close))


def _after_faults(close: Callable[[], None]) -> Callable[[object, object, object], None]:
    """Return what closes a part after another failed, too; the fault of that one stays the one."""

    def end(_kind: object, before: object, _trace: object) -> None:
        try:
            close()
        except Exception:
            if before is None:
                raise
            _log.exception("besides, %s failed", close.__qualname__)

    return end


def _gateway_tail(config: Config, store: Store) -> GatewayTail | None:
    """Return what keeps it known that gateways remember; None where none is let to."""
    told = config.gateway_caches
    if told is None:
        return None
    return GatewayTail(
        GatewayTails(store),
        Remembering(float(told.seconds), tail(told.seconds, told.clock_margin)),
        boot=boot_clock,
        distant=isinstance(store.database, Postgres),
    )


def _door(
    config: Config,
    databases: Databases,
    deciders: Deciders,
    followed: Followed,
    requests: Quota,
    redact: Callable[[str], str],
    relying_party: RelyingParty,
) -> Door:
    kept, store, engine = config.access_log, databases.store, deciders.engine
    return Door(
        store=store,
        census=Census(store, clock=time.time, ticks=time.monotonic),
        usage=databases.counts,
        shadows=databases.compared,
        access_log=AccessReader(kept.directory, ticks=time.monotonic) if kept else None,
        engine=engine,
        news=News(lambda: engine.position),
        verifiers=followed.verifiers,
        receipts=followed.receipts,
        readiness=followed.readiness,
        passwords=deciders.passwords,
        issuers=deciders.issuers,
        signers=Signers(
            current=lambda: signing_keys.current(store, Purpose.TOKEN),
            load=lambda: master.load(config.master_key),
            unseal=unseal,
            position=lambda: engine.position,
        ),
        jwt_signers=Signers(
            current=lambda: signing_keys.current(store, Purpose.OAUTH),
            load=lambda: master.load(config.master_key),
            unseal=unseal_jwt,
            position=lambda: engine.position,
        ),
        providers=relying_party,
        requests=requests,
        trusted=config.trusted,
        built_in=providers.text(providers.BUILT_IN),
        api_url=config.api.url,
        webhook_networks=config.webhook_networks,
        master_key=config.master_key,
        redact=redact,
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
    )


def _api(door: Door, partners: Partners) -> Application:
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


def _work(
    config: Config, databases: Databases, engine: Engine, redact: Callable[[str], str]
) -> Work:
    kept, told = config.access_log, config.audit
    return Work(
        store=databases.store,
        usage=databases.counts,
        usage_database=config.usage_database,
        retention=Retention(**msgspec.structs.asdict(config.usage)),
        policy=lambda: engine.policy,
        webhook_networks=config.webhook_networks,
        mail=Mailer(**dataclasses.asdict(config.mail)) if config.mail is not None else None,
        resolve=resolve,
        master_key=config.master_key,
        redact=redact,
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
        export=Export(told.directory, told.every, told.keep) if told is not None else None,
        access_log=AccessFiles(**dataclasses.asdict(kept)) if kept is not None else None,
    )


def _runners(config: Config, work: Work) -> tuple[Runner, ...]:
    """Return who runs the jobs: one worker of all nodes, and what is local one of this machine."""
    database, ticks = config.database, time.monotonic
    if not isinstance(database, Postgres):
        return (Runner((*JOBS, *USAGE, *HERE), work, FileDuty.beside(database), ticks=ticks),)
    holder = f"{_node_name(config)} {os.getpid()} {secrets.token_hex(8)}"
    shared, local = (*JOBS, *USAGE), HERE
    if not isinstance(config.usage_database, Postgres):
        shared, local = JOBS, (*USAGE, *HERE)
    return (
        Runner(shared, work, TableDuty(work.store, holder, ticks=ticks), ticks=ticks),
        Runner(local, work, FileDuty.beside(config.file), ticks=ticks),
    )


def _node_name(config: Config) -> str:
    return config.node.name or socket.gethostname()


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
