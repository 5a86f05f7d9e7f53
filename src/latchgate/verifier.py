"""`from latchgate import Verifier`: decisions inside a Python API, without a network hop.

The composition root of the base install: an engine over the same database that the server uses,
exact on revocation, with nothing of the server imported; or under a lease over the feed of a
Latchgate elsewhere.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self, Unpack

import msgspec

from latchgate import providers
from latchgate.config import AccessFiles, ConfigError, load
from latchgate.core.answer import identity, notices, refusal
from latchgate.core.dialects import DIALECTS
from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision, Request
from latchgate.core.network import parse_address
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.reason import Reason
from latchgate.core.redact import Redactor
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store.access_log import AccessLog
from latchgate.store.errors import StoreError
from latchgate.store.recorder import Usage
from latchgate.store.shadows import ShadowLog
from latchgate.verify.engine import Engine
from latchgate.verify.log_filter import attach
from latchgate.verify.opening import Trust, engine_over
from latchgate.verify.shadow import Settled, Shadows
from latchgate.verify.upstream import Edge, EdgeOptions, Upstream, followed

__all__ = ["ConfigError", "StoreError", "Verdict", "Verifier"]

_FOLLOW_SECONDS = 0.02
_log = logging.getLogger(__name__)
# One for the process, as its loggers are: nothing that any Verifier here learnt is forgotten.
_redact = Redactor()


class Verdict(msgspec.Struct, frozen=True):
    """What to do with a request.

    Allowed: `identity` says for whom (`X-Latchgate-*` names; empty where nobody was asked for), and
    `headers` belong on the application's answer: they tell whose secret was rotated when it ends.
    Refused: answer with `status`, `headers` and `body`; `decision_id` finds the explanation.
    `replaced` are headers that an area's old system decides about, empty where it sent none: the
    request's own of these names, in every spelling, must not be believed.
    """

    allowed: bool
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    identity: Mapping[str, str]
    decision_id: str | None
    replaced: Mapping[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def unavailable(cls) -> Self:
        """Return the refusal for a request that could not be decided: status 503."""
        reply = DIALECTS["problem"](TABLE[Reason.STORE_UNAVAILABLE]["problem"], (), "")
        return cls(
            allowed=False,
            status=reply.status,
            headers=(*reply.headers, ("Cache-Control", "no-store")),
            body=reply.body,
            identity={},
            decision_id=None,
        )


@dataclass(frozen=True, slots=True)
class _Opened:
    engine: Engine
    usage: Usage | None  # nothing is counted without a database
    passwords: Passwords
    assertions: Assertions
    differences: ShadowLog | None
    shadows: Shadows
    stop: threading.Event

    @property
    def written(self) -> tuple[Usage | ShadowLog, ...]:
        """What writes to a database."""
        return tuple(one for one in (self.differences, self.usage) if one is not None)

    def close(self) -> None:
        """End everything, whatever some of it raises; StoreError when something was not written."""
        self.stop.set()
        with ExitStack() as ending:  # from the last to the first
            for one in reversed(self.written):
                ending.callback(one.close)
            ending.callback(self.engine.close)
            ending.callback(self.shadows.close)
            ending.callback(self.assertions.close)
            ending.callback(self.passwords.close)


class Verifier:
    """Decides requests over the database that a configuration file names, or following an upstream.

    With `url`, the API of a Latchgate elsewhere, no configuration is read: `token` is a key with
    the scope `verifier:follow`, or a function that returns one, asked each time; LATCHGATE_TOKEN
    unless given. `tenants` are ids of those to serve, all that the key may follow unless given;
    `lease` and `stale_while_unreachable` are as in `[node]` of latchgate.toml, `node` is what
    receipts call this one, `ca` a file of certificates that count instead of the system's.

    Safe to use from many threads, and after a fork: a child starts with a memory of its own.
    Raises ConfigError for a bad configuration and StoreError when the database or the upstream
    can't be used.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] = ".latchgate/latchgate.toml",
        *,
        url: str | None = None,
        token: str | Callable[[], str] | None = None,
        **edge: Unpack[EdgeOptions],
    ) -> None:
        self._upstream: Upstream | None = None
        if url is not None:
            try:
                self._upstream = followed(url, token, edge)
            except ValueError as error:
                raise ConfigError(str(error)) from error
        elif token is not None or edge:
            raise TypeError("token, and whatever else an edge is told, go with url")
        else:
            self._config = load(Path(config))
        self._open_lock = threading.Lock()
        self._opened: _Opened | None = None
        self._open()
        _living.add(self)

    def decide(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        *,
        host: str = "",
        client: str | None = None,
        tls: bool = False,
        scope: str | None = None,
        doubt: str | None = None,
    ) -> Verdict:
        """Decide one request and never raise: a fault is a refusal with status 503.

        `target` is the raw path and query as they arrived, `client` the caller's IP address.
        Give headers as pairs where one may come more than once. `scope` is needed instead of
        the one that the policy names there: for a second decision, on what the policy can't see.
        `doubt` says why something else than `target` might be served, and refuses the request.
        """
        folded, repeated = _folded(headers)
        address, fault = None, None
        if client is not None:
            try:
                address = parse_address(client)
            except ValueError as error:
                fault = (Reason.CLIENT_ADDRESS_INVALID, str(error))
        if doubt is not None:
            fault = (Reason.PATH_AMBIGUOUS, doubt)
        request = Request(
            method=method,
            host=host or folded.get("host", ""),
            target=target,
            headers=folded,
            repeated=repeated,
            client=address,
            tls=tls,
            fault=fault,
            scope=scope,
        )
        try:
            opened = self._parts()
        except (StoreError, OSError):
            # After a fork the database has to be opened anew, and may be gone.
            _log.exception("the database could not be opened")
            return Verdict.unavailable()
        decision = opened.engine.decide(request)
        if decision.area is None or decision.area.shadow is None:
            return _verdict(decision, folded.get("accept", ""))
        try:
            settled = opened.shadows.settle_here(opened.engine, request, decision)
        except Exception:  # noqa: BLE001 - whatever fails is a refusal
            _log.exception("the old system of an area could not be asked")
            return Verdict.unavailable()
        return _enforced(settled, folded.get("accept", ""))

    @property
    def asks_others(self) -> bool:
        """Whether some area has an old system: then a decision may wait for that one's answer."""
        try:
            policy = self._parts().engine.policy
        except (StoreError, OSError):
            return False
        return policy.shadowed

    def close(self) -> None:
        """Write what was recorded and let go of the database."""
        with self._open_lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _parts(self) -> _Opened:
        opened = self._opened
        return opened if opened is not None else self._open()

    def _open(self) -> _Opened:
        with self._open_lock:
            if self._opened is not None:
                return self._opened
            attach(_redact)
            if self._upstream is not None:
                edge = Edge.of(self._upstream, _compiled)
                self._opened = _Opened(
                    edge.engine,
                    None,
                    edge.passwords,
                    edge.assertions,
                    None,
                    edge.shadows,
                    threading.Event(),
                )
                return self._opened
            redact, issuer = _redact, self._config.issuer

            def compile_policy(files: dict[str, str], version: int) -> Policy:
                return _compiled(files, version, issuer)

            usage = Usage(
                self._config.usage_database,
                redact=redact,
                ticks=time.monotonic,
                clock=time.time,
                access_log=_access_log(self._config.access_log, redact),
            )
            passwords = Passwords(ticks=time.monotonic, entropy=secrets.token_bytes)
            assertions = Assertions(ticks=time.monotonic, entropy=secrets.token_bytes, fetch=fetch)
            node = self._config.node
            try:
                trust = Trust(node.name or socket.gethostname(), node.lease, node.stale)
                engine = engine_over(
                    self._config.database,
                    trust,
                    clock=time.time,
                    ticks=time.monotonic,
                    entropy=secrets.token_bytes,
                    compile_policy=compile_policy,
                    passwords=passwords,
                    assertions=assertions,
                    on_decision=usage.on_decision,
                )
            except BaseException:
                usage.close()
                raise
            usage.start()
            stop = threading.Event()
            threading.Thread(
                target=_follow, args=(engine, stop), name="latchgate-follow", daemon=True
            ).start()
            differences = ShadowLog(
                self._config.usage_database, redact=redact, ticks=time.monotonic, clock=time.time
            )
            shadows = Shadows(
                note=differences.note,
                on_decision=usage.on_decision,
                entropy=secrets.token_bytes,
                clock=time.time,
                ticks=time.monotonic,
            )
            self._opened = _Opened(engine, usage, passwords, assertions, differences, shadows, stop)
            return self._opened

    def _forget(self) -> None:
        """Drop what a fork copied: connections, locks and threads belong to the parent."""
        self._open_lock = threading.Lock()
        opened, self._opened = self._opened, None
        if opened is not None and opened.usage is not None:
            opened.usage.let_go()


