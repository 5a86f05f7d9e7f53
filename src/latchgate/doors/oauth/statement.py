"""A token exchange with what another issuer signed about a workload (RFC 8693 §2.1)."""

from __future__ import annotations

import asyncio

from latchgate.core.model import Credential, Refused
from latchgate.core.reason import Reason
from latchgate.doors.oauth.call import Call, unavailable
from latchgate.oauth import workload
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.exchange import Asked
from latchgate.oauth.minting import TokenAnswer
from latchgate.oauth.workload import UntrustedError, Workload


async def exchange_statement(call: Call, asked: Asked) -> TokenAnswer:
    """Answer a workload, which has no secret: its id is sent as `client_id`.

    OAuthError invalid_grant whatever is wrong with what it sent; 503 while its issuer's keys can't
    be had.
    """
    if "authorization" in call.request.headers or call.form.get("client_secret") is not None:
        msg = "a workload proves itself by its subject_token alone: send its id as client_id"
        raise OAuthError(Code.INVALID_REQUEST, msg)
    workload_id = call.form.need("client_id")
    server = call.server
    found = await asyncio.to_thread(workload.found, server.store, workload_id)
    if found is None:
        raise _refused(call, None, Refused(Reason.CREDENTIAL_UNKNOWN, "there is no such workload"))
    try:
        trial = workload.read(found, asked.subject)
        keys = await call.desk.door.issuers.keys(found.jwks_uri, trial.key_id)
        if keys is None:
            why = f"the keys at {found.jwks_uri} can't be had"
            _refused(call, found, Refused(Reason.FAULT, why))
            raise unavailable()
        told = await asyncio.to_thread(workload.proven, trial, keys, now=server.clock())
        return await asyncio.to_thread(workload.exchanged, server, trial, told, asked)
    except UntrustedError as error:
        raise _refused(call, found, error.refused) from error


def _refused(call: Call, found: Workload | None, refused: Refused) -> OAuthError:
    """Keep a refusal for the administrators of the workload's tenant, and return the answer."""
    server = call.server
    credential: Credential | None = None
    what = "statement for a workload"
    if found is not None:
        credential = server.source(found.grant_id)
        what = f"statement for the workload {found.id}"
    decision_id = server.engine.refused(call.request, refused, credential, what)
    return workload.refused(decision_id)
