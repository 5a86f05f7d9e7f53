"""The gate of the API's address: one decision for whatever is asked there, then the door it is for.

Rule of this file: nothing gets past a refusal, and a request is served under the path that it was
checked under. What an area lets in and no door serves is refused in that area's dialect.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.types import Message, Receive, Scope, Send

from latchgate.core.answer import notices
from latchgate.core.model import Decision
from latchgate.core.reason import Reason
from latchgate.doors.asgi import read_request, send_refusal
from latchgate.doors.door import Door

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
_HEALTHZ = "/healthz"
_log = logging.getLogger(__name__)


def gate(door: Door, doors: Mapping[str, Application]) -> Application:
    """Return the ASGI application of the API's address; `doors` by the path that they are below."""
    behind = _finder(doors)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        inner = behind(scope["path"])
        if scope["path"] == _HEALTHZ and scope["method"] in {"GET", "HEAD"} and inner is not None:
            await inner(scope, receive, send)  # whether the process answers, store or not
            return
        request = read_request(scope, door.trusted)
        decision = door.engine.attempt(request)
        if not isinstance(decision, Decision):
            decision = await door.engine.decide_later(request, decision)
        if decision.allowed and inner is None:
            decision = msgspec.structs.replace(decision, reason=Reason.NO_AREA)
        if decision.allowed and decision.area is not None and decision.area.shadow is not None:
            # An area of somebody else's reaches over a path of ours: nobody else decides here.
            _log.error("%s has a shadow and leads to Latchgate itself", decision.area.name)
            decision = msgspec.structs.replace(decision, reason=Reason.FAULT)
        if not decision.allowed or inner is None:
            accept = request.headers.get("accept", "")
            await send_refusal(decision, accept, scope, send, door.api_url)
            return
        scope["latchgate.request"] = request
        scope["latchgate.decision"] = decision
        scope["latchgate.client"] = request.client
        told = notices(decision)
        await inner(scope, receive, _telling(send, told) if told else send)

    return answer


def _telling(send: Send, told: tuple[tuple[str, str], ...]) -> Send:
    """Return what adds headers to whatever the door answers."""
    more = [(name.lower().encode(), value.encode()) for name, value in told]

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return tell


def _finder(doors: Mapping[str, Application]) -> Callable[[str], Application | None]:
    """Return what finds the door of a path, the deepest one first; None where there is none."""
    known: dict[str, list[tuple[str, str, Application]]] = {}
    for path in sorted(doors, key=len, reverse=True):
        known.setdefault(path.split("/")[1], []).append((path, f"{path}/", doors[path]))

    def find(path: str) -> Application | None:
        for exact, below, found in known.get(path[1:].partition("/")[0], ()):
            if path == exact or path.startswith(below):
                return found
        return None

    return find
