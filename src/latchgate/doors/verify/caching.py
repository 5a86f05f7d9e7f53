"""Which accepts a gateway may remember, and until when.

Rule of this file: whatever the decision rests on is in the key of `latchgate-cache.conf`, in
deploy/nginx, or ends with the answer; a question that holds anything else is answered for itself
alone. Only a gateway that asks at `CACHED` is let remember: it has that key.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from latchgate.core.kinds.oidc_bearer import OidcBearer
from latchgate.core.model import Decision, Grant, Request
from latchgate.core.policy import Policy

CACHED = "/nginx/cached"
# Those in the key, and those that no accept depends on (the last line).
_KEYED = frozenset(
    {
        "x-original-method", "x-original-uri", "x-original-host", "x-original-scheme",
        "x-real-ip", "authorization", "x-api-key", "x-teracloud-api-key", "x-auth-token",
        "destination", "origin", "access-control-request-method",
        "host", "connection", "content-length", "user-agent", "accept",
    }
)  # fmt: skip
_CARRIERS = ("authorization", "x-api-key", "x-auth-token")
_START = b"HTTP/1.1 200 OK\r\n"
# For the configuration's own errors after an accept: nginx has no status of what it remembered.
_ACCEPTED = b"X-Latchgate-Status: 200\r\n"
_NEVER = b"X-Accel-Expires: 0\r\nCache-Control: no-store\r\n"

Moment = tuple[float, float]  # Unix seconds, and for how long memory was to be believed


class Engine(Protocol):
    """What decided; `latchgate.verify.engine.Engine` in the server."""

    policy: Policy

    def trust_left(self, since: float) -> float:
        """Return for how long memory that was renewed since may be believed (seconds)."""
        ...

    def ends_at(self, grant: Grant) -> float | None:
        """Return when a grant ends by itself; None if unknown."""
        ...


class Declared(Protocol):
    """What receipts wait for; `latchgate.verify.gateway_tail.GatewayTail` in the server."""

    seconds: float

    @property
    def since(self) -> float | None:
        """Since when it counts, on the clock of leases; None where nothing may be remembered."""
        ...


class Caching:
    """Says until when gateways may remember what `engine` accepts; `clock` gives Unix seconds."""

    def __init__(self, engine: Engine, declared: Declared, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._declared = declared
        self._clock = clock

    def moment(self) -> Moment:
        """Return what an end is counted from: to be asked before the decision is made.

        A process that is stopped between the two only makes the end come sooner.
        """
        began, since = self._clock(), self._declared.since
        return began, self._engine.trust_left(since) if since is not None else 0.0

    def until(self, request: Request, decision: Decision, moment: Moment) -> int | None:
        """Return the last second in which a gateway may give this answer again; None for never.

        An entry is good through the second that it names, so that is one less (§6 rule 17).
        """
        grant = decision.grant
        if grant is None or not self._is_all_in_the_key(request, decision, grant):
            return None
        ends = self._engine.ends_at(grant)
        if ends is None or self._declared.since is None:
            return None
        began, trust = moment
        until = math.floor(min(began + min(self._declared.seconds, trust), ends)) - 1
        return until if until > began else None

    def _is_all_in_the_key(self, request: Request, decision: Decision, grant: Grant) -> bool:
        """Whether the same key would be decided alike, and nobody has to hear of each request."""
        area, rule, headers = decision.area, decision.rule, request.headers
        if not decision.allowed or area is None or area.shadow is not None:
            return False
        if rule is None or rule.price is not None:
            return False  # what is billed is counted one by one
        if request.repeated or not headers.keys() <= _KEYED:
            return False
        # Of two credentials the grant is of one, and the other's end is not known.
        if sum(name in headers for name in _CARRIERS) != 1:
            return False
        # A statement of somebody else's ends by what it says itself, which no record knows.
        return not isinstance(self._engine.policy.kinds.get(grant.credential.kind), OidcBearer)


def remembered(written: bytes, until: int, moment: Moment) -> bytes:
    """Let a gateway remember an accept that is written, until the end of a Unix second."""
    age = max(1, until - math.floor(moment[0]))
    ends = f"X-Accel-Expires: @{until}\r\nCache-Control: max-age={age}\r\n".encode()
    return _START + ends + _ACCEPTED + written.removeprefix(_START)


def forgotten(written: bytes) -> bytes:
    """Have a gateway remember nothing of an answer that is written."""
    start, _, rest = written.partition(b"\r\n")
    more = _NEVER + _ACCEPTED if written.startswith(_START) else _NEVER
    return start + b"\r\n" + more + rest
