"""Keys: make, list, show, change, revoke."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.lists import read_query
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.doors.manage.seen import all_seen, seen, told
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
        once=read_once(request, spec),
    )
    if issued is None:
        return json_answer(await seen(door, key, shapes.Key), version=key.version, replayed=True)
    fields = told(key, now, None) | {"key": issued.secret.reveal()}
    shown = msgspec.convert(fields, shapes.NewKey)
    return json_answer(shown, status=201, location=f"/manage/v1/keys/{key.id}", version=key.version)


async def list_keys(door: Door, request: HttpRequest) -> Response:
    """Page through the actor's tenant's keys."""
    query = read_query(request.query_params.multi_items(), keys.LISTING)
    now = door.clock()
    found, following = await run_in_threadpool(
        keys.listed, door.store, caller(request), query, now=now
    )
    shown = await all_seen(door, found, shapes.Key, now)
    return json_answer(shapes.KeyPage(keys=shown, next=following))


async def show_key(door: Door, request: HttpRequest) -> Response:
    """Show one key."""
    key_id = request.path_params["key_id"]
    key = await run_in_threadpool(keys.shown, door.store, caller(request), key_id)
    return json_answer(await seen(door, key, shapes.Key), version=key.version)


async def change_key(door: Door, request: HttpRequest) -> Response:
    """Change what people read of a key."""
    key_id, match = request.path_params["key_id"], read_match(request)
    patch = await read_body(request, keys.KeyPatch)
    key = await run_in_threadpool(
        keys.change_key, door.store, caller(request), key_id, patch, match=match
    )
    return json_answer(await seen(door, key, shapes.Key), version=key.version)


async def revoke_key(door: Door, request: HttpRequest) -> Response:
    """Revoke a key and wait for the receipt."""
    key_id, match = request.path_params["key_id"], read_match(request)
    key, n = await run_in_threadpool(keys.revoke, door.store, caller(request), key_id, match=match)
    shown = shapes.Revoked(
        id=key.id,
        revoked_at=rfc3339(key.revoked_at or door.clock()),
        receipt=await receipt(door, n),
    )
    return json_answer(shown, version=key.version)


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
        replay=shapes.Key,
        refusals=(400, 403, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/keys",
        list_keys,
        "List keys, oldest first",
        "manage:keys.read",
        answer=shapes.KeyPage,
        listing=keys.LISTING,
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
        "PATCH",
        "/manage/v1/keys/{key_id}",
        change_key,
        "Change a key's name, description or metadata",
        "manage:keys.write",
        body=keys.KeyPatch,
        answer=shapes.Key,
        conditional=True,
        refusals=(404, 413, 415, 422),
    ),
    Operation(
        "DELETE",
        "/manage/v1/keys/{key_id}",
        revoke_key,
        "Revoke a key, with a receipt",
        "manage:keys.write",
        answer=shapes.Revoked,
        conditional=True,
        refusals=(404,),
    ),
)
