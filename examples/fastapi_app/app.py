"""A small object store whose every request Latchgate decides, inside this process.

    uvicorn --no-proxy-headers --app-dir examples/fastapi_app app:app

LATCHGATE_CONFIG names the configuration that `latchgate init` wrote; its database must be on
this machine. Objects are kept in memory.
"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response

from latchgate.integrations.fastapi import Guard, Identity, Latchgate

latchgate = Latchgate(Guard(config=os.environ.get("LATCHGATE_CONFIG", ".latchgate/latchgate.toml")))

# The middleware decides every path before a body is read: unknown ones and FastAPI's pages too.
app = FastAPI(
    middleware=[latchgate.middleware],
    exception_handlers=latchgate.handlers,
    redirect_slashes=False,
)
objects: dict[str, bytes] = {}


@app.get("/v1/storage/{name:path}")
async def get(name: str, identity: Annotated[Identity, Depends(latchgate)]) -> Response:
    """Return an object, and with which key it was asked for."""
    if name not in objects:
        raise HTTPException(404, "There is no such object.")
    return Response(objects[name], headers={"X-Asked-With": str(identity.credential)})


@app.head("/v1/storage/{name:path}")
async def head(name: str) -> Response:
    """Say whether there is an object."""
    return Response(status_code=200 if name in objects else 404)


@app.put("/v1/storage/{name:path}", status_code=201)
async def put(name: str, request: Request) -> None:
    """Store an object."""
    objects[name] = await request.body()


# The policy asks for storage:write to POST anywhere below /v1/storage; this deletes.
@app.post("/v1/storage/purge", dependencies=[latchgate.requires("storage:delete")])
async def purge() -> dict[str, int]:
    """Delete every object."""
    gone = len(objects)
    objects.clear()
    return {"deleted": gone}
