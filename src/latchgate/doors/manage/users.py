"""Users: make, list, show, change, disable, enable; the roles they hold."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.manage import roles, users
from latchgate.manage.records import IfMatch

_PATH = "/manage/v1/users"
_ONE = "/manage/v1/users/{user_id}"
_ROLE = "/manage/v1/users/{user_id}/roles/{project_id}/{role_id}"
_READ = "manage:users.read"
_WRITE = "manage:users.write"


class User(msgspec.Struct, frozen=True):
    """A user and the roles they hold; `ip_filters` null means everywhere, [] nowhere."""

    id: str
    name: str
    sort: users.Sort
    active: bool
    allow_api: bool
    ip_filters: list[str] | None
    email: str | None
    roles: list[users.Held]
    created_at: str
    version: int


class UserPage(msgspec.Struct, frozen=True):
    """A page of users; `next` is the `after` of the following page."""

    users: list[User]
    next: str | None


class RoleTaken(msgspec.Struct, frozen=True):
    """A user who lost a role, and who follows."""

    user: User
    version: int
    receipt: shapes.ReceiptShape


async def create_user(door: Door, request: HttpRequest) -> Response:
    """Make a user, who holds no role yet."""
    spec = await read_body(request, users.UserSpec)
    one, new = await run_in_threadpool(
        users.create,
        door.store,
        caller(request),
        spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    return creation(told(one, User), f"{_PATH}/{one.id}", one.version, new=new)


async def list_users(door: Door, request: HttpRequest) -> Response:
    """Page through the tenant's users."""
    query = read_query(request.query_params.multi_items(), users.LISTING)
    found, following = await run_in_threadpool(
        users.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(UserPage([told(one, User) for one in found], following))


async def show_user(door: Door, request: HttpRequest) -> Response:
    """Show one user."""
    user_id = request.path_params["user_id"]
    one = await run_in_threadpool(users.shown, door.store, caller(request), user_id)
    return json_answer(told(one, User), version=one.version)


async def change_user(door: Door, request: HttpRequest) -> Response:
    """Change a user; when this answers, every verifier follows."""
    user_id, match = request.path_params["user_id"], read_match(request)
    patch = await read_body(request, users.UserPatch)
    one, n = await run_in_threadpool(
        users.change_user, door.store, caller(request), user_id, patch, match=match
    )
    await receipt(door, n)
    return json_answer(told(one, User), version=one.version)


async def disable_user(door: Door, request: HttpRequest) -> Response:
    """Disable a user and wait for the receipt."""
    return await _switch(door, request, active=False)


async def enable_user(door: Door, request: HttpRequest) -> Response:
    """Enable a user and wait for the receipt."""
    return await _switch(door, request, active=True)


async def _switch(door: Door, request: HttpRequest, *, active: bool) -> Response:
    user_id, match = request.path_params["user_id"], read_match(request)
    one, n = await run_in_threadpool(
        users.switch, door.store, caller(request), user_id, active=active, match=match
    )
    shown = shapes.Switched(one.id, one.active, one.version, await receipt(door, n))
    return json_answer(shown, version=one.version)


async def give_role(door: Door, request: HttpRequest) -> Response:
    """Give a user a role in a project."""
    user_id, held, match = _held(request)
    one, n = await run_in_threadpool(
        roles.give, door.store, caller(request), user_id, held, match=match
    )
    await receipt(door, n)
    return json_answer(told(one, User), version=one.version)


async def take_role(door: Door, request: HttpRequest) -> Response:
    """Take a role away and wait for the receipt."""
    user_id, held, match = _held(request)
    one, n = await run_in_threadpool(
        roles.take, door.store, caller(request), user_id, held, match=match
    )
    shown = RoleTaken(told(one, User), one.version, await receipt(door, n))
    return json_answer(shown, version=one.version)


def _held(request: HttpRequest) -> tuple[str, users.Held, IfMatch]:
    named = request.path_params
    held = users.Held(named["project_id"], named["role_id"])
    return named["user_id"], held, read_match(request)


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_user,
        "Make a user",
        _WRITE,
        body=users.UserSpec,
        answer=User,
        status=201,
        replay=User,
        refusals=(413, 415),
    ),
    Operation(
        "GET",
        _PATH,
        list_users,
        "List users",
        _READ,
        answer=UserPage,
        listing=users.LISTING,
        refusals=(422,),
    ),
    Operation("GET", _ONE, show_user, "Show a user", _READ, answer=User, refusals=(404,)),
    Operation(
        "PATCH",
        _ONE,
        change_user,
        "Change a user",
        _WRITE,
        body=users.UserPatch,
        answer=User,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "POST",
        f"{_ONE}/disable",
        disable_user,
        "Disable a user, with a receipt",
        _WRITE,
        answer=shapes.Switched,
        conditional=True,
        refusals=(404, 409),
    ),
    Operation(
        "POST",
        f"{_ONE}/enable",
        enable_user,
        "Enable a user, with a receipt",
        _WRITE,
        answer=shapes.Switched,
        conditional=True,
        refusals=(404,),
    ),
    Operation(
        "PUT",
        _ROLE,
        give_role,
        "Give a user a role in a project",
        _WRITE,
        answer=User,
        conditional=True,
        refusals=(404, 409),
    ),
    Operation(
        "DELETE",
        _ROLE,
        take_role,
        "Take a role away from a user, with a receipt",
        _WRITE,
        answer=RoleTaken,
        conditional=True,
        refusals=(404, 409),
    ),
)
