"""Decisions explained: one that nobody made, and refusals that happened."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.explain import guessed, record, without, worded
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import explanation, json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_described
from latchgate.manage import keys
from latchgate.manage.actor import Caller
from latchgate.manage.errors import NotFoundError

_TRACE_WAIT = 1.0  # a refusal is written within a batch's time; `explain` waits for it
_TRACE_POLL = 0.05


async def explain_request(door: Door, request: HttpRequest) -> Response:
    """Decide a request that nobody made, and explain it."""
    asked = await read_body(request, shapes.ExplainRequest)
    described = read_described(asked)
    now = door.clock()
    decision = door.engine.explain(described)
    who = caller(request)
    credential = decision.credential
    if credential is not None and credential.tenant_id != who.tenant_id:
        raise NotFoundError("the credential is not known to your tenant")
    kept = record(decision, described, now, door.redact)
    return json_answer(explanation(worded(await _seen_by(door, who, kept))))


async def show_decision(door: Door, request: HttpRequest) -> Response:
    """Explain a refusal that happened."""
    decision_id = request.path_params["decision_id"]
    begun = door.ticks()
    found = await run_in_threadpool(door.usage.refusal, decision_id)
    while found is None and door.ticks() - begun < _TRACE_WAIT:
        await asyncio.sleep(_TRACE_POLL)
        found = await run_in_threadpool(door.usage.refusal, decision_id)
    who = caller(request)
    # A refusal that named nobody belongs to the operator, who alone holds operator scopes.
    mine = found is not None and (
        found[0] == who.tenant_id or "operator:decisions.read" in who.rights
    )
    if found is None or not mine:
        msg = f"no refusal {decision_id[:64]!r} is kept; refusals stay for 7 days"
        raise NotFoundError(msg)
    return json_answer(explanation(worded(await _seen_by(door, who, found[1]))))


async def _seen_by(door: Door, who: Caller, kept: dict[str, Any]) -> dict[str, Any]:
    """Hide that a key exists whose secret was wrong, unless the viewer's tenant has it."""
    if "operator:decisions.read" in who.rights:
        return kept
    foreign: set[str] = set()
    for credential_id in guessed(kept):
        try:
            await run_in_threadpool(keys.shown, door.store, who, credential_id)
        except NotFoundError:
            foreign.add(credential_id)
    return without(kept, foreign)


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/explain",
        explain_request,
        "Decide a request and explain it",
        "manage:decisions.read",
        body=shapes.ExplainRequest,
        answer=shapes.Explanation,
        refusals=(400, 404, 413, 415, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/decisions/{decision_id}",
        show_decision,
        "Explain a refusal by its id",
        "manage:decisions.read",
        answer=shapes.Explanation,
        refusals=(404,),
    ),
)
