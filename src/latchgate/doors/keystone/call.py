"""One request of the identity API: what every handler is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope

from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision, Grant, Request
from latchgate.doors.door import Door, bounded_body
from latchgate.doors.keystone.answers import Answer, unavailable
from latchgate.doors.keystone.bodies import Validated
from latchgate.doors.keystone.identity import Identity
from latchgate.doors.keystone.reading import check_media_type, read_query
from latchgate.manage.actor import Caller
from latchgate.verify.walk import Claim

_DOWN = frozenset(reason for reason, told in TABLE.items() if told["keystone"].status == 503)  # noqa: PLR2004 - RFC 9110 §15.6.4


class Call(msgspec.Struct, frozen=True):
    """A request behind the gate; `path` is what its path says of each part of the route.

    `validated` remembers what validated tokens are.
    """

    door: Door
    identity: Identity
    validated: Validated
    scope: Scope
    receive: Receive
    path: tuple[str, ...]

    @property
    def request(self) -> Request:
        """The request as it was decided."""
        request: Request = self.scope["latchgate.request"]
        return request

    @property
    def grant(self) -> Grant:
        """What its token gives; RuntimeError on a public route."""
        decision: Decision = self.scope["latchgate.decision"]
        if decision.grant is None:
            msg = "a route that needs a token stands in a public area"
            raise RuntimeError(msg)
        return decision.grant

    @property
    def caller(self) -> Caller:
        """Who asks."""
        client = self.scope["latchgate.client"]
        return Caller(self.grant, str(client) if client is not None else None)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of its query."""
        return read_query(self.scope["query_string"])

    async def body(self) -> bytes:
        """Read its body, which is JSON; HTTPException 413 for a long one."""
        check_media_type(self.request.headers.get("content-type"))
        return await bounded_body(HttpRequest(self.scope, self.receive))

    async def decide(self, claim: Claim) -> Decision:
        """Decide whether a credential that the body or another header claims stands."""
        engine, request = self.door.engine, self.request
        found = engine.attempt(request, None, claim)
        if not isinstance(found, Decision):
            found = await engine.decide_later(request, found, claim)
        if found.reason in _DOWN:
            raise unavailable()
        return found


Handler = Callable[[Call], Awaitable[Answer]]
