"""Shadow mode: how the decisions of areas compare with those of their old systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.shadow import Outcome
from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door
from latchgate.doors.manage.openapi import Operation
from latchgate.manage import shadows
from latchgate.manage.errors import InvalidError

_QUERY: dict[str, dict[str, Any]] = {
    "area": {"type": "string", "description": "an area's path, or its whole name"},
    "days": {"type": "integer", "minimum": 1, "maximum": shadows.MAX_DAYS, "default": shadows.DAYS},
}


class ShadowReason(msgspec.Struct, frozen=True):
    """How many requests differed in one way, for one reason of Latchgate's."""

    outcome: str
    reason: str
    count: int


class ShadowDifference(msgspec.Struct, frozen=True):
    """One request; `decision` explains a refusal of Latchgate's, `status` is the old system's."""

    at: str
    outcome: str
    reason: str
    decision: str | None
    status: int | None
    credential_id: str | None
    method: str
    host: str
    path: str
    client: str | None


class ShadowArea(msgspec.Struct, frozen=True):
    """One area, over `days`: `stricter` is refused by Latchgate alone, `looser` allowed by it.

    `principal` was allowed by both for somebody else, `unanswered` got no answer from the old
    system and is no request compared. `shadow` is null once the area was cut over.
    """

    area: str
    shadow: str | None
    until: str | None
    since: str | None
    days: int
    requests: int
    same: int
    stricter: int
    looser: int
    principal: int
    unanswered: int
    ready: bool
    verdict: str
    reasons: list[ShadowReason]
    last: list[ShadowDifference]


class ShadowList(msgspec.Struct, frozen=True):
    """Every area that has an old system, or had one in these days."""

    areas: list[ShadowArea]


async def list_shadows(door: Door, request: HttpRequest) -> Response:
    """Summarize what was compared."""
    area, days = _read_query(request.query_params.multi_items())
    found = await run_in_threadpool(
        shadows.summaries, door.engine.policy.areas, door.shadows, now=door.clock(), days=days
    )
    chosen = found if area is None else shadows.of_area(found, area)
    return json_answer(ShadowList([_shown(one) for one in chosen]))


def _read_query(items: list[tuple[str, str]]) -> tuple[str | None, int]:
    told = dict(items)
    if len(told) < len(items):
        raise InvalidError([("query", "a parameter is given twice")])
    unknown = sorted(set(told) - set(_QUERY))
    if unknown:
        raise InvalidError([(unknown[0], f"there is no such parameter; use {', '.join(_QUERY)}")])
    days = told.get("days", str(shadows.DAYS))
    if not (days.isascii() and days.isdigit() and 1 <= int(days[:4]) <= shadows.MAX_DAYS):
        raise InvalidError([("days", f"must be a whole number from 1 to {shadows.MAX_DAYS}")])
    return told.get("area"), int(days[:4])


def _shown(one: shadows.Summary) -> ShadowArea:
    return ShadowArea(
        area=one.area,
        shadow=one.shadow,
        until=rfc3339(one.until) if one.until is not None else None,
        since=rfc3339(one.since) if one.since is not None else None,
        days=one.days,
        requests=one.requests,
        same=one.count(Outcome.SAME),
        stricter=one.count(Outcome.STRICTER),
        looser=one.count(Outcome.LOOSER),
        principal=one.count(Outcome.PRINCIPAL),
        unanswered=one.count(Outcome.UNANSWERED),
        ready=one.ready,
        verdict=one.verdict,
        reasons=[
            ShadowReason(counted.outcome, counted.reason, counted.count)
            for counted in one.counts
            if counted.outcome is not Outcome.SAME
        ],
        last=[
            ShadowDifference(
                at=rfc3339(each.at),
                outcome=each.outcome,
                reason=each.reason,
                decision=each.decision_id,
                status=each.status,
                credential_id=each.credential_id,
                method=each.method,
                host=each.host,
                path=each.path,
                client=each.address,
            )
            for each in one.last
        ],
    )


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/shadows",
        list_shadows,
        "Compare the decisions of areas with their old systems'",
        "operator:shadows.read",
        answer=ShadowList,
        parameters=_QUERY,
        refusals=(422,),
    ),
)
EXAMPLES: Mapping[type, Any] = {
    ShadowList: {
        "areas": [
            {
                "area": "/v1/storage",
                "shadow": "wayscloud.old",
                "until": None,
                "since": "2026-10-01T09:00:00Z",
                "days": 7,
                "requests": 1204,
                "same": 1203,
                "stricter": 1,
                "looser": 0,
                "principal": 0,
                "unanswered": 0,
                "ready": False,
                "verdict": "not ready to cut over: 1204 requests, 1 difference in 7 d",
                "reasons": [{"outcome": "stricter", "reason": "credential_expired", "count": 1}],
                "last": [
                    {
                        "at": "2026-10-01T09:30:00Z",
                        "outcome": "stricter",
                        "reason": "credential_expired",
                        "decision": "9f2c4e6a8b0d1f3a5c7e",
                        "status": 200,
                        "credential_id": "k3v9x2m5q8w1",
                        "method": "GET",
                        "host": "api.example.com",
                        "path": "/v1/storage/photos/cat.txt",
                        "client": "203.0.113.9",
                    }
                ],
            }
        ]
    }
}
