"""One's own API tokens: make, list, show, delete."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.doors.manage.seen import DeletedCredential, all_seen, deleted, seen, told
from latchgate.manage import tokens
from latchgate.manage.states import State
from latchgate.manage.tokens import TokenSpec

_PATH = "/manage/v1/account/tokens"


class Token(msgspec.Struct, frozen=True):
    """An API token as it is shown; never its secret.

    `scopes` null means all that its owner may do, `allowed_ip_ranges` null wherever they may be.
    """

    id: str
    name: str
    hint: str
    state: State
    scopes: list[str] | None
    allowed_ip_ranges: list[str] | None
    can_create_tokens: bool
    parent_id: str | None
    owner_id: str
    project_id: str
    created_at: str
    created_by: str
    expires_at: str
    disabled_at: str | None
    superseded_by: str | None
    superseded_at: str | None
    predecessor_id: str | None
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
        return json_answer(await seen(door, token, Token), version=token.version, replayed=True)
    fields = told(token, now, None) | {"token": issued.secret.reveal()}
    shown = msgspec.convert(fields, NewToken)
    return json_answer(shown, status=201, location=f"{_PATH}/{token.id}", version=token.version)


async def list_tokens(door: Door, request: HttpRequest) -> Response:
    """Page through one's own tokens."""
    query = read_query(request.query_params.multi_items(), tokens.LISTING)
    now = door.clock()
    found, following = await run_in_threadpool(
        tokens.listed, door.store, door.engine.policy, caller(request), query, now=now
    )
    shown = await all_seen(door, found, Token, now)
    return json_answer(TokenPage(tokens=shown, next=following))


async def show_token(door: Door, request: HttpRequest) -> Response:
    """Show one of one's own tokens."""
    token_id = request.path_params["token_id"]
    token = await run_in_threadpool(
        tokens.shown, door.store, door.engine.policy, caller(request), token_id
    )
    return json_answer(await seen(door, token, Token), version=token.version)


async def delete_token(door: Door, request: HttpRequest) -> Response:
    """Delete one of one's own tokens and wait for the receipt."""
    token_id, match = request.path_params["token_id"], read_match(request)
    token, n = await run_in_threadpool(
        tokens.delete, door.store, door.engine.policy, caller(request), token_id, match=match
    )
    return await deleted(door, token, n)


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
        answer=DeletedCredential,
        conditional=True,
        refusals=(404,),
    ),
)
