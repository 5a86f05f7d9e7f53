"""The access log: of the own tenant, or of every one to the operator."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage import tabular
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_parameters
from latchgate.doors.reports import read_time
from latchgate.manage import access_log
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import Table
from latchgate.store.access_log import Dropped, Line

REACHED = "X-Latchgate-Reached"
_SINCE = "1h"
_WHOLE = re.compile(r"[0-9]{1,6}")
_OUTCOMES = ("allowed", "refused")
_MEMBERS = {
    "credential": "credential_id",
    "reason": "reason",
    "outcome": "outcome",
    "tenant_id": "tenant_id",
}
_COLUMNS = tuple(dict.fromkeys((*Line.__struct_fields__, *Dropped.__struct_fields__)))
_QUERY: dict[str, dict[str, Any]] = {
    "credential": {"type": "string", "description": "of this credential alone, by its id"},
    "reason": {"type": "string", "description": "with this reason alone; `allowed` is one"},
    "outcome": {"type": "string", "enum": [*_OUTCOMES], "description": "of this outcome alone"},
    "tenant_id": {"type": "string", "description": "of this tenant; others' are the operator's"},
    "since": {"type": "string", "default": _SINCE, "description": "an RFC 3339 time, or how long"},
    "until": {"type": "string", "description": "an RFC 3339 time, not included; now unless told"},
    "limit": {"type": "integer", "minimum": 1, "maximum": access_log.MAX_LINES, "default": 100},
    "format": tabular.PARAMETER,
}


class AccessReport(msgspec.Struct, frozen=True):
    """Decisions, newest first. Where not all were looked at, `reached` is how far back they go.

    Ask for those before it with `until`. CSV and JSON lines have it as X-Latchgate-Reached.
    """

    since: str
    until: str
    reached: str | None
    rows: list[dict[str, Any]]


async def show_access_log(door: Door, request: HttpRequest) -> Response:
    """List decisions as they were written, newest first."""
    told = read_parameters(request, _QUERY)
    written = tabular.wanted(request, told.get("format"))
    limit = told.get("limit", "100")
    if not _WHOLE.fullmatch(limit) or not 1 <= int(limit) <= access_log.MAX_LINES:
        raise InvalidError([("limit", f"must be a whole number from 1 to {access_log.MAX_LINES}")])
    if told.get("outcome", _OUTCOMES[0]) not in _OUTCOMES:
        raise InvalidError([("outcome", f"must be one of {', '.join(_OUTCOMES)}")])
    now = door.clock()
    since = read_time("since", told.get("since", _SINCE), now)
    until = read_time("until", told["until"], now) if "until" in told else now + 1
    if since >= until:
        raise InvalidError([("since", "must be before until")])
    found = await run_in_threadpool(
        access_log.find,
        door.access_log,
        caller(request),
        since=since,
        until=until,
        limit=int(limit),
        only={member: told[name] for name, member in _MEMBERS.items() if name in told},
    )
    rows = found.lines
    if written is tabular.Format.CSV:
        rows = [{column: row.get(column) for column in _COLUMNS} for row in rows]
    shape = AccessReport(rfc3339(since), rfc3339(until), found.reached, rows)
    answered = tabular.answer(Table(_COLUMNS, rows), written, shape)
    if found.reached is not None:
        answered.headers[REACHED] = found.reached
    return answered


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/access-log",
        show_access_log,
        "List decisions as they were written, newest first",
        "manage:usage.read",
        answer=AccessReport,
        parameters=_QUERY,
        others=tabular.OTHERS,
        refusals=(403, 409, 422),
    ),
)
EXAMPLES: dict[type, dict[str, Any]] = {
    AccessReport: {
        "since": "2026-10-01T08:30:00Z",
        "until": "2026-10-01T09:30:00Z",
        "reached": None,
        "rows": [
            {
                "at": "2026-10-01T09:29:58.314Z",
                "outcome": "refused",
                "reason": "scope_not_granted",
                "decision_id": "9f3kq2m7x1vb4c8d2b7wq9",
                "method": "PUT",
                "host": "api.example.com",
                "path": "/v1/storage/a?part=***",
                "area": "/v1/storage",
                "scope": "storage:write",
                "credential_id": "k3v9q1m7x2ab",
                "kind": "wayscloud.service_key",
                "owner_id": "u-6t1x9f3kq2m7x1vb",
                "tenant_id": "t-9f3kq2m7x1vb4c8d",
                "project_id": "p-2b7wq9h4zk3m6t1x",
                "application_id": None,
                "address": "192.0.2.7",
                "agent": "rclone/v1.60.1",
                "policy_version": 3,
            }
        ],
    },
}
