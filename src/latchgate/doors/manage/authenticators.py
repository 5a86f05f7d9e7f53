"""What users sign in with besides a password: taken away by an administrator."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.manage import authenticators


class Cleared(msgspec.Struct, frozen=True):
    """A user whom the password alone signs in now; `removed` counts apps and passkeys."""

    user_id: str
    removed: int


async def clear_authenticators(door: Door, request: HttpRequest) -> Response:
    """Take away all that a user signs in with besides the password."""
    user_id = request.path_params["user_id"]
    removed, _ = await run_in_threadpool(authenticators.clear, door.store, caller(request), user_id)
    return json_answer(Cleared(user_id, removed))


OPERATIONS = (
    Operation(
        "DELETE",
        "/manage/v1/users/{user_id}/authenticators",
        clear_authenticators,
        "Take away a user's authenticator apps, passkeys and recovery codes",
        "manage:users.write",
        answer=Cleared,
        refusals=(404, 422),
    ),
)
