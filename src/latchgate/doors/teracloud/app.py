"""The resources of TeraCLOUD's REST API, and the ASGI application that answers them.

Rule of this folder: the gate has checked user and application already, on every request; here the
path is read as the gate read it, and every error is worded in the provider's dialect. A resource
is found with or without `ba/` in front and a slash behind. Sources: providers/teracloud, "The
relationship between certification required areas and resources", and the requests of its clients.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from latchgate.core.dialects import DIALECTS, Public
from latchgate.core.dialects.table import TABLE
from latchgate.core.model import Decision
from latchgate.core.path import Path, last_parameters, read_path, without_parameters
from latchgate.core.reason import Reason
from latchgate.doors.door import Door
from latchgate.doors.teracloud.accept import takes_json
from latchgate.doors.teracloud.account import capacity, properties, user
from latchgate.manage import storage
from latchgate.manage.errors import NotFoundError
from latchgate.manage.storage import Account
from latchgate.store.errors import StoreError, UnstorableError

_log = logging.getLogger(__name__)
_DIALECT = "teracloud"
# The paths that these resources are below.
BELOW = ("/v2/api", "/ba")
_Parameters = list[tuple[str, str]]
_RESOURCES: Mapping[str, Callable[[Account, _Parameters], dict[str, Any]]] = {
    "user": user,
    "dataset/(capacity)": capacity,
    "dataset/(property)": properties,
}
_NOT_ACCEPTABLE = Public(406, "not_acceptable", "The answer is JSON: accept application/json.")
_NO_DATA_SET = Public(404, "not_found", "There is no such resource or data set.")
_NOT_READY = Public(202, "not_ready", "The account is new, and its node is not ready yet.")
_FAULT = Public(500, "fault", "The request failed.")


def application(door: Door) -> Callable[[Scope, Receive, Send], Any]:
    """Return the ASGI application of the resources, which stands behind the gate."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await _answer(door, HttpRequest(scope, receive))
        except UnstorableError as error:
            response = _error(Public(400, "bad_request", f"The request can't be taken: {error}."))
        except StoreError:
            _log.exception("the store failed")
            response = _error(TABLE[Reason.STORE_UNAVAILABLE][_DIALECT])
        except Exception:  # noqa: BLE001 - a bug is told in the dialect too; the log has the rest
            _log.exception("a request to TeraCLOUD's API failed")
            response = _error(_FAULT)
        await response(scope, receive, send)

    return run


async def _answer(door: Door, request: HttpRequest) -> Response:
    target = request.scope.get("raw_path", b"").decode("latin-1")
    found = _RESOURCES.get(_resource(target))
    if found is None:
        return _error(_NO_DATA_SET)
    if not takes_json(request.headers.getlist("accept")):
        return _error(_NOT_ACCEPTABLE)
    decision: Decision = request.scope["latchgate.decision"]
    if decision.grant is None or decision.area is None:
        return _error(TABLE[Reason.CREDENTIAL_MISSING][_DIALECT])
    try:
        account = await run_in_threadpool(
            storage.account, door.store, decision.grant, decision.area.logins
        )
    except NotFoundError:  # gone since the request was decided
        return _error(TABLE[Reason.APPLICATION_UNKNOWN][_DIALECT])
    if account.storage.node is None or account.storage.quota is None:
        return _error(_NOT_READY)
    told = found(account, last_parameters(target))
    return _json(200, {"result": 0, **told})


def _resource(target: str) -> str:
    """Return what is asked for below the API, spelled one way; empty where nothing can be."""
    path = read_path(without_parameters(target))
    if not isinstance(path, Path):
        return ""
    text = path.text.removesuffix("/")
    for below in ("/v2/api/ba/", "/v2/api/", "/ba/"):
        if text.startswith(below):
            return text.removeprefix(below)
    return ""


def _error(public: Public) -> Response:
    reply = DIALECTS[_DIALECT](public, (), "")
    headers = {"Cache-Control": "no-store", **dict(reply.headers)}
    return Response(reply.body, reply.status, headers=headers)


def _json(status: int, told: Mapping[str, Any]) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
    return Response(msgspec.json.encode(told), status, headers=headers)
