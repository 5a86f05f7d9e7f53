"""A small object store without a framework; Latchgate's middleware decides its every request.

    uvicorn --no-proxy-headers --app-dir examples/asgi_app app:app

LATCHGATE_CONFIG names the configuration that `latchgate init` wrote; its database must be on
this machine. Objects are kept in memory.
"""

from __future__ import annotations

import os

from latchgate.integrations.asgi import LatchgateMiddleware, Receive, Scope, Send
from latchgate.integrations.guard import Guard
from latchgate.integrations.identity import Identity

objects: dict[str, bytes] = {}


async def store(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve GET and PUT of any path; who asks is in the scope's state."""
    identity: Identity = scope["state"]["latchgate"]
    status, body = 405, b""
    if scope["method"] == "PUT":
        objects[scope["path"]] = await whole(receive)
        status = 201
    elif scope["method"] == "GET":
        found = objects.get(scope["path"])
        status, body = (200, found) if found is not None else (404, b"There is no such object.\n")
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"x-asked-with", str(identity.credential).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def whole(receive: Receive) -> bytes:
    """Return a request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


app = LatchgateMiddleware(
    store, guard=Guard(config=os.environ.get("LATCHGATE_CONFIG", ".latchgate/latchgate.toml"))
)
