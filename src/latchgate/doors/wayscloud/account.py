"""Who one is: what the provider's command line asks at `login` and `whoami`."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import maybe_rfc3339
from latchgate.doors.door import Door, caller
from latchgate.doors.wayscloud.answers import json_answer
from latchgate.manage import users


class Profile(msgspec.Struct, frozen=True):
    """The user that a credential acts for; `customer_id` is their tenant's, `email` may be null.

    `scopes` and `expires_at` are this server's own: what the credential may do now, and its end.
    """

    customer_id: str
    email: str | None
    name: str
    customer_type: str
    scopes: list[str]
    expires_at: str | None


async def profile(door: Door, request: HttpRequest) -> Response:
    """Show who the caller is."""
    who = caller(request)
    one = await run_in_threadpool(users.shown, door.store, who, who.owner.id)
    profile = Profile(
        customer_id=who.tenant_id,
        email=one.email,
        name=one.name,
        customer_type=one.sort,
        scopes=who.rights.listed(),
        expires_at=maybe_rfc3339(who.credential.expires_at),
    )
    return json_answer(profile)
