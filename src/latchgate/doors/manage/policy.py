"""The published policy: show it, publish it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.manage import policy


async def show_policy(door: Door, _request: HttpRequest) -> Response:
    """Show the published policy files."""
    version, at, files = await run_in_threadpool(policy.published, door.store)
    published_at = rfc3339(at) if version else None
    return json_answer(shapes.PolicyShape(version=version, published_at=published_at, files=files))


async def apply_policy(door: Door, request: HttpRequest) -> Response:
    """Publish policy files and wait for the receipt."""
    asked = await read_body(request, shapes.PolicyFiles)
    actor = caller(request).actor
    version, n = await run_in_threadpool(
        policy.apply, door.store, actor, asked.files, door.built_in
    )
    return json_answer(shapes.PolicyApplied(version=version, receipt=await receipt(door, n)))


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/policy",
        show_policy,
        "Show the published policy",
        "operator:policy.read",
        answer=shapes.PolicyShape,
    ),
    Operation(
        "PUT",
        "/manage/v1/policy",
        apply_policy,
        "Publish policy files as a new version",
        "operator:policy.write",
        body=shapes.PolicyFiles,
        answer=shapes.PolicyApplied,
        refusals=(400, 413, 415, 422),
    ),
)
