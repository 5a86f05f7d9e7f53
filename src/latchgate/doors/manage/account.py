"""The own account: who the caller is, and what they may do now."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import json_answer, told
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.users import User
from latchgate.manage import users


class Account(msgspec.Struct, frozen=True):
    """Who came with which credential, and the scopes it gives now; `*` for every one."""

    user: User
    tenant_id: str
    project_id: str
    credential_id: str
    rights: list[str]


async def show_account(door: Door, request: HttpRequest) -> Response:
    """Show who the caller is."""
    who = caller(request)
    one = await run_in_threadpool(users.shown, door.store, who, who.owner.id)
    shown = Account(
        user=told(one, User),
        tenant_id=who.tenant_id,
        project_id=who.credential.project_id,
        credential_id=who.credential.id,
        rights=who.rights.listed(),
    )
    return json_answer(shown)


OPERATIONS = (
    Operation(
        "GET",
        "/manage/v1/account",
        show_account,
        "Show who you are and what you may do",
        "own:account.read",
        answer=Account,
        refusals=(404,),
    ),
)
