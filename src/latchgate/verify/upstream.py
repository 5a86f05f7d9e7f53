"""An edge's engine: under a lease over the feed of a Latchgate elsewhere.

Shared by `latchgate edge` and by `Verifier(url=…)`, which hold no database: nothing is counted or
kept here, so what they refused can't be explained.
"""

from __future__ import annotations

import logging
import os
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from latchgate.core.feed import MAX_TRUST, MIN_TRUST
from latchgate.core.model import Decision, Request
from latchgate.core.policy import Policy
from latchgate.core.secret import Secret
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store.http_exchange import Exchange, Origin
from latchgate.store.http_feed import Follower, HttpFeed
from latchgate.verify.lease_engine import Lease, LeaseEngine
from latchgate.verify.opening import Trust
from latchgate.verify.shadow import Shadows

_LONGEST_BEAT = 5.0  # seconds; one that takes longer than the lease renews nothing anyway
_log = logging.getLogger(__name__)

# From policy files, their version and the issuer of OAuth2 tokens.
Compile = Callable[[dict[str, str], int, str | None], Policy]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Whom an edge follows, and as what.

    `token` returns the bearer, read anew for each request so that it can be replaced; `tenants` are
    the ids of those served, None for all that the token may follow; `ca` is a file of certificates
    that count instead of the system's.
    """

    origin: Origin
    token: Callable[[], Secret]
    trust: Trust
    tenants: tuple[str, ...] | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a trust that can't be; ValueError."""
        lease, stale = self.trust.lease, self.trust.stale
        if not MIN_TRUST <= lease <= MAX_TRUST:
            raise ValueError(f"the lease must be from {MIN_TRUST} to {MAX_TRUST:.0f} s")
        if stale is not None and not lease < stale <= MAX_TRUST:
            raise ValueError("stale_while_unreachable must be longer than the lease, at most 1 h")

    def context(self) -> ssl.SSLContext | None:
        """Return whose certificates count; OSError (ssl.SSLError) when `ca` can't be read."""
        if self.ca is None:
            return None
        made = ssl.create_default_context(cafile=str(self.ca))
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        return made


@dataclass(frozen=True, slots=True)
class Edge:
    """What decides at an edge, and what it asks that takes long."""

    engine: LeaseEngine
    shadows: Shadows
    passwords: Passwords
    assertions: Assertions

    @classmethod
    def of(cls, upstream: Upstream, compile_policy: Compile) -> Edge:
        """Begin to follow; StoreError, PolicyError when it can't start, OSError for its `ca`."""
        trust, entropy, ticks = upstream.trust, secrets.token_bytes, time.monotonic
        program = version("latchgate")
        exchange = Exchange(
            upstream.origin,
            token=upstream.token,
            program=program,
            limit=min(max(trust.lease, 1.0), _LONGEST_BEAT),
            context=upstream.context(),
        )
        follower = Follower(
            node=trust.node,
            process=os.getpid(),
            program=program,
            trust=trust.stale or trust.lease,
            stale=trust.stale is not None,
            tenants=upstream.tenants,
        )
        feed = HttpFeed(exchange, follower, entropy=entropy)
        passwords = Passwords(ticks=ticks, entropy=entropy)
        assertions = Assertions(ticks=ticks, entropy=entropy, fetch=fetch)
        try:
            engine = LeaseEngine(
                Lease(feed, trust.lease, trust.stale),
                clock=time.time,
                ticks=ticks,
                entropy=entropy,
                compile_policy=lambda files, number: compile_policy(files, number, feed.issuer),
                passwords=passwords,
                assertions=assertions,
                on_decision=_uncounted,
            )
        except BaseException:
            passwords.close()
            assertions.close()
            raise
        shadows = Shadows(
            note=lambda *_: None,
            on_decision=_uncounted,
            entropy=entropy,
            clock=time.time,
            ticks=ticks,
        )
        return cls(engine, shadows, passwords, assertions)

    def close(self) -> None:
        """Stop following, and end what it asks."""
        self.passwords.close()
        self.assertions.close()
        self.engine.close()


def _uncounted(_decision: Decision, _request: Request, _now: float) -> None:
    """Keep nothing: an edge has no database."""


def token_in(file: Path) -> Callable[[], Secret]:
    """Return what reads a token from a file, each time: one that is replaced is used at once."""

    def read() -> Secret:
        return Secret(file.read_text(encoding="utf-8").strip())

    return read
