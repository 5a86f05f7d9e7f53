"""A small object store whose every request Latchgate decides, inside this process.

    uvicorn --app-dir examples/fastapi_app app:app

LATCHGATE_CONFIG names the configuration that `latchgate init` wrote; its database must be on
this machine. Objects are kept in memory.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response

from latchgate import Verifier
from latchgate.verifier import Verdict

Identity = Mapping[str, str]


class RefusedError(Exception):
    """Latchgate refused the request; `verdict` is the whole answer."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.decision_id)


async def caller(request: Request) -> Identity:
    """Let Latchgate decide the request; return for whom it is allowed."""
    scope = request.scope
    target, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    verifier: Verifier = request.app.state.verifier
    verdict = verifier.decide(
        request.method,
        f"{target}?{query}" if query else target,
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        client=request.client.host if request.client is not None else None,
        tls=scope["scheme"] == "https",
    )
    if not verdict.allowed:
        raise RefusedError(verdict)
    return verdict.identity


async def refused(_request: Request, error: Exception) -> Response:
    """Answer in the words of the provider whose path was asked for."""
    assert isinstance(error, RefusedError)  # noqa: S101 - registered for it alone
    verdict = error.verdict
    return Response(verdict.body, verdict.status, headers=dict(verdict.headers))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the verifier in the process that serves, and close it at the end."""
    config = os.environ.get("LATCHGATE_CONFIG", ".latchgate/latchgate.toml")
    with Verifier(config) as verifier:
        app.state.verifier = verifier
        yield


# On every route, so that none is forgotten; what FastAPI would serve or redirect by itself is off.
app = FastAPI(
    lifespan=lifespan,
    dependencies=[Depends(caller)],
    exception_handlers={RefusedError: refused},
    openapi_url=None,
    redirect_slashes=False,
)
objects: dict[str, bytes] = {}


@app.put("/v1/storage/{name:path}", status_code=201)
async def put(name: str, request: Request) -> None:
    """Store an object. The body is read here, after the decision."""
    objects[name] = await request.body()


@app.api_route("/v1/storage/{name:path}", methods=["GET", "HEAD"])
async def get(name: str, identity: Annotated[Identity, Depends(caller)]) -> Response:
    """Return an object, and with which key it was asked for."""
    if name not in objects:
        raise HTTPException(404, "There is no such object.")
    asked_with = identity["X-Latchgate-Credential"]
    return Response(objects[name], headers={"X-Asked-With": asked_with})


@app.api_route("/{path:path}", methods=["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
async def nothing(path: str) -> None:
    """Take every other path, so that it is decided too and refused in the right words."""
    raise HTTPException(404, f"/{path} is allowed, and nothing is served there.")
