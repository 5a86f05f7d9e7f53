"""Usage and amounts: of the own tenant, or of every one to the operator."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage import tabular
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_parameters
from latchgate.doors.reports import (
    PERIODS,
    SINCE,
    read_bill,
    read_only,
    read_time,
    read_usage,
)
from latchgate.manage import keys, usage
from latchgate.store.usage import Column, Period

_FILTERS: dict[str, dict[str, Any]] = {
    "credential": {"type": "string", "description": "of this credential alone, by its id"},
    "project": {"type": "string", "description": "of this project alone"},
    "tenant_id": {"type": "string", "description": "of this tenant; others' are the operator's"},
}
_QUERY: dict[str, dict[str, Any]] = {
    **_FILTERS,
    "application": {"type": "string", "description": "with this application alone"},
    "area": {"type": "string", "description": "in the area of this path alone"},
    "scope": {"type": "string", "description": "with this scope alone"},
    "reason": {"type": "string", "description": "with this reason alone; `allowed` is one"},
    "by": {
        "type": "string",
        "default": "reason",
        "description": f"what to tell apart, commas between: {', '.join(usage.WORDS)}",
    },
    "period": {"type": "string", "enum": [*PERIODS], "description": "how finely to look"},
    "since": {"type": "string", "default": SINCE, "description": "an RFC 3339 time, or how long"},
    "until": {"type": "string", "description": "an RFC 3339 time, not included; now unless told"},
    "format": tabular.PARAMETER,
}
_BILL_QUERY: dict[str, dict[str, Any]] = {
    "month": {"type": "string", "description": "such as 2026-11, in UTC; this one unless told"},
    "by": {"type": "string", "enum": [str(one) for one in usage.BillBy], "default": "credential"},
    **_FILTERS,
    "format": tabular.PARAMETER,
}


class UsageReport(msgspec.Struct, frozen=True):
    """Counts of decisions; each row has the columns of `by`, and its `count`.

    `credential_id` is empty for requests that proved nothing, `scope` where none was needed.
    """

    period: str
    since: str
    until: str
    by: list[str]
    rows: list[dict[str, Any]]


class BillReport(msgspec.Struct, frozen=True):
    """What the allowed requests of a month cost; `amount` is decimal text, exact."""

    month: str
    by: str
    rows: list[dict[str, Any]]


class SourceShape(msgspec.Struct, frozen=True):
    """One place that a key is used from; `refused` are those of `count` that were not allowed."""

    address: str | None
    agent: str
    area: str
    application_id: str | None
    count: int
    refused: int
    first_at: str
    last_at: str


class KeyCount(msgspec.Struct, frozen=True):
    """How often a key was used for a scope, and what came of it."""

    scope: str
    reason: str
    count: int


class KeyUsage(msgspec.Struct, frozen=True):
    """How a key was used since a time: counts by scope and reason, and where from."""

    key_id: str
    since: str
    last_used_at: str | None
    last_used_from: str | None
    last_used_agent: str | None
    counts: list[KeyCount]
    sources: list[SourceShape]


async def show_usage(door: Door, request: HttpRequest) -> Response:
    """Count decisions by what was asked for."""
    told = read_parameters(request, _QUERY)
    written = tabular.wanted(request, told.get("format"))
    asked = read_usage(told, door.clock())
    table = await run_in_threadpool(usage.report, door.usage, caller(request), asked)
    shape = UsageReport(
        period=asked.period.name.lower(),
        since=rfc3339(asked.period.start(asked.since)),
        until=rfc3339(asked.until),
        by=list(asked.by),
        rows=table.rows,
    )
    return tabular.answer(table, written, shape)


async def show_billing(door: Door, request: HttpRequest) -> Response:
    """Sum what the allowed requests of a month cost."""
    told = read_parameters(request, _BILL_QUERY)
    written = tabular.wanted(request, told.get("format"))
    month, by = read_bill(told, door.clock())
    table = await run_in_threadpool(
        usage.bill, door.usage, caller(request), month, by, read_only(told)
    )
    return tabular.answer(table, written, BillReport(month=month, by=str(by), rows=table.rows))


async def show_key_usage(door: Door, request: HttpRequest) -> Response:
    """Show how a key was used, and from where."""
    told = read_parameters(request, _KEY_QUERY)
    key_id, now = request.path_params["key_id"], door.clock()
    since = read_time("since", told.get("since", "30d"), now)
    key = await run_in_threadpool(keys.shown, door.store, caller(request), key_id)
    return json_answer(await run_in_threadpool(_of_key, door, key.id, since, now))


def _of_key(door: Door, key_id: str, since: float, now: float) -> KeyUsage:
    last = door.usage.last_uses([key_id]).get(key_id)
    counts = door.usage.totals(
        [Column.SCOPE, Column.REASON],
        period=Period.HOUR,
        since=since,
        until=now + 1,
        only={Column.CREDENTIAL: [key_id]},
    )
    sources = [
        SourceShape(
            address=one.address,
            agent=one.agent,
            area=one.area,
            application_id=one.application_id,
            count=one.count,
            refused=one.refused,
            first_at=rfc3339(one.first_at),
            last_at=rfc3339(one.last_at),
        )
        for one in door.usage.sources(key_id, since=since)
    ]
    return KeyUsage(
        key_id=key_id,
        since=rfc3339(since),
        last_used_at=rfc3339(last.at) if last is not None else None,
        last_used_from=last.address if last is not None else None,
        last_used_agent=last.agent if last is not None else None,
        counts=[KeyCount(one.by[Column.SCOPE], one.by[Column.REASON], one.count) for one in counts],
        sources=sources,
    )


_KEY_QUERY: dict[str, dict[str, Any]] = {
    "since": {"type": "string", "default": "30d", "description": "an RFC 3339 time, or how long"}
}
OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/usage",
        show_usage,
        "Count decisions by credential, scope, area, outcome, reason and time",
        "manage:usage.read",
        answer=UsageReport,
        parameters=_QUERY,
        others=tabular.OTHERS,
        refusals=(403, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/billing",
        show_billing,
        "Sum what a month's allowed requests cost",
        "manage:usage.read",
        answer=BillReport,
        parameters=_BILL_QUERY,
        others=tabular.OTHERS,
        refusals=(403, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/keys/{key_id}/usage",
        show_key_usage,
        "Show how a key was used, and from where",
        "manage:keys.read",
        answer=KeyUsage,
        parameters=_KEY_QUERY,
        refusals=(404, 422),
    ),
)
_AT = "2026-10-01T09:30:00Z"
EXAMPLES: dict[type, dict[str, Any]] = {
    UsageReport: {
        "period": "day",
        "since": "2026-10-01T00:00:00Z",
        "until": _AT,
        "by": ["credential", "outcome"],
        "rows": [{"credential_id": "k3v9q1m7x2ab", "outcome": "allowed", "count": 1204}],
    },
    BillReport: {
        "month": "2026-10",
        "by": "project",
        "rows": [
            {
                "tenant_id": "t-9f3kq2m7x1vb4c8d",
                "project_id": "p-2b7wq9h4zk3m6t1x",
                "currency": "NOK",
                "count": 1204,
                "amount": "0.4816",
            }
        ],
    },
    KeyUsage: {
        "key_id": "k3v9q1m7x2ab",
        "since": "2026-09-01T09:30:00Z",
        "last_used_at": _AT,
        "last_used_from": "192.0.2.7",
        "last_used_agent": "rclone/v1.60.1",
        "counts": [{"scope": "storage:read", "reason": "allowed", "count": 1204}],
        "sources": [
            {
                "address": "192.0.2.7",
                "agent": "rclone/v1.60.1",
                "area": "/v1/storage",
                "application_id": None,
                "count": 1204,
                "refused": 0,
                "first_at": "2026-09-02T07:00:00Z",
                "last_at": _AT,
            }
        ],
    },
}
