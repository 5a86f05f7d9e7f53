"""The journal as a feed for edges: rows of theirs, heartbeats, records, policy by version.

Rule of this file: nothing here is a secret, and nothing is another tenant's (`manage.edges`).
Heartbeats and proofs are transactions of the database; records come from this process's own memory,
which is exact at the position that is read before them (ARCHITECTURE §6 rule 6).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.feed import (
    MAX_KEYS,
    FeedBeat,
    FeedBeaten,
    FeedChanges,
    FeedHead,
    FeedPolicy,
    FeedPosition,
    FeedRecord,
    FeedRecords,
    FeedRecordsThrough,
    FeedRegistered,
    FeedRegistration,
    FeedWanted,
    FeedWantedThrough,
    read_noun,
    spell_records,
)
from latchgate.core.kinds.oauth_token import OauthToken
from latchgate.core.model import Key
from latchgate.doors.manage.answers import json_answer, problem
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_parameters
from latchgate.manage import edges
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.oauth.grants import TOKEN_KIND
from latchgate.store.errors import StoreError

_SCOPE = "verifier:follow"
_BELOW = "/manage/v1/feed"
WAIT_SECONDS = 2.0  # at once: a server that ends waits for those who wait
_CATCH_UP_SECONDS = 1.0
_CATCH_UP_POLL = 0.005
_BESIDE_ROUNDS = 3  # a login's credential, its owner, that one's roles
_NUMBER = re.compile(r"[0-9]{1,15}")
_SECONDS = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,6})?")
_AFTER: dict[str, dict[str, Any]] = {
    "epoch": {"type": "string", "description": "of the place that is known"},
    "position": {"type": "integer", "minimum": 0, "description": "of the place that is known"},
}
_WAIT: dict[str, dict[str, Any]] = {
    "position": {"type": "integer", "minimum": 0, "description": "what is known already"},
    "seconds": {"type": "number", "minimum": 0, "description": "how long to wait for more"},
}
T = TypeVar("T")


async def register_edge(door: Door, request: HttpRequest) -> Response:
    """Add a row for an edge's new memory."""
    asked = await read_body(request, FeedRegistration)
    kind = door.engine.policy.kinds[TOKEN_KIND]
    issuer = kind.issuer if isinstance(kind, OauthToken) else None
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


async def list_edge_changes(door: Door, request: HttpRequest) -> Response:
    """Tell what follows a place, before it is acknowledged."""
    told = read_parameters(request, _AFTER)
    position = _whole(told, "position")
    changes = await run_in_threadpool(
        edges.ahead,
        door.store,
        caller(request),
        request.path_params["incarnation"],
        told.get("epoch", ""),
        position,
    )
    return json_answer(FeedChanges(changes)) if changes is not None else _gone()


async def read_edge_records(door: Door, request: HttpRequest) -> Response:
    """Tell records, and what a decision with them needs besides."""
    asked = await read_body(request, FeedWanted)
    keys = _keys(asked.keys)
    name = request.path_params["incarnation"]
    edge = await run_in_threadpool(edges.found, door.store, caller(request), name)
    if edge is None:
        return _gone()
    number, records = await run_in_threadpool(_read, door, keys, edge.tenants)
    return json_answer(FeedRecords(number, records))


async def prove_edge_records(door: Door, request: HttpRequest) -> Response:
    """Tell records as of a transaction that wrote the edge's row."""
    asked = await read_body(request, FeedWantedThrough)
    keys, name = _keys(asked.keys), request.path_params["incarnation"]
    proof = await run_in_threadpool(
        edges.prove, door.store, caller(request), name, now=door.clock()
    )
    if proof is None:
        return _gone()
    await _catch_up(door, proof.head)
    number, records = await run_in_threadpool(_read, door, keys, proof.edge.tenants)
    told = FeedRecordsThrough(asked.nonce, number, proof.policy_version, records)
    return json_answer(told)


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
    found = await run_in_threadpool(edges.policy, door.store, version)
    if found is None and version:
        raise NotFoundError(f"there is no version {version} of the policy")
    number, files = found if found is not None else (0, "{}")
    headers = {"ETag": f'"{number}"', "Cache-Control": "no-store"}
    known = {one.strip() for one in request.headers.get("if-none-match", "").split(",")}
    if headers["ETag"] in known:
        return Response(None, 304, headers=headers)
    told = FeedPolicy(number, msgspec.json.decode(files, type=dict[str, str]))
    return json_answer(told, version=number)


def _read(door: Door, keys: Iterable[Key], tenants: edges.Tenants) -> tuple[int, list[FeedRecord]]:
    """Read records with what belongs to them, and leave out what is another tenant's.

    The number is that of a moment before they were read: they are as new, or newer.
    """
    door.engine.records(())  # follows the journal first
    number = door.engine.position
    asked = set(keys)
    found = door.engine.records(asked)
    found |= door.engine.records(edges.owners(found.values()) - asked)
    for _ in range(_BESIDE_ROUNDS):
        wanted = edges.beside(found.values()) - set(found)
        if not wanted or len(wanted) > MAX_KEYS:
            break
        found |= door.engine.records(wanted)
    found |= door.engine.records(edges.owners(found.values()) - set(found))
    seen = edges.visible(found, tenants)
    # What was not asked for is told only where it is: nobody learns that it is somebody else's.
    return number, spell_records(
        {key: one for key, one in seen.items() if key in asked or one is not None}
    )


async def _catch_up(door: Door, head: int) -> None:
    """Wait until this process's memory follows the journal to a number."""
    begun = door.ticks()
    while door.engine.position < head:
        if door.ticks() - begun > _CATCH_UP_SECONDS:
            raise StoreError("this process does not follow the journal; ask again")
        await asyncio.sleep(_CATCH_UP_POLL)
        await run_in_threadpool(door.engine.follow)


def _keys(told: list[tuple[str, str]]) -> list[Key]:
    keys: list[Key] = []
    for index, (noun, record_id) in enumerate(told):
        try:
            keys.append((read_noun(noun), record_id))
        except ValueError as error:
            raise InvalidError([(f"keys[{index}]", str(error))]) from error
    return keys


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
        "GET",
        f"{_EDGE}/changes",
        list_edge_changes,
        "Read on before that is acknowledged",
        _SCOPE,
        answer=FeedChanges,
        parameters=_AFTER,
        refusals=(410, 422),
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
