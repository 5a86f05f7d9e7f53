"""Links of a user with somebody at an identity provider: make, list, take away."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_once
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import links
from latchgate.manage.links import LinkSpec

_PATH = "/manage/v1/users/{user_id}/links"
_ONE = "/manage/v1/users/{user_id}/links/{link_id}"


class Link(msgspec.Struct, frozen=True):
    """Who acts as a user: `issuer` and `subject` are `iss` and `sub` of their tokens."""

    id: str
    user_id: str
    issuer: str
    subject: str
    project_id: str
    created_at: str
    created_by: str
    revoked_at: str | None
    version: int


class Links(msgspec.Struct, frozen=True):
    """Every link that a user has, oldest first."""

    links: list[Link]


class Unlinked(Link, frozen=True, kw_only=True):
    """A link that was taken away, and who follows."""

    receipt: ReceiptShape


async def link_user(door: Door, request: HttpRequest) -> Response:
    """Link a user of the caller's tenant."""
    spec = await read_body(request, LinkSpec)
    user_id = request.path_params["user_id"]
    made, new = await run_in_threadpool(
        links.link,
        door.store,
        door.engine.policy,
        caller(request),
        user_id,
        spec=spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
        issuers=door.providers.issuers,
    )
    location = f"/manage/v1/users/{user_id}/links/{made.id}"
    return creation(told(made, Link), location, made.version, new=new)


async def list_links(door: Door, request: HttpRequest) -> Response:
    """List a user's links."""
    user_id = request.path_params["user_id"]
    found = await run_in_threadpool(links.listed, door.store, caller(request), user_id)
    return json_answer(Links([told(one, Link) for one in found]))


async def unlink_user(door: Door, request: HttpRequest) -> Response:
    """Take a link away and wait for the receipt."""
    user_id, link_id = request.path_params["user_id"], request.path_params["link_id"]
    found, n = await run_in_threadpool(links.unlink, door.store, caller(request), user_id, link_id)
    return json_answer(told(found, Unlinked, receipt=await receipt(door, n)))


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        link_user,
        "Link a user with somebody at an identity provider",
        "manage:users.write",
        body=LinkSpec,
        answer=Link,
        status=201,
        replay=Link,
        refusals=(403, 404, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        _PATH,
        list_links,
        "List a user's links",
        "manage:users.read",
        answer=Links,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        _ONE,
        unlink_user,
        "Take a link away, with a receipt",
        "manage:users.write",
        answer=Unlinked,
        refusals=(404,),
    ),
)
