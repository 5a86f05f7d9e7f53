"""Whether the server answers, and whether it can decide."""

from __future__ import annotations

import logging

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer, problem
from latchgate.doors.manage.door import Door
from latchgate.doors.manage.openapi import Operation

_NOT_READY = 503
_log = logging.getLogger(__name__)


async def healthz(_door: Door, _request: HttpRequest) -> Response:
    """Say that the process answers."""
    return json_answer({"status": "ok"})


async def readyz(door: Door, _request: HttpRequest) -> Response:
    """Say whether it can decide."""
    why = await run_in_threadpool(_not_ready, door)
    if why is not None:
        return problem(_NOT_READY, "service_unavailable", why)
    return json_answer({"status": "ready"})


def _not_ready(door: Door) -> str | None:
    """Return why nothing should be sent here, in words for the public; the log says more."""
    if door.readiness.draining:
        return "The server is stopping."
    why = door.engine.ready()
    if why is not None:
        _log.error("not ready: %s", why)
        return "The database can't be read, and what is remembered is not believed any more."
    if not door.engine.policy.version:
        return "No policy is published."
    return None


OPERATIONS = (
    Operation("GET", "/healthz", healthz, "Whether the process answers", None, answer=None),
    Operation(
        "GET", "/readyz", readyz, "Whether it can decide", None, answer=None, refusals=(503,)
    ),
)
