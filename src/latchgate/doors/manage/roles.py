"""Roles: make, list, show, change, delete."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.manage import roles

_PATH = "/manage/v1/roles"
_ONE = "/manage/v1/roles/{role_id}"
_READ = "manage:roles.read"
_WRITE = "manage:roles.write"


class Role(msgspec.Struct, frozen=True):
    """A role; it holds its scopes and all that the roles it implies hold."""

    id: str
    name: str
    scopes: list[str]
    implies: list[str]
    shared: bool
    created_at: str
    version: int


class RolePage(msgspec.Struct, frozen=True):
    """A page of roles; `next` is the `after` of the following page."""

    roles: list[Role]
    next: str | None


async def create_role(door: Door, request: HttpRequest) -> Response:
    """Make a role."""
    spec = await read_body(request, roles.RoleSpec)
    one, new = await run_in_threadpool(
        roles.create,
        door.store,
        door.engine.policy,
        caller(request),
        spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    return creation(told(one, Role), f"{_PATH}/{one.id}", one.version, new=new)


async def list_roles(door: Door, request: HttpRequest) -> Response:
    """Page through the roles that the tenant may use."""
    query = read_query(request.query_params.multi_items(), roles.LISTING)
    found, following = await run_in_threadpool(
        roles.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(RolePage([told(one, Role) for one in found], following))


async def show_role(door: Door, request: HttpRequest) -> Response:
    """Show one role."""
    role_id = request.path_params["role_id"]
    one = await run_in_threadpool(roles.shown, door.store, caller(request), role_id)
    return json_answer(told(one, Role), version=one.version)


async def change_role(door: Door, request: HttpRequest) -> Response:
    """Change a role for all who hold it; when this answers, every verifier follows."""
    role_id, match = request.path_params["role_id"], read_match(request)
    patch = await read_body(request, roles.RolePatch)
    one, n = await run_in_threadpool(
        roles.change_role,
        door.store,
        door.engine.policy,
        caller(request),
        role_id,
        patch,
        match=match,
    )
    await receipt(door, n)
    return json_answer(told(one, Role), version=one.version)


async def delete_role(door: Door, request: HttpRequest) -> Response:
    """Delete a role that nobody holds."""
    role_id, match = request.path_params["role_id"], read_match(request)
    one = await run_in_threadpool(roles.delete, door.store, caller(request), role_id, match=match)
    return json_answer(told(one, Role))


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_role,
        "Make a role",
        _WRITE,
        body=roles.RoleSpec,
        answer=Role,
        status=201,
        replay=Role,
        refusals=(413, 415),
    ),
    Operation(
        "GET",
        _PATH,
        list_roles,
        "List roles",
        _READ,
        answer=RolePage,
        listing=roles.LISTING,
        refusals=(422,),
    ),
    Operation("GET", _ONE, show_role, "Show a role", _READ, answer=Role, refusals=(404,)),
    Operation(
        "PATCH",
        _ONE,
        change_role,
        "Change a role",
        _WRITE,
        body=roles.RolePatch,
        answer=Role,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_role,
        "Delete a role that nobody holds",
        _WRITE,
        answer=Role,
        conditional=True,
        refusals=(404, 409),
    ),
)
