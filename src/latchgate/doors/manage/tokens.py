"""One's own API tokens: make, list, show, delete."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once, read_query
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import tokens
from latchgate.manage.tokens import StoredToken, TokenSpec
from latchgate.store.usage import LastUse

_PATH = "/manage/v1/account/tokens"


class Token(msgspec.Struct, frozen=True):
    """An API token as it is shown; never its secret.

    `scopes` null means all that its owner may do, `allowed_ip_ranges` null wherever they may be.
    """

    id: str
    name: str
    hint: str
    state: Literal["active", "expired"]
    scopes: list[str] | None
    allowed_ip_ranges: list[str] | None
    can_create_tokens: bool
    parent_id: str | None
    owner_id: str
    project_id: str
    created_at: str
    created_by: str
    expires_at: str
    last_used_at: str | None
    last_used_from: str | None
    last_used_agent: str | None
    version: int


class NewToken(Token, frozen=True, kw_only=True):
    """A token just made, with its text, which is shown this once."""

    token: str


class TokenPage(msgspec.Struct, frozen=True):
    """A page of tokens; `next` is the `after` of the following page."""

    tokens: list[Token]
    next: str | None


class DeletedToken(msgspec.Struct, frozen=True):
    """A deleted token's receipt."""

    id: str
    deleted_at: str
    receipt: ReceiptShape


async def create_token(door: Door, request: HttpRequest) -> Response:
    """Make a token; its text is in this answer only."""
    spec = await read_body(request, TokenSpec)
    now = door.clock()
    token, issued, _ = await run_in_threadpool(
        tokens.create,
        door.store,
        door.engine.policy,
        caller(request),
        spec,
        now=now,
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    if issued is None:
        return json_answer(await _seen(door, token), version=token.version, replayed=True)
    told = _fields(token, now, None) | {"token": issued.secret.reveal()}
    shown = msgspec.convert(told, NewToken)
    return json_answer(shown, status=201, location=f"{_PATH}/{token.id}", version=token.version)


async def list_tokens(door: Door, request: HttpRequest) -> Response:
    """Page through one's own tokens."""
    query = read_query(request.query_params.multi_items(), tokens.LISTING)
    now = door.clock()
    found, following = await run_in_threadpool(
        tokens.listed, door.store, door.engine.policy, caller(request), query, now=now
    )
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    shown = [msgspec.convert(_fields(one, now, uses.get(one.id)), Token) for one in found]
    return json_answer(TokenPage(tokens=shown, next=following))


async def show_token(door: Door, request: HttpRequest) -> Response:
    """Show one of one's own tokens."""
    token_id = request.path_params["token_id"]
    token = await run_in_threadpool(
        tokens.shown, door.store, door.engine.policy, caller(request), token_id
    )
    return json_answer(await _seen(door, token), version=token.version)


async def delete_token(door: Door, request: HttpRequest) -> Response:
    """Delete one of one's own tokens and wait for the receipt."""
    token_id, match = request.path_params["token_id"], read_match(request)
    token, n = await run_in_threadpool(
        tokens.delete, door.store, door.engine.policy, caller(request), token_id, match=match
    )
    shown = DeletedToken(
        id=token.id,
        deleted_at=rfc3339(token.revoked_at or door.clock()),
        receipt=await receipt(door, n),
    )
    return json_answer(shown)


async def _seen(door: Door, token: StoredToken) -> Token:
    uses = await run_in_threadpool(door.usage.last_uses, [token.id])
    return msgspec.convert(_fields(token, door.clock(), uses.get(token.id)), Token)


def _fields(token: StoredToken, now: float, use: LastUse | None) -> dict[str, Any]:
    told = msgspec.structs.asdict(token)
    del told["revoked_at"]
    return told | {
        "state": "active" if now < token.expires_at else "expired",
        "created_at": rfc3339(token.created_at),
        "expires_at": rfc3339(token.expires_at),
        "last_used_at": rfc3339(use.at) if use is not None else None,
        "last_used_from": use.address if use is not None else None,
        "last_used_agent": use.agent if use is not None else None,
    }


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_token,
        "Make an API token for oneself",
        "own:tokens.write",
        body=TokenSpec,
        answer=NewToken,
        status=201,
        replay=Token,
        refusals=(404, 413, 415),
    ),
    Operation(
        "GET",
        _PATH,
        list_tokens,
        "List the own API tokens, oldest first",
        "own:tokens.read",
        answer=TokenPage,
        listing=tokens.LISTING,
        refusals=(404, 422),
    ),
    Operation(
        "GET",
        f"{_PATH}/{{token_id}}",
        show_token,
        "Show one of the own API tokens",
        "own:tokens.read",
        answer=Token,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        f"{_PATH}/{{token_id}}",
        delete_token,
        "Delete one of the own API tokens at once, with a receipt",
        "own:tokens.write",
        answer=DeletedToken,
        conditional=True,
        refusals=(404,),
    ),
)
