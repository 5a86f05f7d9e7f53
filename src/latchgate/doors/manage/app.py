"""The routes of `/manage/v1` and the ASGI application around them.

Rule of this file: the gate decides who may come in, from the same policy as everything else;
a handler reads a strict body, calls one function of `manage`, and words what it returns.
Changes run in worker threads; waiting for receipts holds none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from latchgate.core.explain import record, worded
from latchgate.core.model import Decision, Grant, Request
from latchgate.core.network import Networks, parse_address
from latchgate.core.policy_file import PolicyError
from latchgate.core.timestamp import rfc3339
from latchgate.doors.asgi import read_request, send_refusal
from latchgate.doors.manage import shapes
from latchgate.doors.manage.openapi import Operation, document
from latchgate.manage import keys, policy
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError
from latchgate.store.journal import Store
from latchgate.store.usage import UsageReader
from latchgate.verify.engine import Engine
from latchgate.verify.receipts import receipt

MAX_BODY = 1_048_576
_TRACE_WAIT = 1.0  # a refusal is written within a batch's time; `explain` waits for it
_TRACE_POLL = 0.05
_NOT_READY = 503
_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ManageDoor:
    """What the handlers work with; built by the composition root."""

    store: Store
    usage: UsageReader
    engine: Engine
    trusted: Networks
    built_in: str
    redact: Callable[[str], str]
    clock: Callable[[], float]
    ticks: Callable[[], float]
    entropy: Callable[[int], bytes]

    def application(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Return the ASGI application: the gate, then the routes."""
        routes = [Route(one.path, self._handler(one), methods=[one.method]) for one in OPERATIONS]
        inner = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _http_error, Exception: _fault},
        )

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            request = read_request(scope, self.trusted)
            decision = self.engine.decide(request)
            if not decision.allowed:
                await send_refusal(decision, scope, send)
                return
            scope["latchgate.decision"] = decision
            await inner(scope, receive, send)

        return gate

    def _handler(self, operation: Operation) -> Callable[[HttpRequest], Awaitable[Response]]:
        handle = getattr(self, operation.name)

        async def run(request: HttpRequest) -> Response:
            try:
                answered: Response = await handle(request)
            except (InvalidError, PolicyError) as error:
                return _invalid(error)
            except ForbiddenError as error:
                return _problem(403, "forbidden", str(error))
            except NotFoundError as error:
                return _problem(404, "not_found", str(error))
            except ConflictError as error:
                return _problem(409, "conflict", error.detail)
            except OutcomeUnknownError:
                _log.exception("a commit failed")
                detail = "The commit failed; look whether the change happened before you repeat it."
                return _problem(503, "outcome_unknown", detail)
            except StoreError:
                _log.exception("the store failed")
                return _problem(503, "service_unavailable", "The database could not be used.")
            return answered

        return run

    async def create_key(self, request: HttpRequest) -> Response:
        """Make a key; its secret is in this answer only."""
        spec = await _body(request, keys.KeySpec)
        now = self.clock()
        key, issued, _ = await run_in_threadpool(
            keys.issue,
            self.store,
            self.engine.policy,
            _grant(request),
            spec,
            now=now,
            entropy=self.entropy,
        )
        shown = shapes.new_key_shape(key, now, issued.secret.reveal())
        return _json(shown, status=201, location=f"/manage/v1/keys/{key.id}")

    async def list_keys(self, request: HttpRequest) -> Response:
        """Page through the actor's tenant's keys."""
        limit, after = _page(request.query_params.multi_items())
        found, following = await run_in_threadpool(
            keys.listed, self.store, _grant(request), limit=limit, after=after
        )
        uses = await run_in_threadpool(self.usage.last_uses, [key.id for key in found])
        now = self.clock()
        shown = [shapes.key_shape(key, now, uses.get(key.id)) for key in found]
        return _json(shapes.KeyPage(keys=shown, next=following))

    async def show_key(self, request: HttpRequest) -> Response:
        """Show one key."""
        key_id = request.path_params["key_id"]
        key = await run_in_threadpool(keys.shown, self.store, _grant(request), key_id)
        uses = await run_in_threadpool(self.usage.last_uses, [key.id])
        return _json(shapes.key_shape(key, self.clock(), uses.get(key.id)))

    async def revoke_key(self, request: HttpRequest) -> Response:
        """Revoke a key and wait for the receipt."""
        key_id = request.path_params["key_id"]
        key, n = await run_in_threadpool(keys.revoke, self.store, _grant(request), key_id)
        return _json(
            shapes.Revoked(
                id=key.id,
                revoked_at=rfc3339(key.revoked_at or self.clock()),
                receipt=await self._receipt(n),
            )
        )

    async def show_policy(self, _request: HttpRequest) -> Response:
        """Show the published policy files."""
        version, at, files = await run_in_threadpool(policy.published, self.store)
        published_at = rfc3339(at) if version else None
        return _json(shapes.PolicyShape(version=version, published_at=published_at, files=files))

    async def apply_policy(self, request: HttpRequest) -> Response:
        """Publish policy files and wait for the receipt."""
        asked = await _body(request, shapes.PolicyFiles)
        actor = keys.actor_of(_grant(request))
        version, n = await run_in_threadpool(
            policy.apply, self.store, actor, asked.files, self.built_in
        )
        return _json(shapes.PolicyApplied(version=version, receipt=await self._receipt(n)))

    async def explain_request(self, request: HttpRequest) -> Response:
        """Decide a request that nobody made, and explain it."""
        asked = await _body(request, shapes.ExplainRequest)
        described = _described(asked)
        now = self.clock()
        decision = self.engine.explain(described)
        credential = decision.credential
        own = _grant(request).credential.tenant_id
        if credential is not None and credential.tenant_id != own:
            raise NotFoundError("the credential is not known to your tenant")
        return _json(_explanation(worded(record(decision, described, now, self.redact))))

    async def show_decision(self, request: HttpRequest) -> Response:
        """Explain a refusal that happened."""
        decision_id = request.path_params["decision_id"]
        begun = self.ticks()
        found = await run_in_threadpool(self.usage.refusal, decision_id)
        while found is None and self.ticks() - begun < _TRACE_WAIT:
            await asyncio.sleep(_TRACE_POLL)
            found = await run_in_threadpool(self.usage.refusal, decision_id)
        grant = _grant(request)
        # A refusal that named nobody belongs to the operator, who alone holds operator scopes.
        mine = found is not None and (
            found[0] == grant.credential.tenant_id or "operator:decisions.read" in grant.rights
        )
        if found is None or not mine:
            msg = f"no refusal {decision_id[:64]!r} is kept; refusals stay for 7 days"
            raise NotFoundError(msg)
        return _json(_explanation(worded(found[1])))

    async def openapi(self, _request: HttpRequest) -> Response:
        """Answer the OpenAPI document."""
        return Response(_DOCUMENT, media_type="application/json")

    async def healthz(self, _request: HttpRequest) -> Response:
        """Say that the process answers."""
        return _json({"status": "ok"})

    async def readyz(self, _request: HttpRequest) -> Response:
        """Say whether it can decide."""
        try:
            await run_in_threadpool(self.engine.head)
        except StoreError:
            _log.exception("not ready: the store failed")
            return _problem(_NOT_READY, "service_unavailable", "The database can't be read.")
        if not self.engine.policy.version:
            return _problem(_NOT_READY, "service_unavailable", "No policy is published.")
        return _json({"status": "ready"})

    async def _receipt(self, n: int) -> shapes.ReceiptShape:
        found = await receipt(self.store.bell, n, ticks=self.ticks)
        return shapes.receipt_shape(found, self.clock())


