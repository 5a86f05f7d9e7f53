"""The routes of `/1.3`, and the ASGI application that holds them behind the gate.

Rule of this folder: the gate decides who may come in; a handler reads a strict body, calls one
function of `manage`, waits until every verifier follows, and words what it returns. One file a
noun. Source: providers/upcloud; formats as recorded in its API.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from latchgate.core.answer import notices
from latchgate.core.dialects.upcloud import ulid
from latchgate.core.model import Decision
from latchgate.doors.door import Door
from latchgate.doors.upcloud import account, permissions, subaccounts, tokens
from latchgate.doors.upcloud.call import Call
from latchgate.doors.upcloud.wire import WireError, check_accept, error_answer
from latchgate.manage.accounts import NotMainError
from latchgate.manage.errors import (
    ForbiddenError,
    InvalidError,
    ManageError,
    NotFoundError,
    TooManyError,
)
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError, UnstorableError

BELOW = ("/1.3",)
CALLS: tuple[Call, ...] = (
    *account.CALLS,
    *tokens.CALLS,
    *subaccounts.CALLS,
    *permissions.CALLS,
)
# RFC 9745: since when Basic is deprecated here; the provider's document discourages it and sets
# no day, so it is the day that this document was read.
DEPRECATED_AT = 1_795_219_200  # 2026-11-21
_PROBLEMS = "/1.3/account/tokens"  # these endpoints answer with problem documents
_ULID_BYTES = 10
_log = logging.getLogger(__name__)
_Run = Callable[[HttpRequest], Awaitable[Response]]
# What the provider calls these fields' errors; others are named after the field.
_FIELDS = {
    "user": "USER_INVALID",
    "username": "INVALID_USERNAME",
    "target_type": "TARGET_TYPE_INVALID",
    "target_identifier": "TARGET_IDENTIFIER_INVALID",
}
_OWN = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "REQUEST_TOO_LARGE"}
_WORDS = {
    404: "The requested resource was not found.",
    405: "The method is not allowed for this resource.",
}


def application(door: Door) -> Starlette:
    """Return the ASGI application of the routes, which stands behind the gate."""
    by_path: dict[str, dict[str, _Run]] = {}
    for one in CALLS:
        by_path.setdefault(one.path, {})[one.method] = _answered(door, one)
    # One route a path, so that a 405 names every method the path takes.
    routes = [
        Route(path, _dispatch(door, handlers), methods=list(handlers))
        for path, handlers in by_path.items()
    ]

    async def http_error(request: HttpRequest, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
        status = error.status_code
        code = _OWN.get(status, "REQUEST_INVALID")
        told = WireError(status, code, _WORDS.get(status, error.detail), error.headers)
        return _marked(door, request, _worded(door, request, told))

    async def fault(request: HttpRequest, error: Exception) -> Response:
        _log.error("a request to UpCloud's API failed", exc_info=error)
        told = WireError(500, "INTERNAL_ERROR", "Latchgate failed; its log says why.")
        return _worded(door, request, told)

    inner = Starlette(
        routes=routes, exception_handlers={HTTPException: http_error, Exception: fault}
    )
    # A redirect would be made from the Host header, which is whatever the client says.
    inner.router.redirect_slashes = False
    return inner


def _dispatch(door: Door, handlers: Mapping[str, _Run]) -> _Run:
    async def run(request: HttpRequest) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return _marked(door, request, await handlers[method](request))

    return run


def _marked(door: Door, request: HttpRequest, response: Response) -> Response:
    """Say on answers to Basic that it is deprecated (RFC 9745).

    Once alone, or nobody can read it: of what was rotated the gate says it, with its end.
    """
    decision: Decision = request.scope["latchgate.decision"]
    if decision.grant is not None and not notices(decision):
        kind = door.engine.policy.kinds.get(decision.grant.credential.kind)
        if kind is not None and kind.scheme == "Basic":
            response.headers["Deprecation"] = f"@{DEPRECATED_AT}"
    return response


def _answered(door: Door, call: Call) -> _Run:
    async def run(request: HttpRequest) -> Response:
        try:
            check_accept(request)
            return await call.handler(door, request)
        except WireError as error:
            return _worded(door, request, error)
        except InvalidError as error:
            return _invalid(door, request, error)
        except ManageError as error:
            return _worded(door, request, _refusal(call, error))
        except UnstorableError as error:
            words = f"The request holds what can't be taken: {error}."
            return _worded(door, request, WireError(400, "REQUEST_INVALID", words))
        except ConflictError as error:
            return _worded(door, request, WireError(409, call.taken, error.detail))
        except OutcomeUnknownError:
            _log.exception("a commit failed")
            words = "The commit failed; look whether the change happened before you repeat it."
            return _worded(door, request, WireError(503, "OUTCOME_UNKNOWN", words))
        except StoreError:
            _log.exception("the store failed")
            words = "The service is temporarily unavailable."
            return _worded(door, request, WireError(503, "SERVICE_UNAVAILABLE", words))

    return run


def _refusal(call: Call, error: ManageError) -> WireError:
    text = _sentence(str(error))
    if isinstance(error, NotFoundError):
        return WireError(404, call.missing, text)
    if isinstance(error, NotMainError):
        return WireError(403, "ACCOUNT_FORBIDDEN", text)
    if isinstance(error, ForbiddenError):
        return WireError(403, "ACTION_FORBIDDEN", text)
    if isinstance(error, TooManyError):
        wait = {"Retry-After": str(error.retry_after)}
        return WireError(429, "TOO_MANY_REQUESTS", text, wait)
    raise error


def _invalid(door: Door, request: HttpRequest, error: InvalidError) -> Response:
    """Word what can't be taken: every field of it, and in the older shape the first one's code."""
    params = [{"name": field, "reason": _sentence(why)} for field, why in error.faults]
    if _is_problem(request):
        told = WireError(400, "INVALID_REQUEST", "Validation error.")
        return _worded(door, request, told, params)
    field, why = error.faults[0]
    last = field.rpartition(".")[2].partition("[")[0]
    code = _FIELDS.get(last, f"{last.upper()}_INVALID")
    if "unknown field" in why:
        code = "UNKNOWN_ATTRIBUTE"
    elif "missing required field" in why:
        code = f"{last.upper()}_MISSING"
    elif field == "body" or not last.isidentifier():
        code = "REQUEST_INVALID"
    text = " ".join(f"{one['name']}: {one['reason']}" for one in params)
    return _worded(door, request, WireError(400, code, text))


def _worded(
    door: Door,
    request: HttpRequest,
    error: WireError,
    params: list[dict[str, str]] | None = None,
) -> Response:
    if not _is_problem(request):
        return error_answer(request, error, problem=None)
    drawn = int.from_bytes(door.entropy(_ULID_BYTES), "big")
    problem = ulid(int(door.clock() * 1000), drawn)
    # These endpoints name what is not there differently.
    if error.code == "NOT_FOUND":
        error = WireError(error.status, "RESOURCE_NOT_FOUND", error.text, error.headers)
    return error_answer(request, error, problem=problem, params=params)


def _is_problem(request: HttpRequest) -> bool:
    path: str = request.scope["path"]
    return path == _PROBLEMS or path.startswith(f"{_PROBLEMS}/")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
