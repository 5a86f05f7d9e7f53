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
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from latchgate.core.explain import guessed, record, without, worded
from latchgate.core.model import Decision, Grant
from latchgate.core.network import Networks
from latchgate.core.policy_file import PolicyError
from latchgate.core.timestamp import rfc3339
from latchgate.doors.asgi import read_request, send_refusal
from latchgate.doors.manage import shapes
from latchgate.doors.manage.answers import (
    explanation,
    fault,
    http_error,
    invalid,
    json_answer,
    problem,
)
from latchgate.doors.manage.openapi import Operation, document
from latchgate.doors.manage.reading import read_body, read_described, read_page
from latchgate.manage import keys, policy
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.store.errors import ConflictError, OutcomeUnknownError, StoreError
from latchgate.store.journal import Store
from latchgate.store.usage import UsageReader
from latchgate.verify.engine import Engine
from latchgate.verify.receipts import receipt

_TRACE_WAIT = 1.0  # a refusal is written within a batch's time; `explain` waits for it
_TRACE_POLL = 0.05
_NOT_READY = 503
_log = logging.getLogger(__name__)
Handler = Callable[[HttpRequest], Awaitable[Response]]


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
        by_path: dict[str, dict[str, Handler]] = {}
        for one in OPERATIONS:
            by_path.setdefault(one.path, {})[one.method] = self._handler(one)
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

        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            if scope["path"] == "/healthz" and scope["method"] in {"GET", "HEAD"}:
                await inner(scope, receive, send)  # whether the process answers, store or not
                return
            request = read_request(scope, self.trusted)
            decision = self.engine.attempt(request)
            if not isinstance(decision, Decision):
                decision = await self.engine.decide_later(request, decision)
            if not decision.allowed:
                await send_refusal(decision, request.headers.get("accept", ""), scope, send)
                return
            scope["latchgate.decision"] = decision
            await inner(scope, receive, send)

        return gate

    def _handler(self, operation: Operation) -> Handler:
        handle = getattr(self, operation.name)

        async def run(request: HttpRequest) -> Response:
            try:
                answered: Response = await handle(request)
            except (InvalidError, PolicyError) as error:
                return invalid(error)
            except ForbiddenError as error:
                return problem(403, "forbidden", str(error))
            except NotFoundError as error:
                return problem(404, "not_found", str(error))
            except ConflictError as error:
                return problem(409, "conflict", error.detail)
            except OutcomeUnknownError:
                _log.exception("a commit failed")
                detail = "The commit failed; look whether the change happened before you repeat it."
                return problem(503, "outcome_unknown", detail)
            except StoreError:
                _log.exception("the store failed")
                return problem(503, "service_unavailable", "The database could not be used.")
            return answered

        return run

    async def create_key(self, request: HttpRequest) -> Response:
        """Make a key; its secret is in this answer only."""
        spec = await read_body(request, keys.KeySpec)
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
        return json_answer(shown, status=201, location=f"/manage/v1/keys/{key.id}")

    async def list_keys(self, request: HttpRequest) -> Response:
        """Page through the actor's tenant's keys."""
        limit, after = read_page(request.query_params.multi_items())
        found, following = await run_in_threadpool(
            keys.listed, self.store, _grant(request), limit=limit, after=after
        )
        uses = await run_in_threadpool(self.usage.last_uses, [key.id for key in found])
        now = self.clock()
        shown = [shapes.key_shape(key, now, uses.get(key.id)) for key in found]
        return json_answer(shapes.KeyPage(keys=shown, next=following))

    async def show_key(self, request: HttpRequest) -> Response:
        """Show one key."""
        key_id = request.path_params["key_id"]
        key = await run_in_threadpool(keys.shown, self.store, _grant(request), key_id)
        uses = await run_in_threadpool(self.usage.last_uses, [key.id])
        return json_answer(shapes.key_shape(key, self.clock(), uses.get(key.id)))

    async def revoke_key(self, request: HttpRequest) -> Response:
        """Revoke a key and wait for the receipt."""
        key_id = request.path_params["key_id"]
        key, n = await run_in_threadpool(keys.revoke, self.store, _grant(request), key_id)
        return json_answer(
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
        return json_answer(
            shapes.PolicyShape(version=version, published_at=published_at, files=files)
        )

    async def apply_policy(self, request: HttpRequest) -> Response:
        """Publish policy files and wait for the receipt."""
        asked = await read_body(request, shapes.PolicyFiles)
        actor = keys.actor_of(_grant(request))
        version, n = await run_in_threadpool(
            policy.apply, self.store, actor, asked.files, self.built_in
        )
        return json_answer(shapes.PolicyApplied(version=version, receipt=await self._receipt(n)))

    async def explain_request(self, request: HttpRequest) -> Response:
        """Decide a request that nobody made, and explain it."""
        asked = await read_body(request, shapes.ExplainRequest)
        described = read_described(asked)
        now = self.clock()
        decision = self.engine.explain(described)
        grant = _grant(request)
        credential = decision.credential
        if credential is not None and credential.tenant_id != grant.credential.tenant_id:
            raise NotFoundError("the credential is not known to your tenant")
        kept = record(decision, described, now, self.redact)
        return json_answer(explanation(worded(await self._seen_by(grant, kept))))

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
        return json_answer(explanation(worded(await self._seen_by(grant, found[1]))))

    async def _seen_by(self, grant: Grant, kept: dict[str, Any]) -> dict[str, Any]:
        """Hide that a key exists whose secret was wrong, unless the viewer's tenant has it."""
        if "operator:decisions.read" in grant.rights:
            return kept
        foreign: set[str] = set()
        for credential_id in guessed(kept):
            try:
                await run_in_threadpool(keys.shown, self.store, grant, credential_id)
            except NotFoundError:
                foreign.add(credential_id)
        return without(kept, foreign)

    async def openapi(self, _request: HttpRequest) -> Response:
        """Answer the OpenAPI document."""
        return Response(_DOCUMENT, media_type="application/json")

    async def healthz(self, _request: HttpRequest) -> Response:
        """Say that the process answers."""
        return json_answer({"status": "ok"})

    async def readyz(self, _request: HttpRequest) -> Response:
        """Say whether it can decide."""
        try:
            await run_in_threadpool(self.engine.head)
        except StoreError:
            _log.exception("not ready: the store failed")
            return problem(_NOT_READY, "service_unavailable", "The database can't be read.")
        if not self.engine.policy.version:
            return problem(_NOT_READY, "service_unavailable", "No policy is published.")
        return json_answer({"status": "ready"})

    async def _receipt(self, n: int) -> shapes.ReceiptShape:
        found = await receipt(self.store.bell, n, ticks=self.ticks)
        return shapes.receipt_shape(found, self.clock())


def _dispatch(handlers: Mapping[str, Handler]) -> Handler:
    async def run(request: HttpRequest) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return run


def _grant(request: HttpRequest) -> Grant:
    decision: Decision = request.scope["latchgate.decision"]
    grant = decision.grant
    if grant is None:
        msg = "a route that needs a grant stands in a public area"
        raise RuntimeError(msg)
    return grant


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
