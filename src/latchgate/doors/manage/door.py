"""What every handler of the management API works with, and who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.model import Decision
from latchgate.core.network import Networks
from latchgate.doors.manage.shapes import ReceiptShape, receipt_shape
from latchgate.manage.actor import Caller
from latchgate.signin.pool import Passwords
from latchgate.signin.quota import Quota
from latchgate.store.journal import Store
from latchgate.store.usage import UsageReader
from latchgate.verify.engine import Engine
from latchgate.verify.receipts import receipt


@dataclass(frozen=True, slots=True)
class Door:
    """Built by the composition root."""

    store: Store
    usage: UsageReader
    engine: Engine
    passwords: Passwords
    requests: Quota
    trusted: Networks
    built_in: str
    master_key: Path  # read when something is signed: nothing else needs it
    redact: Callable[[str], str]
    clock: Callable[[], float]
    ticks: Callable[[], float]
    entropy: Callable[[int], bytes]

    async def receipt(self, n: int) -> ReceiptShape:
        """Wait until every verifier follows a change, and say so."""
        found = await receipt(self.store.bell, n, ticks=self.ticks)
        return receipt_shape(found, self.clock())


Handler = Callable[[Door, HttpRequest], Awaitable[Response]]


def caller(request: HttpRequest) -> Caller:
    """Return who asks; RuntimeError on a public route."""
    decision: Decision = request.scope["latchgate.decision"]
    if decision.grant is None:
        msg = "a route that needs a grant stands in a public area"
        raise RuntimeError(msg)
    client = request.scope["latchgate.client"]
    return Caller(decision.grant, str(client) if client is not None else None)
