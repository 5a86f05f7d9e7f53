"""App passwords: enable, show, reissue, disable; for oneself, or by an administrator for a user."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_once
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import basic
from latchgate.manage.basic import BasicSpec, StoredBasic


class BasicShape(msgspec.Struct, frozen=True):
    """Whether Basic is enabled for a user in a login namespace, and with which login name.

    `login_password`: their account's password is taken as Basic there.
    """

    user_id: str
    namespace: str
    login: str | None
    enabled: bool
    login_password: bool
    credential_id: str | None
    project_id: str | None
    created_at: str | None
    created_by: str | None
    expires_at: str | None


class NewBasic(BasicShape, frozen=True, kw_only=True):
    """An app password just issued, which is shown this once."""

    password: str


class ReissuedBasic(NewBasic, frozen=True, kw_only=True):
    """The app password that took the place of another, and who follows."""

    receipt: ReceiptShape


class DisabledBasic(BasicShape, frozen=True, kw_only=True):
    """Basic disabled, and who follows."""

    receipt: ReceiptShape


async def enable_own_basic(door: Door, request: HttpRequest) -> Response:
    """Enable Basic for oneself; the password is in this answer only."""
    return await _enable(door, request, caller(request).owner.id, "/manage/v1/account/basic")


async def enable_basic(door: Door, request: HttpRequest) -> Response:
    """Enable Basic for a user of the caller's tenant."""
    user_id = request.path_params["user_id"]
    return await _enable(door, request, user_id, f"/manage/v1/users/{user_id}/basic")


async def show_own_basic(door: Door, request: HttpRequest) -> Response:
    """Show one's own."""
    return await _show(door, request, caller(request).owner.id)


async def show_basic(door: Door, request: HttpRequest) -> Response:
    """Show a user's."""
    return await _show(door, request, request.path_params["user_id"])


async def reissue_own_basic(door: Door, request: HttpRequest) -> Response:
    """Replace one's own app password."""
    return await _reissue(door, request, caller(request).owner.id)


async def reissue_basic(door: Door, request: HttpRequest) -> Response:
    """Replace a user's."""
    return await _reissue(door, request, request.path_params["user_id"])


async def disable_own_basic(door: Door, request: HttpRequest) -> Response:
    """Disable Basic for oneself."""
    return await _disable(door, request, caller(request).owner.id)


async def disable_basic(door: Door, request: HttpRequest) -> Response:
    """Disable Basic for a user."""
    return await _disable(door, request, request.path_params["user_id"])


async def _enable(door: Door, request: HttpRequest, user_id: str, path: str) -> Response:
    spec = await read_body(request, BasicSpec)
    found, issued, _ = await run_in_threadpool(
        basic.enable,
        door.store,
        door.engine.policy,
        caller(request),
        user_id,
        spec=spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    if issued is None:
        return json_answer(msgspec.convert(_fields(found), BasicShape), replayed=True)
    shown = msgspec.convert(_fields(found) | {"password": issued.secret.reveal()}, NewBasic)
    return json_answer(shown, status=201, location=f"{path}/{found.namespace}")


async def _show(door: Door, request: HttpRequest, user_id: str) -> Response:
    namespace = request.path_params["namespace"]
    found = await run_in_threadpool(
        basic.show, door.store, door.engine.policy, caller(request), user_id, namespace
    )
    return json_answer(msgspec.convert(_fields(found), BasicShape))


async def _reissue(door: Door, request: HttpRequest, user_id: str) -> Response:
    namespace = request.path_params["namespace"]
    found, issued, n = await run_in_threadpool(
        basic.reissue,
        door.store,
        door.engine.policy,
        caller(request),
        user_id,
        namespace,
        now=door.clock(),
        entropy=door.entropy,
    )
    if issued is None:
        raise RuntimeError("a password that was not made before came without its text")
    told = {"password": issued.secret.reveal(), "receipt": await receipt(door, n)}
    return json_answer(msgspec.convert(_fields(found) | told, ReissuedBasic))


async def _disable(door: Door, request: HttpRequest, user_id: str) -> Response:
    namespace = request.path_params["namespace"]
    found, n = await run_in_threadpool(
        basic.disable, door.store, door.engine.policy, caller(request), user_id, namespace
    )
    told = {"receipt": await receipt(door, n)}
    return json_answer(msgspec.convert(_fields(found) | told, DisabledBasic))


def _fields(found: StoredBasic) -> dict[str, Any]:
    told = msgspec.structs.asdict(found)
    at = found.created_at
    return told | {"created_at": rfc3339(at) if at is not None else None}


def _operations(path: str, scope: str, own: str) -> tuple[Operation, ...]:
    mine = bool(own)
    whose = own or " for a user"
    one = f"{path}/{{namespace}}"
    return (
        Operation(
            "POST",
            path,
            enable_own_basic if mine else enable_basic,
            f"Enable Basic{whose}: a login name and a random app password",
            f"{scope}.write",
            body=BasicSpec,
            answer=NewBasic,
            status=201,
            replay=BasicShape,
            refusals=(404, 409, 413, 415, 422),
        ),
        Operation(
            "GET",
            one,
            show_own_basic if mine else show_basic,
            f"Show whether Basic is enabled{whose}",
            f"{scope}.read",
            answer=BasicShape,
            refusals=(404, 422),
        ),
        Operation(
            "POST",
            f"{one}/reissue",
            reissue_own_basic if mine else reissue_basic,
            f"Replace the app password at once{whose}, with a receipt",
            f"{scope}.write",
            answer=ReissuedBasic,
            refusals=(404, 422),
        ),
        Operation(
            "DELETE",
            one,
            disable_own_basic if mine else disable_basic,
            f"Disable Basic at once{whose}, with a receipt",
            f"{scope}.write",
            answer=DisabledBasic,
            refusals=(404, 422),
        ),
    )


OPERATIONS = (
    *_operations("/manage/v1/account/basic", "own:basic", " for oneself"),
    *_operations("/manage/v1/users/{user_id}/basic", "manage:users", ""),
)
