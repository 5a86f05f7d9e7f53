"""What goes out: JSON that no cache keeps, and errors of the provider's two members.

Rule of this file: 401 and 403 are exactly what the document shows, whatever the cause; everything
else says which field or record it is about. Source: providers/wayscloud, "Authentication Errors".
"""

from __future__ import annotations

import logging

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.dialects import Public
from latchgate.core.dialects.table import TABLE
from latchgate.core.dialects.wayscloud import render
from latchgate.core.reason import Reason
from latchgate.manage.errors import ForbiddenError, InvalidError, ManageError, NotFoundError
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError, UnstorableError

_log = logging.getLogger(__name__)
_FORBIDDEN = TABLE[Reason.SCOPE_NOT_GRANTED]["wayscloud"]
_DOWN = TABLE[Reason.STORE_UNAVAILABLE]["wayscloud"]
_CODES = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


def json_answer(shape: object, *, status: int = 200, location: str | None = None) -> Response:
    """Answer JSON that no cache may keep."""
    headers = {"Cache-Control": "no-store"}
    if location is not None:
        headers["Location"] = location
    return Response(
        msgspec.json.encode(shape), status, headers=headers, media_type="application/json"
    )


def refused(public: Public, headers: dict[str, str] | None = None) -> Response:
    """Word a refusal as the provider does."""
    reply = render(public, (), "")
    return Response(
        reply.body,
        reply.status,
        headers={**dict(reply.headers), "Cache-Control": "no-store", **(headers or {})},
    )


def worded(error: ManageError | StoreError | ConflictError) -> Response:
    """Word what a change was refused for, or that it failed."""
    if isinstance(error, InvalidError):
        return refused(Public(400, "INVALID_PARAMETER", str(error)))
    if isinstance(error, ForbiddenError):
        return refused(_FORBIDDEN)
    if isinstance(error, NotFoundError):
        # What was asked for may be a whole key, so it is not said again.
        return refused(Public(404, "NOT_FOUND", "API key not found"))
    if isinstance(error, UnstorableError):
        return refused(Public(400, "INVALID_PARAMETER", error.detail))
    if isinstance(error, ConflictError):
        return refused(Public(409, "CONFLICT", error.detail))
    if isinstance(error, OutcomeUnknownError):
        _log.exception("a commit failed")
        text = "The commit failed; look whether the change happened before you repeat it"
        return refused(Public(503, "OUTCOME_UNKNOWN", text))
    _log.exception("the store failed")
    return refused(_DOWN)


async def http_error(_request: HttpRequest, error: Exception) -> Response:
    """Word what the framework refuses: unknown paths, methods, bodies."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = _CODES.get(error.status_code, "INVALID_PARAMETER")
    text = error.detail
    if error.status_code == 404:  # noqa: PLR2004 - the status's own number
        text = TABLE[Reason.NO_AREA]["wayscloud"].text
    headers = dict(error.headers) if error.headers is not None else None
    return refused(Public(error.status_code, code, text), headers)


async def fault(_request: HttpRequest, error: Exception) -> Response:
    """Log a bug, and say only that there was one."""
    _log.error("a request to the dashboard's API failed", exc_info=error)
    return refused(Public(500, "INTERNAL_ERROR", "Internal error"))
