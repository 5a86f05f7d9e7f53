"""`latchgate edge`: a verify listener alone, which follows a Latchgate elsewhere.

The composition root of an edge: no database, no API, no console, and one process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from latchgate import providers
from latchgate.config import Address
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.policy_file import with_built_in
from latchgate.core.redact import Redactor
from latchgate.doors.readiness import Readiness
from latchgate.doors.verify import VerifyDoor
from latchgate.serve.logs import configure, guard
from latchgate.serve.servers import verify_server
from latchgate.serve.supervisor import allow_many_connections, bind
from latchgate.serve.worker import serve_all
from latchgate.verify.engine import Engine
from latchgate.verify.upstream import Edge, Upstream


@dataclass(frozen=True, slots=True)
class Listening:
    """Where gateways ask an edge, and whose word it takes."""

    verify: Address
    trusted: Networks
    log_level: str


@dataclass(frozen=True, slots=True)
class _Parts:
    engine: Engine
    readiness: Readiness
    drain_seconds: float = 0.0


def serve_edge(
    upstream: Upstream, listening: Listening, *, announce: Callable[[Address], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once when it answers.

    ServeError when the address is taken; StoreError, PolicyError when the upstream can't be
    followed, OSError when its certificates can't be read: before anything started.
    """
    redact = Redactor()

    def compile_policy(files: dict[str, str], version: int, issuer: str | None) -> Policy:
        given = {"oauth_token": {"issuer": issuer}} if issuer is not None else {}
        policy = with_built_in(
            files, providers.text(providers.BUILT_IN), version=version, given=given
        )
        redact.learn(policy.patterns())
        return policy

    compile_policy({}, 0, None)  # so that a key of our own is masked from the first line on
    guard(redact)
    configure(redact, level=logging.getLevelNamesMapping()[listening.log_level.upper()])
    allow_many_connections()
    os.umask(0o077)
    bound = bind(listening.verify)
    with bound:
        edge = Edge.of(upstream, compile_policy)
        try:
            readiness = Readiness()
            door = VerifyDoor(edge.engine, listening.trusted, edge.shadows, readiness=readiness)
            at = listening.verify
            if at.path is None:
                at = Address(at.host, bound.getsockname()[1], None)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                try:
                    runner.run(
                        serve_all(
                            [(verify_server(door), bound)],
                            _Parts(edge.engine, readiness),
                            None,
                            lambda: announce(at),
                            supervised=False,
                        )
                    )
                finally:
                    runner.run(edge.shadows.aclose())
        finally:
            edge.close()
