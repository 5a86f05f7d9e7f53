"""What goes out: JSON that no cache keeps, and problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.policy_faults import PolicyError
from latchgate.core.timestamp import rfc3339
from latchgate.doors.manage import shapes
from latchgate.manage.errors import (
    InvalidError,
    StaleError,
    StepUpError,
    TooManyError,
    UnprovenError,
)

_log = logging.getLogger(__name__)
T = TypeVar("T")


def explanation(told: dict[str, Any]) -> shapes.Explanation:
    """Shape a worded decision."""
    return msgspec.convert(told | {"at": rfc3339(told["at"])}, shapes.Explanation)


def told(record: msgspec.Struct, shape: type[T], **more: Any) -> T:  # noqa: ANN401 - fields
    """Shape a stored record: times become RFC 3339, the rest stays; `more` are further fields."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    for name, value in fields.items():
        if name.endswith("_at") and value is not None:
            fields[name] = rfc3339(value)
    return msgspec.convert(fields | more, shape, from_attributes=True)


def json_answer(
    shape: object,
    *,
    status: int = 200,
    location: str | None = None,
    version: int | None = None,
    replayed: bool = False,
) -> Response:
    """Answer JSON that no cache may keep; `version` is that of the record it shows.

    `replayed` says that a repeat with the same Idempotency-Key made nothing.
    """
    headers = {"Cache-Control": "no-store"}
    if location is not None:
        headers["Location"] = location
    if version is not None:
        headers["ETag"] = f'"{version}"'
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(
        msgspec.json.encode(shape), status, headers=headers, media_type="application/json"
    )


def creation(shape: object, location: str, version: int, *, new: bool) -> Response:
    """Answer a creation: what was made, or, to a repeat of it, the record as it is now."""
    return json_answer(
        shape,
        status=201 if new else 200,
        location=location if new else None,
        version=version,
        replayed=not new,
    )


def problem(
    status: int,
    code: str,
    detail: str,
    errors: list[shapes.FieldFault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer a problem document; `errors` says which fields are at fault."""
    told = shapes.Problem(
        type=f"urn:latchgate:problem:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        errors=errors or [],
    )
    return Response(
        msgspec.json.encode(told),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )


def invalid(error: InvalidError | PolicyError) -> Response:
    """Word what can't be taken, field by field."""
    if isinstance(error, InvalidError):
        faults = [shapes.FieldFault(field, detail) for field, detail in error.faults]
        return problem(422, "invalid", "The request holds what can't be taken.", faults)
    faults = [
        shapes.FieldFault(f"{one.file}:{one.line}", f"{one.key}: {one.problem}")
        for one in error.faults
    ]
    return problem(422, "policy_invalid", "The files make no policy; nothing changed.", faults)


def stale(error: StaleError) -> Response:
    """Say that the record is at another version, and at which."""
    return problem(412, "version_changed", str(error), headers={"ETag": f'"{error.version}"'})


def refused(error: StaleError | UnprovenError | TooManyError) -> Response:
    """Word what takes a header of its own: the version, what to prove, how long to wait."""
    if isinstance(error, StaleError):
        return stale(error)
    if isinstance(error, StepUpError):
        # RFC 9470 §3.
        told = f'Bearer error="insufficient_user_authentication", max_age="{error.max_age}"'
        headers = {"WWW-Authenticate": told}
        return problem(401, "insufficient_user_authentication", str(error), headers=headers)
    if isinstance(error, UnprovenError):
        # Whether the proof was missing or wrong is not told.
        challenge = {"WWW-Authenticate": 'Bearer realm="Latchgate applications"'}
        return problem(401, "authentication_failed", str(error), headers=challenge)
    wait = str(error.retry_after)
    detail = f"{error}; try again in {wait} s."
    return problem(429, "too_many_requests", detail, headers={"Retry-After": wait})


async def http_error(_request: HttpRequest, error: Exception) -> Response:
    """Word what the framework refuses: unknown paths, methods, bodies."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
    headers = dict(error.headers) if error.headers is not None else None
    return problem(
        error.status_code,
        code.get(error.status_code, "request_invalid"),
        error.detail,
        None,
        headers,
    )


async def fault(_request: HttpRequest, error: Exception) -> Response:
    """Log a bug, and say only that there was one."""
    _log.error("a management request failed", exc_info=error)
    return problem(500, "fault", "Latchgate failed; its log says why.")
