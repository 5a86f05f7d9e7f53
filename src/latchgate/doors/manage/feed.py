"""The journal as a feed for edges: rows of theirs, heartbeats, records, policy by version.

Rule of this file: nothing here is a secret, and nothing is another tenant's (`manage.edges`). Every
answer but the hint of `wait` is of one transaction of the database, and of no memory of this
process: so it is never older than its question.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.feed import (
    FeedBeat,
    FeedBeaten,
    FeedHead,
    FeedPolicy,
    FeedPosition,
    FeedRecords,
    FeedRecordsThrough,
    FeedRegistered,
    FeedRegistration,
    FeedWanted,
    FeedWantedThrough,
)
from latchgate.core.kinds.oauth_token import OauthToken
from latchgate.doors.manage.answers import json_answer, problem
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_parameters
from latchgate.manage import edges
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.oauth.grants import TOKEN_KIND
from latchgate.store.source import KNOWN_SECONDS

_SCOPE = "verifier:follow"
_BELOW = "/manage/v1/feed"
WAIT_SECONDS = 2.0  # at once: a server that ends waits for those who wait
_NUMBER = re.compile(r"[0-9]{1,15}")
_SECONDS = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,6})?")
_WAIT: dict[str, dict[str, Any]] = {
    "position": {"type": "integer", "minimum": 0, "description": "what is known already"},
    "seconds": {"type": "number", "minimum": 0, "description": "how long to wait for more"},
}


async def register_edge(door: Door, request: HttpRequest) -> Response:
    """Add a row for an edge's new memory."""
    asked = await read_body(request, FeedRegistration)
    kind = door.engine.policy.kinds[TOKEN_KIND]
    issuer = kind.issuer if isinstance(kind, OauthToken) else None
    if await run_in_threadpool(edges.promise, door.store, caller(request), asked):
        await asyncio.sleep(KNOWN_SECONDS)
    made = await run_in_threadpool(
        edges.register, door.store, caller(request), asked, issuer=issuer, now=door.clock()
    )
    return json_answer(made, status=201)


async def beat_edge(door: Door, request: HttpRequest) -> Response:
    """Acknowledge where an edge is, and tell what follows."""
    asked = await read_body(request, FeedBeat)
    name = request.path_params["incarnation"]
    told = await run_in_threadpool(
        edges.beat, door.store, caller(request), name, asked, now=door.clock()
    )
    return json_answer(told) if told is not None else _gone()


async def read_edge_records(door: Door, request: HttpRequest) -> Response:
    """Tell records, and what a decision with them needs besides."""
    asked = await read_body(request, FeedWanted)
    name, keys = request.path_params["incarnation"], edges.keys_of(asked.keys)
    told = await run_in_threadpool(edges.records, door.store, caller(request), name, keys)
    return json_answer(told) if told is not None else _gone()


async def prove_edge_records(door: Door, request: HttpRequest) -> Response:
    """Tell records as of a transaction that wrote the edge's row."""
    asked = await read_body(request, FeedWantedThrough)
    edges.keys_of(asked.keys)  # before anything is written
    name = request.path_params["incarnation"]
    told = await run_in_threadpool(
        edges.prove, door.store, caller(request), name, asked, now=door.clock()
    )
    return json_answer(told) if told is not None else _gone()


async def show_feed_policy(door: Door, request: HttpRequest) -> Response:
    """Show the newest policy."""
    return await _policy(door, request, None)


async def show_feed_policy_version(door: Door, request: HttpRequest) -> Response:
    """Show a version of the policy."""
    text = request.path_params["version"]
    if not _NUMBER.fullmatch(text):
        raise NotFoundError("a version of the policy is a whole number")
    return await _policy(door, request, int(text))


