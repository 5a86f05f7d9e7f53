"""Applications: the operator's review, and what users block for themselves."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.door import Door, caller, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import applications, blocks, published_key
from latchgate.manage.applications import Developer, Review, StoredApplication, Verb
from latchgate.manage.published_key import PublishedKeySpec

_PATH = "/manage/v1/applications"
_OWN = "/manage/v1/account/applications"


class Application(msgspec.Struct, frozen=True):
    """An application as the operator sees it; `reason` is that of the last decision."""

    id: str
    name: str
    vendor: str
    contact: str
    purpose: str
    developer: Developer
    state: Literal["requested", "approved", "refused", "suspended", "withdrawn"]
    reason: str
    created_at: str
    decided_at: str | None
    decided_by: str | None
    version: int


class ApplicationPage(msgspec.Struct, frozen=True):
    """A page of applications; `next` is the `after` of the following page."""

    applications: list[Application]
    next: str | None


class DecidedApplication(Application, frozen=True, kw_only=True):
    """An application with the decision just made, and who follows it."""

    receipt: ReceiptShape


class Block(msgspec.Struct, frozen=True):
    """An application that may not act for the caller: by their wish, or its developer's."""

    application_id: str
    name: str
    vendor: str
    blocked_by: list[Literal["user", "developer"]]
    at: str


class PublishedApplicationKey(msgspec.Struct, frozen=True):
    """A published key: its public id, its application, whose users may ask with it, who follows."""

    id: str
    application_id: str
    tenants: list[str]
    receipt: ReceiptShape


class BlockList(msgspec.Struct, frozen=True):
    """Every application that may not act for the caller."""

    applications: list[Block]


class Blocked(msgspec.Struct, frozen=True):
    """Whether an application may act for the caller now, and who follows.

    After unblocking it still may not where its developer withdrew it for them.
    """

    application_id: str
    blocked: bool
    receipt: ReceiptShape


async def list_applications(door: Door, request: HttpRequest) -> Response:
    """Page through applications and requests for them."""
    query = read_query(request.query_params.multi_items(), applications.LISTING)
    found, following = await run_in_threadpool(
        applications.listed, door.store, query, now=door.clock()
    )
    shown = [application_shape(one) for one in found]
    return json_answer(ApplicationPage(applications=shown, next=following))


async def show_application(door: Door, request: HttpRequest) -> Response:
    """Show one application."""
    application_id = request.path_params["application_id"]
    found = await run_in_threadpool(applications.shown, door.store, application_id)
    return json_answer(application_shape(found), version=found.version)


async def approve_application(door: Door, request: HttpRequest) -> Response:
    """Approve a request; its developer may pick up the key then."""
    return await _decide(door, request, Verb.APPROVE)


async def refuse_application(door: Door, request: HttpRequest) -> Response:
    """Refuse a request."""
    return await _decide(door, request, Verb.REFUSE)


async def suspend_application(door: Door, request: HttpRequest) -> Response:
    """Suspend an application for everybody."""
    return await _decide(door, request, Verb.SUSPEND)


async def reinstate_application(door: Door, request: HttpRequest) -> Response:
    """Let a suspended application act again."""
    return await _decide(door, request, Verb.REINSTATE)


async def _decide(door: Door, request: HttpRequest, verb: Verb) -> Response:
    application_id, match = request.path_params["application_id"], read_match(request)
    review = await read_body(request, Review)
    found, n = await run_in_threadpool(
        applications.decide,
        door.store,
        caller(request),
        application_id,
        verb,
        review.reason,
        match=match,
    )
    told = _fields(found) | {"receipt": await receipt(door, n)}
    return json_answer(msgspec.convert(told, DecidedApplication), version=found.version)


async def set_test_key(door: Door, request: HttpRequest) -> Response:
    """Let the users of some tenants ask with a key that everybody knows."""
    spec = await read_body(request, PublishedKeySpec)
    found, n = await run_in_threadpool(
        published_key.set_published_key, door.store, door.engine.policy, caller(request), spec
    )
    told = msgspec.structs.asdict(found) | {"receipt": await receipt(door, n)}
    return json_answer(msgspec.convert(told, PublishedApplicationKey))


async def list_own_blocks(door: Door, request: HttpRequest) -> Response:
    """List the applications that may not act for oneself."""
    found = await run_in_threadpool(blocks.listed, door.store, caller(request))
    told = [msgspec.structs.asdict(one) | {"at": rfc3339(one.at)} for one in found]
    return json_answer(BlockList(applications=[msgspec.convert(one, Block) for one in told]))


async def block_application(door: Door, request: HttpRequest) -> Response:
    """Keep an application from acting for oneself."""
    application_id = request.path_params["application_id"]
    n = await run_in_threadpool(blocks.block, door.store, caller(request), application_id)
    return json_answer(Blocked(application_id, blocked=True, receipt=await receipt(door, n)))


async def unblock_application(door: Door, request: HttpRequest) -> Response:
    """Let an application act for oneself again."""
    application_id = request.path_params["application_id"]
    still, n = await run_in_threadpool(blocks.unblock, door.store, caller(request), application_id)
    return json_answer(Blocked(application_id, blocked=still, receipt=await receipt(door, n)))


def application_shape(found: StoredApplication) -> Application:
    """Show a stored application."""
    return msgspec.convert(_fields(found), Application)


def _fields(found: StoredApplication) -> dict[str, Any]:
    at = found.decided_at
    return msgspec.structs.asdict(found) | {
        "created_at": rfc3339(found.created_at),
        "decided_at": rfc3339(at) if at is not None else None,
    }


def _decision(handler: Any, verb: Verb, words: str) -> Operation:  # noqa: ANN401 - as Operation's
    return Operation(
        "POST",
        f"{_PATH}/{{application_id}}/{verb}",
        handler,
        words,
        "operator:applications.write",
        body=Review,
        answer=DecidedApplication,
        conditional=True,
        refusals=(404, 409, 413, 415, 422),
    )


OPERATIONS = (
    Operation(
        "GET",
        _PATH,
        list_applications,
        "List applications, oldest first",
        "operator:applications.read",
        answer=ApplicationPage,
        listing=applications.LISTING,
        refusals=(422,),
    ),
    Operation(
        "GET",
        f"{_PATH}/{{application_id}}",
        show_application,
        "Show an application",
        "operator:applications.read",
        answer=Application,
        refusals=(404,),
    ),
    _decision(approve_application, Verb.APPROVE, "Approve a request, with a reason"),
    _decision(refuse_application, Verb.REFUSE, "Refuse a request, with a reason"),
    _decision(suspend_application, Verb.SUSPEND, "Suspend an application for everybody at once"),
    _decision(reinstate_application, Verb.REINSTATE, "Lift a suspension"),
    Operation(
        "PUT",
        f"{_PATH}/test-key",
        set_test_key,
        "Let the users of some tenants ask with a published key, with a receipt",
        "operator:applications.write",
        body=PublishedKeySpec,
        answer=PublishedApplicationKey,
        refusals=(404, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        _OWN,
        list_own_blocks,
        "List the applications that may not act for oneself",
        "own:applications.read",
        answer=BlockList,
    ),
    Operation(
        "PUT",
        f"{_OWN}/{{application_id}}/block",
        block_application,
        "Block an application for oneself at once, with a receipt",
        "own:applications.write",
        answer=Blocked,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        f"{_OWN}/{{application_id}}/block",
        unblock_application,
        "Lift the own block of an application",
        "own:applications.write",
        answer=Blocked,
        refusals=(404,),
    ),
)