def _compiled(files: dict[str, str], version: int, issuer: str | None) -> Policy:
    given = {"oauth_token": {"issuer": issuer}} if issuer is not None else {}
    built_in = providers.text(providers.BUILT_IN)
    policy = with_built_in(files, built_in, version=version, given=given)
    _redact.learn(policy.patterns())
    return policy


def _access_log(kept: AccessFiles | None, redact: Callable[[str], str]) -> AccessLog | None:
    if kept is None:
        return None
    return AccessLog(
        kept.directory,
        redact=redact,
        ticks=time.monotonic,
        clock=time.time,
        max_bytes=kept.max_bytes,
    )


def _follow(engine: Engine, stop: threading.Event) -> None:
    """Keep an idle memory up to date, so that receipts don't wait for the next request."""
    while not stop.wait(_FOLLOW_SECONDS):
        engine.follow()


_NONE = frozenset[str]()


def _folded(
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
) -> tuple[dict[str, str], frozenset[str]]:
    """Return headers by their names in lower case, several values as one list; whose were several.

    The list is what RFC 9110 §5.3 reads.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    folded = {name.lower(): value for name, value in pairs}
    if len(folded) == len(pairs):
        return folded, _NONE
    folded.clear()
    repeated: set[str] = set()
    for name, value in pairs:
        key = name.lower()
        if key in folded:
            repeated.add(key)
        folded[key] = f"{folded[key]}, {value}" if key in folded else value
    return folded, frozenset(repeated)


def _verdict(decision: Decision, accept: str) -> Verdict:
    if decision.allowed:
        told, whose = _passed(decision)
        return Verdict(
            allowed=True,
            status=200,
            headers=told,
            body=b"",
            identity=whose.copy(),  # the application's own, which it may write to
            decision_id=None,
        )
    reply = refusal(decision, accept)
    return Verdict(
        allowed=False,
        status=reply.status,
        headers=(
            *reply.headers,
            ("X-Latchgate-Decision", decision.id),
            ("Cache-Control", "no-store"),
        ),
        body=reply.body,
        identity={},
        decision_id=decision.id,
    )


def _passed(decision: Decision) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """Return the notices and identity of an acceptance, worked out once for a remembered one."""
    memo = decision.memo
    if memo is None:
        return notices(decision), dict(identity(decision))
    if memo.passed is None:
        memo.passed = notices(decision), dict(identity(decision))
    return memo.passed


def _enforced(settled: Settled, accept: str) -> Verdict:
    """Word what an area's old system said."""
    told = settled.told
    if told is None:
        return _verdict(settled.decision, accept)
    replaced = dict(told.copied)
    if told.allowed:
        return Verdict(
            allowed=True,
            status=200,
            headers=(),
            body=b"",
            identity={name: value for name, value in settled.passed if value},
            decision_id=None,
            replaced=replaced,
        )
    named = settled.decision.id or None
    return Verdict(
        allowed=False,
        status=told.status,
        headers=(
            *told.headers,
            *((("X-Latchgate-Decision", named),) if named is not None else ()),
            ("Cache-Control", "no-store"),
        ),
        body=told.body,
        identity={},
        decision_id=named,
        replaced=replaced,
    )


_living: weakref.WeakSet[Verifier] = weakref.WeakSet()
_paused: list[Engine | Usage | ShadowLog] = []


def _before_fork() -> None:
    """Keep every thread out of SQLite: a lock that one held would be held in the child for ever."""
    for verifier in list(_living):
        opened = verifier._opened  # noqa: SLF001 - same module
        if opened is not None:
            for part in (*opened.written, opened.engine):
                part.pause()
                _paused.append(part)


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().resume()


def _after_fork_in_child() -> None:
    _paused.clear()
    for verifier in list(_living):
        verifier._forget()  # noqa: SLF001 - same module


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
