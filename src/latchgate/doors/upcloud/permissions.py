"""Permissions of accounts: listed, granted, taken back. They give nobody any right here."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.door import Door, caller
from latchgate.doors.upcloud.call import Call
from latchgate.doors.upcloud.wire import answer, nothing, read_body
from latchgate.manage import permissions
from latchgate.manage.permissions import Permission


class _Told(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    permission: Permission


async def list_permissions(door: Door, request: HttpRequest) -> Response:
    """List what accounts were permitted: to a main account all of it, to a subaccount its own."""
    found = await run_in_threadpool(permissions.listed, door.store, caller(request))
    return answer(request, "permissions", {"permission": [_shown(one) for one in found]})


async def grant_permission(door: Door, request: HttpRequest) -> Response:
    """Keep a permission. `skip_target_check` changes nothing: no target is known to check."""
    told = await _read(request)
    await run_in_threadpool(permissions.grant, door.store, caller(request), told)
    return answer(request, "permission", _shown(told))


async def revoke_permission(door: Door, request: HttpRequest) -> Response:
    """Take a permission back."""
    told = await _read(request)
    await run_in_threadpool(permissions.revoke, door.store, caller(request), told)
    return nothing()


async def _read(request: HttpRequest) -> Permission:
    if "xml" in request.headers.get("content-type", "").lower():
        return await read_body(request, Permission, "permission")
    return (await read_body(request, _Told, "permission")).permission


def _shown(one: Permission) -> dict[str, Any]:
    told: dict[str, Any] = {
        "target_identifier": one.target_identifier,
        "target_type": one.target_type,
        "user": one.user,
    }
    return {"options": {"storage": one.options.storage}} | told if one.options else told


CALLS = (
    Call("GET", "/1.3/permission", list_permissions),
    Call("POST", "/1.3/permission/grant", grant_permission, missing="USER_NOT_FOUND"),
    Call("POST", "/1.3/permission/revoke", revoke_permission, missing="NOT_FOUND"),
)
