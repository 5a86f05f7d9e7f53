"""What every handler behind the gate works with, and who is asking."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest

from latchgate.core.model import Decision
from latchgate.core.network import Networks
from latchgate.doors.readiness import Readiness
from latchgate.keyring.jwt import JwtSigner
from latchgate.keyring.signing import Signer
from latchgate.manage.actor import Caller
from latchgate.manage.census import Census
from latchgate.oauth.relying_party import RelyingParty
from latchgate.signin.issuers import Issuers
from latchgate.signin.pool import Passwords
from latchgate.signin.quota import Quota
from latchgate.store.access_read import AccessReader
from latchgate.store.journal import Store
from latchgate.store.shadows import ShadowReader
from latchgate.store.usage import UsageReader
from latchgate.store.verifiers import Verifiers
from latchgate.tokens.signers import Signers
from latchgate.verify.engine import Engine
from latchgate.verify.news import News
from latchgate.verify.receipt import Receipt, unwaited
from latchgate.verify.receipts import Receipts

MAX_BODY = 1_048_576
_T = TypeVar("_T")
_TRACE_WAIT = 1.0  # a refusal is written within a batch's time; whoever asks why waits for it
_TRACE_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Door:
    """Built by the composition root."""

    store: Store
    census: Census
    usage: UsageReader
    shadows: ShadowReader
    access_log: AccessReader | None  # None where no access log is written
    engine: Engine
    news: News
    verifiers: Verifiers
    receipts: Receipts
    readiness: Readiness
    passwords: Passwords
    issuers: Issuers  # that tenants trust; those of policy files are the engine's
    signers: Signers[Signer]
    jwt_signers: Signers[JwtSigner]
    providers: RelyingParty  # external ones that people sign in through
    requests: Quota
    trusted: Networks
    built_in: str
    api_url: str  # where this address is reached unless told otherwise: nobody reads Host for it
    webhook_networks: Networks  # of the operator's own, that events may be sent to
    master_key: Path  # read when something is signed: nothing else needs it
    redact: Callable[[str], str]
    clock: Callable[[], float]
    ticks: Callable[[], float]
    entropy: Callable[[int], bytes]
    patient: bool = True  # whether who asks waits for receipts

    async def acknowledged(self, n: int) -> Receipt:
        """Wait until every verifier follows a change; returns who did, and who lapsed.

        ReceiptError when that can't be known.
        """
        return await self.receipts.wait(n) if self.patient else unwaited(n)

    def impatient(self) -> Door:
        """Return this for somebody who does not want to wait for receipts."""
        return dataclasses.replace(self, patient=False)

    async def asked(self, work: Callable[[], _T]) -> _T:
        """Ask the engine for records: at once where they are at hand, else in a worker thread."""
        return await run_in_threadpool(work) if self.engine.waits else work()

    async def refusal(self, decision_id: str) -> tuple[str, dict[str, Any]] | None:
        """Return what is kept of a refusal, waiting a little for one that is being written.

        As `UsageReader.refusal` tells it.
        """
        begun = self.ticks()
        found = await run_in_threadpool(self.usage.refusal, decision_id)
        while found is None and self.ticks() - begun < _TRACE_WAIT:
            await asyncio.sleep(_TRACE_POLL)
            found = await run_in_threadpool(self.usage.refusal, decision_id)
        return found


def caller(request: HttpRequest) -> Caller:
    """Return who asks; RuntimeError on a public route."""
    decision: Decision = request.scope["latchgate.decision"]
    if decision.grant is None:
        msg = "a route that needs a grant stands in a public area"
        raise RuntimeError(msg)
    client = request.scope["latchgate.client"]
    return Caller(decision.grant, str(client) if client is not None else None)


async def bounded_body(request: HttpRequest) -> bytes:
    """Read a body of at most 1 MiB; HTTPException 413 for a longer one."""
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > MAX_BODY:
            raise HTTPException(413, f"The body is longer than {MAX_BODY} bytes.")
    return bytes(held)
