"""The storage of a user: shown, and told by whoever keeps it."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer, told
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match
from latchgate.manage import storage

_PATH = "/manage/v1/users/{user_id}/storage"


class Storage(msgspec.Struct, frozen=True):
    """The storage of a user: the host that holds their files, and bytes.

    `version` is 0 while nothing was ever said of it.
    """

    user_id: str
    node: str | None
    quota: int | None
    used: int
    introduce_code: str | None
    version: int


async def show_storage(door: Door, request: HttpRequest) -> Response:
    """Show a user's storage."""
    user_id = request.path_params["user_id"]
    found = await run_in_threadpool(storage.shown, door.store, caller(request), user_id)
    return json_answer(told(found, Storage), version=found.version)


async def change_storage(door: Door, request: HttpRequest) -> Response:
    """Say what a user's storage is now."""
    user_id, match = request.path_params["user_id"], read_match(request)
    patch = await read_body(request, storage.StoragePatch)
    found, _ = await run_in_threadpool(
        storage.change_storage, door.store, caller(request), user_id, patch, match=match
    )
    # No verifier decides by it, so there is nobody to wait for.
    return json_answer(told(found, Storage), version=found.version)


OPERATIONS = (
    Operation(
        "GET",
        _PATH,
        show_storage,
        "Show a user's storage",
        "manage:users.read",
        answer=Storage,
        refusals=(404,),
    ),
    Operation(
        "PATCH",
        _PATH,
        change_storage,
        "Say what a user's storage is: its node, quota and use",
        "manage:users.write",
        body=storage.StoragePatch,
        answer=Storage,
        conditional=True,
        refusals=(404, 413, 415, 422),
    ),
)
