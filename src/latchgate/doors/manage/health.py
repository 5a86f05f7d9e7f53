"""Whether the server answers, and whether it can decide."""

from __future__ import annotations

import logging

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer, problem
from latchgate.doors.manage.door import Door
from latchgate.doors.manage.openapi import Operation
from latchgate.store.errors import StoreError

_NOT_READY = 503
_log = logging.getLogger(__name__)


async def healthz(_door: Door, _request: HttpRequest) -> Response:
    """Say that the process answers."""
    return json_answer({"status": "ok"})


async def readyz(door: Door, _request: HttpRequest) -> Response:
    """Say whether it can decide."""
    try:
        await run_in_threadpool(door.engine.head)
    except StoreError:
        _log.exception("not ready: the store failed")
        return problem(_NOT_READY, "service_unavailable", "The database can't be read.")
    if not door.engine.policy.version:
        return problem(_NOT_READY, "service_unavailable", "No policy is published.")
    return json_answer({"status": "ready"})


OPERATIONS = (
    Operation("GET", "/healthz", healthz, "Whether the process answers", None, answer=None),
    Operation(
        "GET", "/readyz", readyz, "Whether it can decide", None, answer=None, refusals=(503,)
    ),
)