async def wait_for_changes(door: Door, request: HttpRequest) -> Response:
    """Wait until there may be something new."""
    told = read_parameters(request, _WAIT)
    text = told.get("seconds", "0")
    if not _SECONDS.fullmatch(text):
        raise InvalidError([("seconds", "must be seconds, such as 1.5")])
    seconds = min(float(text), WAIT_SECONDS)
    return json_answer(FeedPosition(await door.news.after(_whole(told, "position"), seconds)))


async def show_feed_head(door: Door, request: HttpRequest) -> Response:
    """Show the journal's head number."""
    read_parameters(request, {})
    return json_answer(FeedHead(await run_in_threadpool(edges.head, door.store)))


async def leave_edge(door: Door, request: HttpRequest) -> Response:
    """Delete an edge's row; one that is not there is as good as deleted."""
    name = request.path_params["incarnation"]
    await run_in_threadpool(edges.leave, door.store, caller(request), name)
    return Response(None, 204, headers={"Cache-Control": "no-store"})


async def _policy(door: Door, request: HttpRequest, version: int | None) -> Response:
    told = await run_in_threadpool(edges.policy, door.store, version)
    if told is None:
        raise NotFoundError(f"there is no version {version} of the policy")
    headers = {"ETag": f'"{told.version}"', "Cache-Control": "no-store"}
    known = {one.strip() for one in request.headers.get("if-none-match", "").split(",")}
    if headers["ETag"] in known:
        return Response(None, 304, headers=headers)
    return json_answer(told, version=told.version)


def _whole(told: dict[str, str], name: str) -> int:
    text = told.get(name, "")
    if not _NUMBER.fullmatch(text):
        raise InvalidError([(name, "must be a whole number")])
    return int(text)


def _gone() -> Response:
    detail = "No live edge of this credential has that name or place; register a new memory."
    return problem(410, "not_live", detail)


_EDGE = f"{_BELOW}/edges/{{incarnation}}"
_READING = (400, 410, 413, 415, 422)
OPERATIONS = (
    Operation(
        "POST",
        f"{_BELOW}/edges",
        register_edge,
        "Begin to follow the journal as an edge",
        _SCOPE,
        answer=FeedRegistered,
        body=FeedRegistration,
        status=201,
        refusals=(400, 409, 413, 415, 422),
    ),
    Operation(
        "POST",
        f"{_EDGE}/beat",
        beat_edge,
        "Acknowledge changes, and read on",
        _SCOPE,
        answer=FeedBeaten,
        body=FeedBeat,
        refusals=_READING,
    ),
    Operation(
        "POST",
        f"{_EDGE}/records",
        read_edge_records,
        "Read records",
        _SCOPE,
        answer=FeedRecords,
        body=FeedWanted,
        refusals=_READING,
    ),
    Operation(
        "POST",
        f"{_EDGE}/proof",
        prove_edge_records,
        "Read records with proof that the database answers",
        _SCOPE,
        answer=FeedRecordsThrough,
        body=FeedWantedThrough,
        refusals=_READING,
    ),
    Operation(
        "DELETE",
        _EDGE,
        leave_edge,
        "End an edge, which decides nothing any more",
        _SCOPE,
        answer=None,
        status=204,
    ),
    Operation(
        "GET",
        f"{_BELOW}/wait",
        wait_for_changes,
        "Wait until there may be changes",
        _SCOPE,
        answer=FeedPosition,
        parameters=_WAIT,
        refusals=(422,),
    ),
    Operation(
        "GET",
        f"{_BELOW}/head",
        show_feed_head,
        "Show the number of the last change",
        _SCOPE,
        answer=FeedHead,
        refusals=(422,),
    ),
    Operation(
        "GET",
        f"{_BELOW}/policy",
        show_feed_policy,
        "Show the newest policy",
        _SCOPE,
        answer=FeedPolicy,
    ),
    Operation(
        "GET",
        f"{_BELOW}/policy/{{version}}",
        show_feed_policy_version,
        "Show a version of the policy",
        _SCOPE,
        answer=FeedPolicy,
        refusals=(404,),
    ),
)
