"""Tenants: make, list, show, rename, suspend, reinstate. For the operator."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.manage import tenants

_PATH = "/manage/v1/tenants"
_ONE = "/manage/v1/tenants/{tenant_id}"
_READ = "operator:tenants.read"
_WRITE = "operator:tenants.write"


class Tenant(msgspec.Struct, frozen=True):
    """A tenant; a suspended one is not active, and none of its credentials is."""

    id: str
    name: str
    active: bool
    created_at: str
    version: int


class NewTenant(Tenant, frozen=True, kw_only=True):
    """A tenant just made, and what it comes with; the token is shown this once."""

    user_id: str
    project_id: str
    role_id: str
    token: str


class TenantPage(msgspec.Struct, frozen=True):
    """A page of tenants; `next` is the `after` of the following page."""

    tenants: list[Tenant]
    next: str | None


async def create_tenant(door: Door, request: HttpRequest) -> Response:
    """Make a tenant; its first token is in this answer only."""
    spec = await read_body(request, tenants.TenantSpec)
    made, first = await run_in_threadpool(
        tenants.create,
        door.store,
        door.engine.policy,
        caller(request),
        spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    if first is None:
        return json_answer(told(made, Tenant), version=made.version, replayed=True)
    shown = told(
        made,
        NewTenant,
        user_id=first.user_id,
        project_id=first.project_id,
        role_id=first.role_id,
        token=first.token.secret.reveal(),
    )
    return json_answer(shown, status=201, location=f"{_PATH}/{made.id}", version=made.version)


async def list_tenants(door: Door, request: HttpRequest) -> Response:
    """Page through all tenants."""
    query = read_query(request.query_params.multi_items(), tenants.LISTING)
    found, following = await run_in_threadpool(tenants.listed, door.store, query, now=door.clock())
    return json_answer(TenantPage([told(one, Tenant) for one in found], following))


async def show_tenant(door: Door, request: HttpRequest) -> Response:
    """Show one tenant."""
    one = await run_in_threadpool(tenants.shown, door.store, request.path_params["tenant_id"])
    return json_answer(told(one, Tenant), version=one.version)


async def change_tenant(door: Door, request: HttpRequest) -> Response:
    """Rename a tenant."""
    tenant_id, match = request.path_params["tenant_id"], read_match(request)
    patch = await read_body(request, tenants.TenantPatch)
    one = await run_in_threadpool(
        tenants.change_tenant, door.store, caller(request), tenant_id, patch, match=match
    )
    return json_answer(told(one, Tenant), version=one.version)


async def suspend_tenant(door: Door, request: HttpRequest) -> Response:
    """Suspend a tenant and wait for the receipt."""
    return await _switch(door, request, active=False)


async def reinstate_tenant(door: Door, request: HttpRequest) -> Response:
    """Reinstate a tenant and wait for the receipt."""
    return await _switch(door, request, active=True)


async def _switch(door: Door, request: HttpRequest, *, active: bool) -> Response:
    tenant_id, match = request.path_params["tenant_id"], read_match(request)
    one, n = await run_in_threadpool(
        tenants.switch, door.store, caller(request), tenant_id, active=active, match=match
    )
    shown = shapes.Switched(one.id, one.active, one.version, await receipt(door, n))
    return json_answer(shown, version=one.version)


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_tenant,
        "Make a tenant with a main user, a project, a role and a token",
        _WRITE,
        body=tenants.TenantSpec,
        answer=NewTenant,
        status=201,
        replay=Tenant,
        refusals=(413, 415),
    ),
    Operation(
        "GET",
        _PATH,
        list_tenants,
        "List tenants",
        _READ,
        answer=TenantPage,
        listing=tenants.LISTING,
        refusals=(422,),
    ),
    Operation("GET", _ONE, show_tenant, "Show a tenant", _READ, answer=Tenant, refusals=(404,)),
    Operation(
        "PATCH",
        _ONE,
        change_tenant,
        "Rename a tenant",
        _WRITE,
        body=tenants.TenantPatch,
        answer=Tenant,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "POST",
        f"{_ONE}/suspend",
        suspend_tenant,
        "Suspend a tenant, with a receipt",
        _WRITE,
        answer=shapes.Switched,
        conditional=True,
        refusals=(404, 409),
    ),
    Operation(
        "POST",
        f"{_ONE}/reinstate",
        reinstate_tenant,
        "Reinstate a tenant, with a receipt",
        _WRITE,
        answer=shapes.Switched,
        conditional=True,
        refusals=(404,),
    ),
)
