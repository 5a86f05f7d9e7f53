"""Keys: make, list, show, revoke."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_page
from latchgate.manage import keys


async def create_key(door: Door, request: HttpRequest) -> Response:
    """Make a key; its secret is in this answer only."""
    spec = await read_body(request, keys.KeySpec)
    now = door.clock()
    key, issued, _ = await run_in_threadpool(
        keys.issue,
        door.store,
        door.engine.policy,
        caller(request),
        spec,
        now=now,
        entropy=door.entropy,
    )
    shown = shapes.new_key_shape(key, now, issued.secret.reveal())
    return json_answer(shown, status=201, location=f"/manage/v1/keys/{key.id}")


async def list_keys(door: Door, request: HttpRequest) -> Response:
    """Page through the actor's tenant's keys."""
    limit, after = read_page(request.query_params.multi_items())
    found, following = await run_in_threadpool(
        keys.listed, door.store, caller(request), limit=limit, after=after
    )
    uses = await run_in_threadpool(door.usage.last_uses, [key.id for key in found])
    now = door.clock()
    shown = [shapes.key_shape(key, now, uses.get(key.id)) for key in found]
    return json_answer(shapes.KeyPage(keys=shown, next=following))


async def show_key(door: Door, request: HttpRequest) -> Response:
    """Show one key."""
    key_id = request.path_params["key_id"]
    key = await run_in_threadpool(keys.shown, door.store, caller(request), key_id)
    uses = await run_in_threadpool(door.usage.last_uses, [key.id])
    return json_answer(shapes.key_shape(key, door.clock(), uses.get(key.id)))


async def revoke_key(door: Door, request: HttpRequest) -> Response:
    """Revoke a key and wait for the receipt."""
    key_id = request.path_params["key_id"]
    key, n = await run_in_threadpool(keys.revoke, door.store, caller(request), key_id)
    return json_answer(
        shapes.Revoked(
            id=key.id,
            revoked_at=rfc3339(key.revoked_at or door.clock()),
            receipt=await door.receipt(n),
        )
    )


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/keys",
        create_key,
        "Make a key",
        "manage:keys.write",
        body=keys.KeySpec,
        answer=shapes.NewKey,
        status=201,
        refusals=(400, 403, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/keys",
        list_keys,
        "List keys, oldest first",
        "manage:keys.read",
        answer=shapes.KeyPage,
        query=("limit", "after"),
        refusals=(422,),
    ),
    Operation(
        "GET",
        "/manage/v1/keys/{key_id}",
        show_key,
        "Show a key",
        "manage:keys.read",
        answer=shapes.Key,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        "/manage/v1/keys/{key_id}",
        revoke_key,
        "Revoke a key, with a receipt",
        "manage:keys.write",
        answer=shapes.Revoked,
        refusals=(404,),
    ),
)
