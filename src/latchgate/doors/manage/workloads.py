"""Workloads of a tenant: whose statements are exchanged for tokens, and as whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.claim_rules import Rules
from latchgate.core.duration import duration_text
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import workloads
from latchgate.manage.workloads import (
    StoredWorkload,
    WorkloadPatch,
    WorkloadSpec,
    WorkloadState,
)

_PATH = "/manage/v1/workloads"
_ONE = f"{_PATH}/{{workload_id}}"


class Workload(msgspec.Struct, frozen=True):
    """Whose statements are believed, about what, and what they open; `id` is the `client_id`.

    `grant_id` is what usage, audit and refusals know it by. It has `ended_at` when that was revoked
    apart from it.
    """

    id: str
    name: str
    state: WorkloadState
    issuer: str
    jwks_uri: str
    audience: str
    claims: Rules
    user_id: str
    project_id: str
    scopes: list[str]
    lifetime: str
    grant_id: str
    created_at: str
    created_by: str
    disabled_at: str | None
    ended_at: str | None
    version: int


class ChangedWorkload(Workload, frozen=True, kw_only=True):
    """A workload that was changed, switched or deleted, and who follows."""

    receipt: ReceiptShape


class WorkloadPage(msgspec.Struct, frozen=True):
    """A page of workloads, oldest first; `next` is the `after` of the following page."""

    workloads: list[Workload]
    next: str | None


async def create_workload(door: Door, request: HttpRequest) -> Response:
    """Trust an issuer's statements about a workload."""
    spec = await read_body(request, WorkloadSpec)
    made, new = await run_in_threadpool(
        workloads.create,
        door.store,
        door.engine.policy,
        caller(request),
        spec,
        issuers=door.issuers,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    return creation(_shape(made), f"{_PATH}/{made.id}", made.version, new=new)


async def list_workloads(door: Door, request: HttpRequest) -> Response:
    """Page through the workloads of the caller's tenant."""
    query = read_query(request.query_params.multi_items(), workloads.LISTING)
    found, following = await run_in_threadpool(
        workloads.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(WorkloadPage([_shape(one) for one in found], following))


async def show_workload(door: Door, request: HttpRequest) -> Response:
    """Show a workload."""
    workload_id = request.path_params["workload_id"]
    found = await run_in_threadpool(workloads.shown, door.store, caller(request), workload_id)
    return json_answer(_shape(found), version=found.version)


async def change_workload(door: Door, request: HttpRequest) -> Response:
    """Change what is believed about a workload, or what it opens."""
    match = read_match(request)
    patch = await read_body(request, WorkloadPatch)
    found, n = await run_in_threadpool(
        workloads.change_workload,
        door.store,
        caller(request),
        request.path_params["workload_id"],
        patch,
        issuers=door.issuers,
        match=match,
    )
    return await _changed(door, found, n)


async def disable_workload(door: Door, request: HttpRequest) -> Response:
    """Believe nothing about a workload for now, and end its tokens."""
    return await _switch(door, request, workloads.disable)


async def enable_workload(door: Door, request: HttpRequest) -> Response:
    """Believe what is said about a workload again."""
    return await _switch(door, request, workloads.enable)


async def delete_workload(door: Door, request: HttpRequest) -> Response:
    """Delete a workload, and end its tokens."""
    return await _switch(door, request, workloads.delete)


async def _switch(
    door: Door, request: HttpRequest, act: Callable[..., tuple[StoredWorkload, int]]
) -> Response:
    found, n = await run_in_threadpool(
        act,
        door.store,
        caller(request),
        request.path_params["workload_id"],
        match=read_match(request),
    )
    return await _changed(door, found, n)


async def _changed(door: Door, found: StoredWorkload, n: int) -> Response:
    shape = _shape(found, ChangedWorkload, receipt=await receipt(door, n))
    return json_answer(shape, version=found.version)


def _shape(
    found: StoredWorkload,
    shape: type[Workload] = Workload,
    **more: Any,  # noqa: ANN401 - fields
) -> Workload:
    return told(found, shape, state=found.state, lifetime=duration_text(found.lifetime), **more)


_READ, _WRITE = "manage:workloads.read", "manage:workloads.write"


def _switching(method: str, path: str, handler: Callable[..., Any], words: str) -> Operation:
    return Operation(
        method,
        path,
        handler,
        words,
        _WRITE,
        answer=ChangedWorkload,
        conditional=True,
        refusals=(404, 409),
    )


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_workload,
        "Trust an issuer's statements about a workload, to act as a service user",
        _WRITE,
        body=WorkloadSpec,
        answer=Workload,
        status=201,
        replay=Workload,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        _PATH,
        list_workloads,
        "List workloads, oldest first",
        _READ,
        answer=WorkloadPage,
        listing=workloads.LISTING,
        refusals=(422,),
    ),
    Operation(
        "GET", _ONE, show_workload, "Show a workload", _READ, answer=Workload, refusals=(404,)
    ),
    Operation(
        "PATCH",
        _ONE,
        change_workload,
        "Change what is believed about a workload or what it opens, with a receipt",
        _WRITE,
        body=WorkloadPatch,
        answer=ChangedWorkload,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    _switching("DELETE", _ONE, delete_workload, "Delete a workload with its tokens"),
    _switching(
        "POST",
        f"{_ONE}/disable",
        disable_workload,
        "Switch a workload off with its tokens, with a receipt",
    ),
    _switching("POST", f"{_ONE}/enable", enable_workload, "Switch a workload on again"),
)

_AT = "2026-10-01T09:30:00Z"
_SPEC = {
    "name": "deploy photos",
    "issuer": "https://token.actions.githubusercontent.com",
    "claims": {"sub": "repo:acme/photos:ref:refs/heads/main", "event_name": ["push"]},
    "user_id": "u-7h4c0p2rw9x5f3am",
    "scopes": ["storage:read", "storage:write"],
}
_SHOWN = {
    **_SPEC,
    "id": "wl-4k8m2p6r0t3v7x1z",
    "state": "active",
    "jwks_uri": "https://token.actions.githubusercontent.com/.well-known/jwks",
    "audience": "https://login.example.com",
    "project_id": "p-2b7wq9h4zk3m6t1x",
    "lifetime": "10m",
    "grant_id": "grant-9f3kq2m7x1vb4c8d",
    "created_at": _AT,
    "created_by": "user:u-2c9d4e1f6a8b3k5m key:k3v9q1m7x2ab",
    "disabled_at": None,
    "ended_at": None,
    "version": 74,
}
_RECEIPT = {
    "journal": 75,
    "at": _AT,
    "elapsed_ms": 3.2,
    "verifiers": [
        {
            "id": "00c0ffee00c0ffee",
            "process": 4711,
            "state": "acknowledged",
            "kind": "node",
            "node": "node-1",
            "trust_seconds": 2.0,
            "stale": False,
        }
    ],
    "known": True,
    "waited": True,
}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    WorkloadSpec: _SPEC,
    WorkloadPatch: {"claims": {"repository_id": "7654321", "environment": "production"}},
    Workload: _SHOWN,
    ChangedWorkload: {**_SHOWN, "receipt": _RECEIPT},
    WorkloadPage: {"workloads": [_SHOWN], "next": None},
}
