"""An edge's engine: under a lease over the feed of a Latchgate elsewhere.

Shared by `latchgate edge` and by `Verifier(url=…)`, which hold no database: nothing is counted or
kept here, so what they refused can't be explained.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypedDict

from latchgate.core.feed import MAX_TRUST, MIN_TRUST, NODE
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

TOKEN = "LATCHGATE_TOKEN"  # noqa: S105 - the name of a variable
LEASE = 2.0  # seconds
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
        if not NODE.fullmatch(self.trust.node):
            raise ValueError("node must be 1 to 63 letters, digits, dots, dashes or underscores")
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
        """Stop following, and end what it asks, whatever some of that raises."""
        with ExitStack() as ending:  # from the last to the first
            ending.callback(self.engine.close)
            ending.callback(self.assertions.close)
            ending.callback(self.passwords.close)


def _uncounted(_decision: Decision, _request: Request, _now: float) -> None:
    """Keep nothing: an edge has no database."""


class EdgeOptions(TypedDict, total=False):
    """What an edge may be told besides whom it follows, and with which token."""

    tenants: Iterable[str]
    lease: float
    stale_while_unreachable: float
    node: str
    ca: str | os.PathLike[str]


def followed(url: str, token: str | Callable[[], str] | None, told: EdgeOptions) -> Upstream:
    """Check what an edge is told; ValueError says what can't be, and shows no token.

    The token is LATCHGATE_TOKEN's unless given.
    """
    shown = token if token is not None else os.environ.get(TOKEN, "")
    if not shown:
        raise ValueError(f"give the key to follow with, or set {TOKEN}")

    def read() -> Secret:
        return Secret(shown if isinstance(shown, str) else shown())

    tenants, ca = told.get("tenants"), told.get("ca")
    upstream = Upstream(
        Origin.of(url),
        read,
        Trust(
            told.get("node", socket.gethostname()[:63]),
            told.get("lease", LEASE),
            told.get("stale_while_unreachable"),
        ),
        tuple(tenants) if tenants is not None else None,
        Path(ca) if ca is not None else None,
    )
    try:
        upstream.context()
    except OSError as error:
        reason = "no PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValueError(f"ca {ca}: {reason}") from error
    return upstream


def token_in(file: Path) -> Callable[[], str]:
    """Return what reads a token from a file, each time: one that is replaced is used at once."""
    return lambda: file.read_text(encoding="utf-8").strip()
