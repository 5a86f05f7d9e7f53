"""How long keys may live: policies shown, set and taken away, and which keys are overdue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer, told
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match
from latchgate.manage import lifetimes
from latchgate.manage.lifetimes import LifetimeSpec

_PATH = "/manage/v1/lifetimes"
_ONE = "/manage/v1/lifetimes/{kind}"


class Lifetime(msgspec.Struct, frozen=True):
    """What holds for credentials of a kind, `*` for every kind without its own; durations.

    `warning_days` null means 30, 7 and 1 days before the end.
    """

    kind: str
    maximum_life: str | None
    rotation_age: str | None
    warning_days: list[int] | None
    unused_after: str | None
    version: int


class Lifetimes(msgspec.Struct, frozen=True):
    """Every policy that the tenant has set, by kind."""

    lifetimes: list[Lifetime]


class OverdueKey(msgspec.Struct, frozen=True):
    """A credential that doesn't keep to the policy of today, and to which parts of it."""

    id: str
    kind: str
    name: str
    owner_id: str
    project_id: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    faults: list[str]


class OverduePage(msgspec.Struct, frozen=True):
    """A page of overdue credentials; it may be short, or empty, where `next` is not null."""

    overdue: list[OverdueKey]
    next: str | None


async def list_lifetimes(door: Door, request: HttpRequest) -> Response:
    """List the policies of the caller's tenant."""
    found = await run_in_threadpool(lifetimes.show, door.store, caller(request))
    return json_answer(Lifetimes([told(one, Lifetime) for one in found]))


async def list_overdue(door: Door, request: HttpRequest) -> Response:
    """List the credentials that don't keep to them."""
    query = read_query(list(request.query_params.multi_items()), lifetimes.OVERDUE)
    found, following = await run_in_threadpool(
        lifetimes.overdue,
        door.store,
        door.engine.policy,
        caller(request),
        query,
        last_uses=door.usage.last_uses,
        now=door.clock(),
    )
    return json_answer(OverduePage([told(one, OverdueKey) for one in found], following))


async def set_lifetime(door: Door, request: HttpRequest) -> Response:
    """Say what holds for a kind from now on."""
    kind, match = request.path_params["kind"], read_match(request)
    spec = await read_body(request, LifetimeSpec)
    made = await run_in_threadpool(
        lifetimes.set_lifetime,
        door.store,
        door.engine.policy,
        caller(request),
        kind,
        spec,
        match=match,
    )
    # No verifier decides by it, so there is nobody to wait for.
    return json_answer(told(made, Lifetime), version=made.version)


async def remove_lifetime(door: Door, request: HttpRequest) -> Response:
    """Take a kind's policy away, and answer what it was."""
    kind, match = request.path_params["kind"], read_match(request)
    gone = await run_in_threadpool(lifetimes.remove, door.store, caller(request), kind, match=match)
    return json_answer(told(gone, Lifetime))


OPERATIONS = (
    Operation(
        "GET",
        _PATH,
        list_lifetimes,
        "List how long keys may live",
        "manage:lifetimes.read",
        answer=Lifetimes,
    ),
    Operation(
        "GET",
        f"{_PATH}/overdue",
        list_overdue,
        "List keys that are older, live longer or are unused longer than they may",
        "manage:lifetimes.read",
        answer=OverduePage,
        listing=lifetimes.OVERDUE,
        refusals=(422,),
    ),
    Operation(
        "PUT",
        _ONE,
        set_lifetime,
        "Say how long keys of a kind may live",
        "manage:lifetimes.write",
        body=LifetimeSpec,
        answer=Lifetime,
        conditional=True,
        refusals=(413, 415, 422),
    ),
    Operation(
        "DELETE",
        _ONE,
        remove_lifetime,
        "Take away what was set for a kind",
        "manage:lifetimes.write",
        answer=Lifetime,
        conditional=True,
        refusals=(404,),
    ),
)

_SET = {
    "maximum_life": "365d",
    "rotation_age": "90d",
    "warning_days": [30, 7, 1],
    "unused_after": "180d",
}
_LIFETIME = {"kind": "wayscloud.service_key", **_SET, "version": 61}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    LifetimeSpec: _SET,
    Lifetime: _LIFETIME,
    Lifetimes: {"lifetimes": [_LIFETIME]},
    OverduePage: {
        "overdue": [
            {
                "id": "k3v9q1m7x2ab",
                "kind": "wayscloud.service_key",
                "name": "Uploader",
                "owner_id": "u-7h4c0p2rw9x5f3am",
                "project_id": "p-2b7wq9h4zk3m6t1x",
                "created_at": "2026-06-01T09:30:00Z",
                "expires_at": None,
                "last_used_at": "2026-09-30T23:59:41Z",
                "faults": ["maximum_life", "rotation_age"],
            }
        ],
        "next": None,
    },
}
