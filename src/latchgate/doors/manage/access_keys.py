"""Access keys: one's own made, listed, shown and deleted; a user's by an administrator."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.basic import MAX_PASSWORD
from latchgate.core.kinds.project_token import ProjectToken
from latchgate.core.policy import Policy
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once, read_optional_body
from latchgate.doors.manage.seen import DeletedCredential, all_seen, deleted, seen, told
from latchgate.doors.typed import hashed, proven
from latchgate.manage import access_keys
from latchgate.manage.access_keys import AccessKeySpec, KeyRole
from latchgate.manage.access_rules import StoredRule
from latchgate.manage.states import State

_PATH = "/manage/v1/account/access-keys"
_OF = "/manage/v1/users/{user_id}/access-keys"


class AccessKeyProof(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The account password of an access key's owner, by which they prove that it is they."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=4 * MAX_PASSWORD)]

    def __repr__(self) -> str:
        return "AccessKeyProof()"


class AccessKey(msgspec.Struct, frozen=True):
    """An access key as it is shown; never its secret.

    `access_rules` null means every request, `parent_id` the access key that it was made with.
    """

    id: str
    name: str
    description: str
    state: State
    owner_id: str
    project_id: str
    roles: list[KeyRole]
    access_rules: list[StoredRule] | None
    unrestricted: bool
    parent_id: str | None
    created_at: str
    created_by: str
    expires_at: str | None
    disabled_at: str | None
    superseded_by: str | None
    superseded_at: str | None
    predecessor_id: str | None
    last_used_at: str | None
    last_used_from: str | None
    last_used_agent: str | None
    version: int


class NewAccessKey(AccessKey, frozen=True, kw_only=True):
    """An access key just made; its secret is shown this once, and one that was chosen never.

    `auth_url` is where it is exchanged, null where that is below this API's own address.
    """

    secret: str | None
    auth_url: str | None


class AccessKeyPage(msgspec.Struct, frozen=True):
    """A page of access keys; `next` is the `after` of the following page."""

    access_keys: list[AccessKey]
    next: str | None


async def create_access_key(door: Door, request: HttpRequest) -> Response:
    """Make an access key; its secret is in this answer only."""
    spec = await read_body(request, AccessKeySpec)
    # What a repeat is known by is kept, and a digest of a chosen secret could be guessed from.
    named = spec if spec.secret is None else msgspec.structs.replace(spec, secret="chosen")  # noqa: S106
    once = read_once(request, named)
    who, policy, now = caller(request), door.engine.policy, door.clock()
    chosen = await run_in_threadpool(access_keys.check_secret, policy, who, spec)
    key, secret, new = await run_in_threadpool(
        access_keys.create,
        door.store,
        policy,
        who,
        spec,
        now=now,
        entropy=door.entropy,
        hashed=await hashed(door, chosen) if chosen is not None else None,
        once=once,
    )
    if not new:
        return json_answer(await seen(door, key, AccessKey), version=key.version, replayed=True)
    shown = told(key, now, None) | {
        "secret": secret.reveal() if secret is not None else None,
        "auth_url": _auth_url(policy),
    }
    return json_answer(
        msgspec.convert(shown, NewAccessKey),
        status=201,
        location=f"{_PATH}/{key.id}",
        version=key.version,
    )


async def list_access_keys(door: Door, request: HttpRequest) -> Response:
    """Page through one's own access keys."""
    return await _list(door, request, None)


async def list_users_access_keys(door: Door, request: HttpRequest) -> Response:
    """Page through a user's access keys."""
    return await _list(door, request, request.path_params["user_id"])


async def show_access_key(door: Door, request: HttpRequest) -> Response:
    """Show one of one's own access keys."""
    key_id = request.path_params["key_id"]
    key = await run_in_threadpool(
        access_keys.shown, door.store, door.engine.policy, caller(request), key_id
    )
    return json_answer(await seen(door, key, AccessKey), version=key.version)


async def delete_access_key(door: Door, request: HttpRequest) -> Response:
    """Delete one of one's own access keys and wait for the receipt."""
    key_id, match = request.path_params["key_id"], read_match(request)
    proof = await read_optional_body(request, AccessKeyProof)
    who, policy = caller(request), door.engine.policy
    key, n = await run_in_threadpool(
        access_keys.delete,
        door.store,
        policy,
        who,
        key_id,
        proven=await proven(door, request, proof.password if proof is not None else None),
        now=door.clock(),
        match=match,
    )
    return await deleted(door, key, n)


async def delete_users_access_key(door: Door, request: HttpRequest) -> Response:
    """Delete an access key of another user and wait for the receipt."""
    named, match = request.path_params, read_match(request)
    key, n = await run_in_threadpool(
        access_keys.delete_of,
        door.store,
        door.engine.policy,
        caller(request),
        named["user_id"],
        named["key_id"],
        match=match,
    )
    return await deleted(door, key, n)


async def _list(door: Door, request: HttpRequest, user_id: str | None) -> Response:
    query = read_query(request.query_params.multi_items(), access_keys.LISTING)
    now = door.clock()
    found, following = await run_in_threadpool(
        access_keys.listed,
        door.store,
        door.engine.policy,
        caller(request),
        query,
        now=now,
        user_id=user_id,
    )
    shown = await all_seen(door, found, AccessKey, now)
    return json_answer(AccessKeyPage(access_keys=shown, next=following))


def _auth_url(policy: Policy) -> str | None:
    kinds = (kind for kind in policy.kinds.values() if isinstance(kind, ProjectToken))
    return next((kind.identity_url for kind in kinds), None)


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_access_key,
        "Make an access key for oneself: an id and a secret that are exchanged for tokens",
        "own:access-keys.write",
        body=AccessKeySpec,
        answer=NewAccessKey,
        status=201,
        replay=AccessKey,
        refusals=(404, 413, 415, 429),
    ),
    Operation(
        "GET",
        _PATH,
        list_access_keys,
        "List the own access keys, oldest first",
        "own:access-keys.read",
        answer=AccessKeyPage,
        listing=access_keys.LISTING,
        refusals=(404, 422),
    ),
    Operation(
        "GET",
        f"{_PATH}/{{key_id}}",
        show_access_key,
        "Show one of the own access keys",
        "own:access-keys.read",
        answer=AccessKey,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        f"{_PATH}/{{key_id}}",
        delete_access_key,
        "Delete one of the own access keys at once, with the account password and a receipt",
        "own:access-keys.write",
        body=AccessKeyProof,
        optional=True,
        answer=DeletedCredential,
        conditional=True,
        refusals=(404, 413, 415, 422, 429),
    ),
    Operation(
        "GET",
        _OF,
        list_users_access_keys,
        "List a user's access keys, oldest first",
        "manage:users.read",
        answer=AccessKeyPage,
        listing=access_keys.LISTING,
        refusals=(404, 422),
    ),
    Operation(
        "DELETE",
        f"{_OF}/{{key_id}}",
        delete_users_access_key,
        "Delete an access key of another user at once, with a receipt",
        "manage:users.write",
        answer=DeletedCredential,
        conditional=True,
        refusals=(404,),
    ),
)
