"""Requests for applications, which anybody may send, and what their developers do afterwards.

Rule of this file: its area is public, so each handler but the first proves by the developer's
token who asks, and the first is throttled.
"""

from __future__ import annotations

import math
import re

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import maybe_rfc3339, rfc3339
from latchgate.doors.manage.answers import json_answer
from latchgate.doors.manage.applications import Application, application_shape
from latchgate.doors.manage.door import Door, receipt
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body
from latchgate.doors.manage.shapes import ReceiptShape
from latchgate.manage import applications, developers
from latchgate.manage.application_keys import StoredApplicationKey
from latchgate.manage.applications import ApplicationSpec, StoredApplication
from latchgate.manage.developers import Proof, Reissue, Target
from latchgate.manage.errors import InvalidError, TooManyError
from latchgate.manage.rotation_terms import read_grace

_PATH = "/manage/v1/application-requests"
_ONE = f"{_PATH}/{{application_id}}"
_BEARER = re.compile(r"bearer +([!-~]{1,256})", re.IGNORECASE)


class NewApplication(msgspec.Struct, frozen=True):
    """A request just made, and its developer's token, which is shown this once."""

    application: Application
    developer_token: str


class ApplicationKeyShape(msgspec.Struct, frozen=True):
    """A key of an application; never its text. `user_id` null: it serves every user.

    One that was replaced works until `expires_at`.
    """

    id: str
    user_id: str | None
    created_at: str
    expires_at: str | None
    superseded_by: str | None


class OwnApplication(msgspec.Struct, frozen=True):
    """An application as its developer sees it: its keys, and for whom it was withdrawn."""

    application: Application
    keys: list[ApplicationKeyShape]
    withdrawn_for: list[str]


class NewApplicationKey(ApplicationKeyShape, frozen=True, kw_only=True):
    """A key just issued, with its text, which is shown this once, and who follows."""

    api_key: str
    receipt: ReceiptShape


class WithdrawnApplication(msgspec.Struct, frozen=True):
    """An application withdrawn for everybody, or for one user, and who follows."""

    application_id: str
    user_id: str | None
    receipt: ReceiptShape


async def request_application(door: Door, request: HttpRequest) -> Response:
    """Ask for an application; the developer's token is in this answer only."""
    client = request.scope["latchgate.client"]
    spec = await read_body(request, ApplicationSpec)
    wait = door.requests.take(client, door.ticks())
    if wait:
        raise TooManyError(
            "too many requests of late from your address", retry_after=math.ceil(wait)
        )
    made, token = await run_in_threadpool(
        applications.request,
        door.store,
        spec,
        address=str(client) if client is not None else None,
        entropy=door.entropy,
    )
    shown = NewApplication(application_shape(made), token.reveal())
    return json_answer(shown, status=201, location=f"{_PATH}/{made.id}", version=made.version)


async def show_own_application(door: Door, request: HttpRequest) -> Response:
    """Show an application to its developer."""
    found = await run_in_threadpool(
        developers.standing, door.store, door.engine.policy, _proof(request), now=door.clock()
    )
    shown = OwnApplication(
        _told(found.application),
        [_key(one) for one in found.keys],
        found.withdrawn_for,
    )
    return json_answer(shown, version=found.application.version)


async def issue_application_key(door: Door, request: HttpRequest) -> Response:
    """Pick up the key of an approved application."""
    target = await read_body(request, Target)
    return await _issue(door, request, target.user_id, replace=None)


async def reissue_application_key(door: Door, request: HttpRequest) -> Response:
    """Replace the key of an application, at once or after a grace."""
    asked = await read_body(request, Reissue)
    faults: list[tuple[str, str]] = []
    grace = read_grace(asked.grace, faults) if asked.grace is not None else 0
    if faults or grace is None:
        raise InvalidError(faults)
    return await _issue(door, request, asked.user_id, replace=grace)


async def withdraw_application(door: Door, request: HttpRequest) -> Response:
    """Withdraw an application for everybody or for one user."""
    target = await read_body(request, Target)
    found, n = await run_in_threadpool(
        developers.withdraw, door.store, _proof(request), target.user_id
    )
    return json_answer(WithdrawnApplication(found.id, target.user_id, await receipt(door, n)))


async def _issue(
    door: Door, request: HttpRequest, user_id: str | None, *, replace: int | None
) -> Response:
    key, issued, n = await run_in_threadpool(
        developers.issue_key,
        door.store,
        door.engine.policy,
        _proof(request),
        user_id,
        replace=replace,
        entropy=door.entropy,
    )
    shown = NewApplicationKey(
        id=key.id,
        user_id=key.user_id,
        created_at=rfc3339(key.created_at),
        expires_at=None,
        superseded_by=None,
        api_key=issued.secret.reveal(),
        receipt=await receipt(door, n),
    )
    return json_answer(shown, status=201)


def _proof(request: HttpRequest) -> Proof:
    """Read the developer's token; one that is missing or malformed proves nothing."""
    values = request.headers.getlist("authorization")
    found = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    client = request.scope["latchgate.client"]
    return Proof(
        application_id=request.path_params["application_id"],
        token=found[1] if found is not None else "",
        address=str(client) if client is not None else None,
    )


def _told(application: StoredApplication) -> Application:
    # Who of the operator's people decided is nothing to outsiders.
    return application_shape(msgspec.structs.replace(application, decided_by=None))


def _key(key: StoredApplicationKey) -> ApplicationKeyShape:
    ends_at = maybe_rfc3339(key.expires_at)
    return ApplicationKeyShape(
        key.id, key.user_id, rfc3339(key.created_at), ends_at, key.superseded_by
    )


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        request_application,
        "Ask for an application; answers its developer's token",
        None,
        body=ApplicationSpec,
        answer=NewApplication,
        status=201,
        refusals=(413, 415, 422, 429),
    ),
    Operation(
        "GET",
        _ONE,
        show_own_application,
        "Show an application to its developer",
        None,
        answer=OwnApplication,
        refusals=(401,),
    ),
    Operation(
        "POST",
        f"{_ONE}/keys",
        issue_application_key,
        "Pick up the API key of an approved application, or one for a single user",
        None,
        body=Target,
        answer=NewApplicationKey,
        status=201,
        refusals=(401, 404, 409, 413, 415, 422),
    ),
    Operation(
        "POST",
        f"{_ONE}/keys/reissue",
        reissue_application_key,
        "Replace the API key of an application, at once or after a grace, with a receipt",
        None,
        body=Reissue,
        answer=NewApplicationKey,
        status=201,
        refusals=(401, 404, 409, 413, 415, 422),
    ),
    Operation(
        "POST",
        f"{_ONE}/withdraw",
        withdraw_application,
        "Withdraw an application at once, for everybody or for one user",
        None,
        body=Target,
        answer=WithdrawnApplication,
        refusals=(401, 413, 415, 422),
    ),
)
