"""Least privilege: the scopes that credentials hold and don't use, and taking them away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import narrowing
from latchgate.manage.errors import InvalidError
from latchgate.manage.narrowing import DAYS, LISTING, NarrowSpec, Unused

_ONE = "/manage/v1/keys/{key_id}"
_DAYS = {"days": LISTING.parameters()["days"]}


class UnusedScopes(msgspec.Struct, frozen=True):
    """What a credential holds and, in `unused`, what of it was not used since `since`.

    `every` says that it holds all scopes of its services, `young` that it was made after `since`.
    Uses are counted since `counted_since`; `proven` says that both reach back far enough.
    """

    id: str
    kind: str
    name: str
    owner_id: str
    project_id: str
    created_at: str
    scopes: list[str]
    every: bool
    unused: list[str]
    since: str
    young: bool
    counted_since: str | None
    proven: bool


class UnusedPage(msgspec.Struct, frozen=True):
    """A page of credentials that stand, oldest first; `next` is the `after` of the next page."""

    credentials: list[UnusedScopes]
    next: str | None


class NarrowedKey(msgspec.Struct, frozen=True):
    """What is left and what was taken; with `dry_run` what would be, and no receipt."""

    id: str
    scopes: list[str]
    removed: list[str]
    allowed_ip_ranges: list[str] | None
    changed: bool
    version: int
    receipt: ReceiptShape | None


async def show_unused_scopes(door: Door, request: HttpRequest) -> Response:
    """Show what one credential did not use."""
    asked = request.query_params.multi_items()
    if any(name != "days" for name, _ in asked) or len(asked) > 1:
        raise InvalidError([("query", "takes days alone, and once")])
    try:
        days = narrowing.read_days(dict(asked).get("days", str(DAYS)))
    except ValueError as error:
        raise InvalidError([("days", str(error))]) from error
    found = await run_in_threadpool(
        narrowing.unused,
        door.store,
        door.usage,
        door.engine.policy,
        caller(request),
        request.path_params["key_id"],
        days=days,
        now=door.clock(),
    )
    return json_answer(_shape(found))


async def list_unused_rights(door: Door, request: HttpRequest) -> Response:
    """Page through the tenant's credentials, with what each did not use."""
    query = read_query(request.query_params.multi_items(), LISTING)
    found, following = await run_in_threadpool(
        narrowing.listed,
        door.store,
        door.usage,
        door.engine.policy,
        caller(request),
        query,
        now=door.clock(),
    )
    return json_answer(UnusedPage([_shape(one) for one in found], following))


async def narrow_key(door: Door, request: HttpRequest) -> Response:
    """Take scopes and networks from a key or token and wait for the receipt."""
    key_id, match = request.path_params["key_id"], read_match(request)
    spec = await read_body(request, NarrowSpec)
    found, n = await run_in_threadpool(
        narrowing.narrow,
        door.store,
        door.usage,
        door.engine.policy,
        caller(request),
        key_id,
        spec,
        now=door.clock(),
        match=match,
    )
    followed = None if spec.dry_run else await receipt(door, n)
    shown = NarrowedKey(**msgspec.structs.asdict(found), receipt=followed)
    return json_answer(shown, version=found.version)


def _shape(found: Unused) -> UnusedScopes:
    told: dict[str, Any] = msgspec.structs.asdict(found)
    for name in ("created_at", "since", "counted_since"):
        if told[name] is not None:
            told[name] = rfc3339(told[name])
    return UnusedScopes(**told)


OPERATIONS = (
    Operation(
        "GET",
        f"{_ONE}/unused-scopes",
        show_unused_scopes,
        "Show the scopes that a key, token or app password holds and did not use",
        "manage:keys.read",
        answer=UnusedScopes,
        parameters=_DAYS,
        refusals=(404, 422),
    ),
    Operation(
        "POST",
        f"{_ONE}/narrowing",
        narrow_key,
        "Take scopes from a key or token, those named or those unused, with a receipt",
        "manage:keys.write",
        body=NarrowSpec,
        answer=NarrowedKey,
        conditional=True,
        refusals=(404, 413, 415, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/unused-rights",
        list_unused_rights,
        "List credentials with the scopes that each did not use",
        "manage:keys.read",
        answer=UnusedPage,
        listing=LISTING,
        refusals=(422,),
    ),
)

_AT = "2026-10-01T09:30:00Z"
_EXAMPLE = {
    "id": "k3v9q1m7x2ab",
    "kind": "wayscloud.service_key",
    "name": "Uploader",
    "owner_id": "u-7h4c0p2rw9x5f3am",
    "project_id": "p-2b7wq9h4zk3m6t1x",
    "created_at": _AT,
    "scopes": ["storage:read", "storage:write"],
    "every": False,
    "unused": ["storage:write"],
    "since": "2026-10-03T09:30:00Z",
    "young": False,
    "counted_since": _AT,
    "proven": True,
}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    NarrowSpec: {"unused_days": 90},
    UnusedScopes: _EXAMPLE,
    UnusedPage: {"credentials": [_EXAMPLE], "next": None},
    NarrowedKey: {
        "id": "k3v9q1m7x2ab",
        "scopes": ["storage:read"],
        "removed": ["storage:write"],
        "allowed_ip_ranges": None,
        "changed": True,
        "version": 53,
        "receipt": {
            "journal": 53,
            "at": _AT,
            "elapsed_ms": 0.412,
            "verifiers": [
                {
                    "id": "5b0f4c1d2e3a6978",
                    "process": 811,
                    "state": "acknowledged",
                    "kind": "node",
                    "node": "node-1",
                    "trust_seconds": 2.0,
                    "stale": False,
                }
            ],
            "known": True,
            "waited": True,
        },
    },
}
