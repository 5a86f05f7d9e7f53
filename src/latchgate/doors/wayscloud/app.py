"""The routes of WAYSCloud's dashboard API, and the ASGI application that holds them.

Rule of this folder: the gate decides who may come in, from the provider's policy file; a handler
reads a strict body, calls one function of `manage`, and words what it returns in the provider's
words. Source: providers/wayscloud, "Via API (Programmatic)" and "Managing API Keys".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from latchgate.doors.door import Door
from latchgate.doors.wayscloud import account, api_keys
from latchgate.doors.wayscloud.answers import fault, http_error, worded
from latchgate.manage.errors import ManageError
from latchgate.store.errors import ConflictError, StoreError

# The paths that these routes are below.
BELOW = ("/api/v1/dashboard",)
_KEYS = "/api/v1/dashboard/api-keys"
_Handler = Callable[[Door, HttpRequest], Awaitable[Response]]
ROUTES: Mapping[str, Mapping[str, _Handler]] = {
    "/api/v1/dashboard/account/profile": {"GET": account.profile},
    _KEYS: {"GET": api_keys.listed, "POST": api_keys.create},
    _KEYS + "/{key_id}": {"GET": api_keys.show, "DELETE": api_keys.revoke},
}


def application(door: Door) -> Starlette:
    """Return the ASGI application of the routes, which stands behind the gate."""
    inner = Starlette(
        routes=[
            # One route a path, so that a 405 names every method the path takes.
            Route(path, _dispatch(door, handlers), methods=list(handlers))
            for path, handlers in ROUTES.items()
        ],
        exception_handlers={HTTPException: http_error, Exception: fault},
    )
    # A redirect would be made from the Host header, which is whatever the client says.
    inner.router.redirect_slashes = False
    return inner


def _dispatch(
    door: Door, handlers: Mapping[str, _Handler]
) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def run(request: HttpRequest) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        try:
            return await handler(door, request)
        except (ManageError, ConflictError, StoreError) as error:
            return worded(error)

    return run
