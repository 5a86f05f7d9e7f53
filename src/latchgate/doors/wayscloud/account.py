"""Who one is: what the provider's command line asks at `login` and `whoami`."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.door import Door, caller
from latchgate.doors.wayscloud.answers import json_answer
from latchgate.manage import users


class Profile(msgspec.Struct, frozen=True):
    """The user that a credential acts for; `customer_id` is their tenant's, `email` may be null."""

    customer_id: str
    email: str | None
    name: str
    customer_type: str


async def profile(door: Door, request: HttpRequest) -> Response:
    """Show who the caller is."""
    who = caller(request)
    one = await run_in_threadpool(users.shown, door.store, who, who.owner.id)
    return json_answer(Profile(who.tenant_id, one.email, one.name, one.sort))
