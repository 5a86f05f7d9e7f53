# No `from __future__ import annotations`: FastAPI reads the annotations of `__call__`, and finds
# no globals to resolve texts in, because the dependency is an object.
"""FastAPI: a dependency that says for whom a request is allowed, and refuses it otherwise.

Rule of this file: a refusal leaves byte for byte as the verdict words it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import HTTPException, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.websockets import WebSocket

from latchgate.integrations.asgi import LatchgateMiddleware, hide, known, read, remember
from latchgate.integrations.guard import Asked, Guard
from latchgate.integrations.identity import Identity
from latchgate.verifier import Verdict

__all__ = ["Guard", "Identity", "Latchgate", "RefusedError"]


class RefusedError(HTTPException):
    """Latchgate refused the request; `verdict` is the whole answer.

    An HTTPException, so that an application which forgot to register `Latchgate.handlers` still
    answers with the right status and headers, if not with the right body.
    """

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.status, headers=dict(verdict.headers))


class Latchgate(SecurityBase):
    """`Depends(latchgate)` gives the Identity of an allowed request.

        app = FastAPI(
            lifespan=latchgate.lifespan,
            middleware=[latchgate.middleware],
            exception_handlers=latchgate.handlers,
        )

    With the middleware, every path is decided, before a body is read: unknown ones, mounted
    applications and FastAPI's own pages too; the dependency then hands on what it found. Without
    it, only routes that depend on it are decided. `model` is what OpenAPI tells clients to send.
    """

    def __init__(
        self,
        guard: Guard | None = None,
        *,
        scheme_name: str = "Latchgate",
        model: SecurityModel | None = None,
    ) -> None:
        self._guard = guard or Guard()
        self.scheme_name = scheme_name
        self.model = model or HTTPBearer(description="A key or token that Latchgate issued")

    async def __call__(
        self, connection: HTTPConnection, scopes: SecurityScopes, answer: Response
    ) -> Identity:
        """Return for whom the request is allowed; RefusedError when it isn't."""
        scope = connection.scope
        asked = read(scope)
        identity = known(scope)
        if identity is None:
            verdict = await self._allowed(asked)
            identity = Identity.of(verdict.identity)
            for name, value in verdict.headers:
                answer.headers.append(name, value)
            kept = hide(scope, verdict.replaced)
            if isinstance(scope["headers"], list):
                # In place: Starlette's Headers of this request, if made already, share the list.
                scope["headers"][:] = kept
            else:
                scope["headers"] = kept
            remember(scope, identity)
        for extra in scopes.scopes:
            if extra != identity.scope:
                await self._allowed(asked, scope=extra)
        return identity

    async def _allowed(self, asked: Asked, scope: str | None = None) -> Verdict:
        verdict = await self._guard.decide_async(asked, scope=scope)
        if not verdict.allowed:
            raise RefusedError(verdict)
        return verdict

    def requires(self, *scopes: str) -> Any:  # noqa: ANN401 - what FastAPI's Security returns
        """Return a dependency that needs these scopes besides what the policy asks for.

        For what the policy can't see, such as a route that deletes by POST. It is a decision of
        its own: refused in the same words, explained, and counted under its scope.
        """
        return Security(self, scopes=scopes)

    @property
    def middleware(self) -> Middleware:
        """The ASGI middleware over the same guard."""
        return Middleware(LatchgateMiddleware, guard=self._guard)

    @property
    def handlers(self) -> dict[Any, Callable[..., Any]]:
        """The handler that answers a refusal, by its exception."""
        return {RefusedError: _answer}

    @asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Open the verifier in the process that serves, and close it at the end."""
        await asyncio.to_thread(self._guard.open)
        try:
            yield
        finally:
            await asyncio.to_thread(self._guard.close)


async def _answer(connection: HTTPConnection, error: RefusedError) -> Response | None:
    response = Response(error.verdict.body, error.verdict.status)
    # By hand: a mapping would lose a header that comes twice, such as WWW-Authenticate.
    response.raw_headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in (
            *error.verdict.headers,
            ("content-length", str(len(error.verdict.body))),
        )
    ]
    if not isinstance(connection, WebSocket):
        return response
    if "websocket.http.response" in connection.scope.get("extensions", {}):
        await connection.send_denial_response(response)
    else:
        await connection.close(1008)
    return None
