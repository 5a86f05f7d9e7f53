"""An old system to move away from: one user, ada, known by Basic or by an old key.

    uvicorn --app-dir examples/old_system app:app --port 8000

It allows with 204 and says who it is in X-Old-User; everybody else gets its 401.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

_KNOWN = {
    b"Basic " + base64.b64encode(b"ada:lovelace"): b"ada",
    b"Bearer old-key-of-ada": b"ada",
}


async def app(
    scope: dict[str, Any],
    _receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer one question."""
    if scope["type"] != "http":
        return
    user = _KNOWN.get(dict(scope["headers"]).get(b"authorization", b""))
    if user is not None:
        start = {"status": 204, "headers": [(b"x-old-user", user)]}
        body = b""
    else:
        body = b'{"message":"Who are you?"}'
        start = {
            "status": 401,
            "headers": [
                (b"content-type", b"application/json"),
                (b"www-authenticate", b'Basic realm="Old system"'),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    await send({"type": "http.response.start", **start})
    await send({"type": "http.response.body", "body": body})
