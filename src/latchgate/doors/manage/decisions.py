"""Decisions explained: one that nobody made, and refusals that happened."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import explanation, json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.manage import decisions
from latchgate.manage.decisions import ExplainRequest


async def explain_request(door: Door, request: HttpRequest) -> Response:
    """Decide a request that nobody made, and explain it."""
    asked = decisions.described(await read_body(request, ExplainRequest))
    now = door.clock()
    told = await run_in_threadpool(
        decisions.explained,
        door.store,
        caller(request),
        door.engine.explain(asked),
        asked,
        now=now,
        redact=door.redact,
    )
    return json_answer(explanation(told))


async def show_decision(door: Door, request: HttpRequest) -> Response:
    """Explain a refusal that happened."""
    decision_id = request.path_params["decision_id"]
    found = await door.refusal(decision_id)
    told = await run_in_threadpool(decisions.shown, door.store, caller(request), decision_id, found)
    return json_answer(explanation(told))


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/explain",
        explain_request,
        "Decide a request and explain it",
        "manage:decisions.read",
        body=ExplainRequest,
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