def _grant(request: HttpRequest) -> Grant:
    decision: Decision = request.scope["latchgate.decision"]
    grant = decision.grant
    if grant is None:
        msg = "a route that needs a grant stands in a public area"
        raise RuntimeError(msg)
    return grant


async def _body(request: HttpRequest, shape: type[T]) -> T:
    """Read a bounded JSON body strictly; what is wrong with it is an error naming the field."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "Send Content-Type: application/json.")
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > MAX_BODY:
            raise HTTPException(413, f"The body is longer than {MAX_BODY} bytes.")
    try:
        return msgspec.json.decode(held, type=shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise InvalidError([(path.rstrip("`") or "body", message)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, f"The body is not JSON: {error}") from error


def _page(items: list[tuple[str, str]]) -> tuple[int, str | None]:
    """Read `limit` (1 to 1000, 100 unless told) and `after`."""
    told = dict(items)
    if len(told) < len(items):
        raise InvalidError([("query", "a parameter is given twice")])
    unknown = sorted(set(told) - {"limit", "after"})
    if unknown:
        raise InvalidError([(unknown[0], "there is no such parameter; use limit and after")])
    limit = told.get("limit", "100")
    if not limit.isascii() or not limit.isdecimal() or not 1 <= int(limit[:9]) <= keys.MAX_PAGE:
        raise InvalidError([("limit", f"must be a whole number from 1 to {keys.MAX_PAGE}")])
    return int(limit), told.get("after")


def _described(asked: shapes.ExplainRequest) -> Request:
    """Turn a URL and headers into the request that a gateway would tell of."""
    try:
        parts = urlsplit(asked.url)
    except ValueError as error:
        raise InvalidError([("url", f"is not a URL: {error}")]) from error
    target = asked.url
    if parts.scheme or parts.netloc:
        # Everything after the authority, as it was written: the path must stay raw.
        target = "/" + asked.url.partition("://")[2].partition("/")[2]
    headers = {name.lower(): value for name, value in asked.headers.items()}
    if len(headers) < len(asked.headers):
        raise InvalidError([("headers", "a header is given twice")])
    client = None
    if asked.client is not None:
        try:
            client = parse_address(asked.client)
        except ValueError as error:
            raise InvalidError([("client", str(error))]) from error
    return Request(
        method=asked.method,
        host=headers.get("host", parts.netloc.rpartition("@")[2]),
        target=target,
        headers=headers,
        client=client,
        tls=parts.scheme == "https",
    )


def _explanation(told: dict[str, Any]) -> shapes.Explanation:
    return msgspec.convert(told | {"at": rfc3339(told["at"])}, shapes.Explanation)


def _json(shape: object, *, status: int = 200, location: str | None = None) -> Response:
    headers = {"Cache-Control": "no-store"}
    if location is not None:
        headers["Location"] = location
    return Response(
        msgspec.json.encode(shape), status, headers=headers, media_type="application/json"
    )


def _problem(
    status: int,
    code: str,
    detail: str,
    errors: list[shapes.FieldFault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
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


def _invalid(error: InvalidError | PolicyError) -> Response:
    if isinstance(error, InvalidError):
        faults = [shapes.FieldFault(field, detail) for field, detail in error.faults]
        return _problem(422, "invalid", "The request holds what can't be taken.", faults)
    faults = [
        shapes.FieldFault(f"{one.file}:{one.line}", f"{one.key}: {one.problem}")
        for one in error.faults
    ]
    return _problem(422, "policy_invalid", "The files make no policy; nothing changed.", faults)


async def _http_error(_request: HttpRequest, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
    headers = dict(error.headers) if error.headers is not None else None
    return _problem(
        error.status_code,
        code.get(error.status_code, "request_invalid"),
        error.detail,
        None,
        headers,
    )


async def _fault(_request: HttpRequest, error: Exception) -> Response:
    _log.error("a management request failed", exc_info=error)
    return _problem(500, "fault", "Latchgate failed; its log says why.")


OPERATIONS = (
    Operation(
        "POST",
        "/manage/v1/keys",
        "create_key",
        "Make a key",
        "manage:keys.write",
        body=keys.KeySpec,
        answer=shapes.NewKey,
        status=201,
        refusals=(400, 403, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/keys",
        "list_keys",
        "List keys, oldest first",
        "manage:keys.read",
        answer=shapes.KeyPage,
        query=("limit", "after"),
        refusals=(422,),
    ),
    Operation(
        "GET",
        "/manage/v1/keys/{key_id}",
        "show_key",
        "Show a key",
        "manage:keys.read",
        answer=shapes.Key,
        refusals=(404,),
    ),
    Operation(
        "DELETE",
        "/manage/v1/keys/{key_id}",
        "revoke_key",
        "Revoke a key, with a receipt",
        "manage:keys.write",
        answer=shapes.Revoked,
        refusals=(404,),
    ),
    Operation(
        "GET",
        "/manage/v1/policy",
        "show_policy",
        "Show the published policy",
        "operator:policy.read",
        answer=shapes.PolicyShape,
    ),
    Operation(
        "PUT",
        "/manage/v1/policy",
        "apply_policy",
        "Publish policy files as a new version",
        "operator:policy.write",
        body=shapes.PolicyFiles,
        answer=shapes.PolicyApplied,
        refusals=(400, 413, 415, 422),
    ),
    Operation(
        "POST",
        "/manage/v1/explain",
        "explain_request",
        "Decide a request and explain it",
        "manage:decisions.read",
        body=shapes.ExplainRequest,
        answer=shapes.Explanation,
        refusals=(400, 404, 413, 415, 422),
    ),
    Operation(
        "GET",
        "/manage/v1/decisions/{decision_id}",
        "show_decision",
        "Explain a refusal by its id",
        "manage:decisions.read",
        answer=shapes.Explanation,
        refusals=(404,),
    ),
    Operation("GET", "/manage/v1/openapi.json", "openapi", "This document", None, answer=None),
    Operation("GET", "/healthz", "healthz", "Whether the process answers", None, answer=None),
    Operation(
        "GET", "/readyz", "readyz", "Whether it can decide", None, answer=None, refusals=(503,)
    ),
)
_DOCUMENT = document(OPERATIONS, shapes.Problem)
