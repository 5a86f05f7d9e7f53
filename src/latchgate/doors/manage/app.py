"""The routes of `/manage/v1` and of health, and the ASGI application that holds them.

Rule of this folder: the gate decides who may come in, from the same policy as everything else;
a handler reads a strict body, calls one function of `manage`, and words what it returns. One file a
noun, with its rows of the table of routes. Changes run in worker threads; waiting for receipts
holds none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from latchgate.core.policy_faults import PolicyError
from latchgate.doors.manage import (
    access_keys,
    access_log,
    account,
    alerts,
    applications,
    audit,
    authenticators,
    basic,
    consents,
    decisions,
    developers,
    export,
    feed,
    health,
    imports,
    keys,
    leaks,
    lifetimes,
    links,
    metrics,
    narrowing,
    oauth_clients,
    passwords,
    policy,
    projects,
    receipts,
    roles,
    rotation,
    shadows,
    shapes,
    status,
    storage,
    tenants,
    tokens,
    usage,
    users,
    webhooks,
    workloads,
)
from latchgate.doors.manage.answers import fault, http_error, invalid, problem, refused
from latchgate.doors.manage.door import Door
from latchgate.doors.manage.examples import EXAMPLES
from latchgate.doors.manage.openapi import Operation, document
from latchgate.doors.manage.reading import NO_WAIT, prefers_no_wait
from latchgate.manage.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StaleError,
    TooManyError,
    UnprovenError,
)
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError, UnstorableError
from latchgate.verify.receipt import ReceiptError

_log = logging.getLogger(__name__)
_Run = Callable[[HttpRequest], Awaitable[Response]]


def application(door: Door) -> Starlette:
    """Return the ASGI application of the routes, which stands behind the gate."""
    by_path: dict[str, dict[str, _Run]] = {}
    for one in OPERATIONS:
        by_path.setdefault(one.path, {})[one.method] = _answered(door, one)
    # One route a path, so that a 405 names every method the path takes.
    routes = [
        Route(path, _dispatch(handlers), methods=list(handlers))
        for path, handlers in by_path.items()
    ]
    inner = Starlette(
        routes=routes,
        exception_handlers={HTTPException: http_error, Exception: fault},
    )
    # A redirect would be made from the Host header, which is whatever the client says.
    inner.router.redirect_slashes = False

    return inner


def _answered(door: Door, operation: Operation) -> _Run:
    async def run(request: HttpRequest) -> Response:
        try:
            return await _handled(door, operation, request)
        except (InvalidError, PolicyError) as error:
            return invalid(error)
        except ForbiddenError as error:
            return problem(403, "forbidden", str(error))
        except NotFoundError as error:
            return problem(404, "not_found", str(error))
        except (StaleError, UnprovenError, TooManyError) as error:
            return refused(error)
        except UnstorableError as error:
            return problem(422, "invalid", f"The request holds what can't be taken: {error}.")
        except ConflictError as error:
            return problem(409, "conflict", error.detail)
        except StoreError as error:
            return _unavailable(error)

    return run


async def _handled(door: Door, operation: Operation, request: HttpRequest) -> Response:
    impatient = request.method not in {"GET", "HEAD"} and prefers_no_wait(request)
    handler = operation.handler
    answered: Response = await handler(door.impatient() if impatient else door, request)
    if impatient:
        answered.headers["Preference-Applied"] = NO_WAIT
    return answered


def _unavailable(error: StoreError) -> Response:
    if isinstance(error, OutcomeUnknownError):
        _log.exception("a commit failed")
        detail = "The commit failed; look whether the change happened before you repeat it."
        return problem(503, "outcome_unknown", detail)
    if isinstance(error, ReceiptError):
        _log.exception("a receipt could not be given")
        detail = f"It was done, but {error}: ask for the receipt of that change."
        return problem(503, "receipt_unknown", detail)
    _log.exception("the store failed")
    return problem(503, "service_unavailable", "The database could not be used.")


def _dispatch(handlers: Mapping[str, _Run]) -> _Run:
    async def run(request: HttpRequest) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return run


async def openapi(_door: Door, _request: HttpRequest) -> Response:
    """Answer the OpenAPI document."""
    return Response(_DOCUMENT, media_type="application/json")


OPERATIONS = (
    *account.OPERATIONS,
    *tenants.OPERATIONS,
    *users.OPERATIONS,
    *storage.OPERATIONS,
    *links.OPERATIONS,
    *projects.OPERATIONS,
    *roles.OPERATIONS,
    *keys.OPERATIONS,
    *rotation.OPERATIONS,
    *narrowing.OPERATIONS,
    *alerts.OPERATIONS,
    *basic.OPERATIONS,
    *passwords.OPERATIONS,
    *authenticators.OPERATIONS,
    *tokens.OPERATIONS,
    *access_keys.OPERATIONS,
    *lifetimes.OPERATIONS,
    *webhooks.OPERATIONS,
    *applications.OPERATIONS,
    *developers.OPERATIONS,
    *oauth_clients.OPERATIONS,
    *consents.OPERATIONS,
    *workloads.OPERATIONS,
    *policy.OPERATIONS,
    *decisions.OPERATIONS,
    *audit.OPERATIONS,
    *leaks.OPERATIONS,
    *imports.OPERATIONS,
    *export.OPERATIONS,
    *shadows.OPERATIONS,
    *usage.OPERATIONS,
    *access_log.OPERATIONS,
    *feed.OPERATIONS,
    Operation("GET", "/manage/v1/openapi.json", openapi, "This document", None, answer=None),
    *health.OPERATIONS,
    *metrics.OPERATIONS,
    *status.OPERATIONS,
    *receipts.OPERATIONS,
)
# The paths that these routes are below.
BELOW = ("/manage/v1", "/healthz", "/readyz", "/metrics")
_DOCUMENT = document(OPERATIONS, shapes.Problem, EXAMPLES)
