"""One call of the provider's API: where it is, who answers, and how it names what goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.door import Door

Handler = Callable[[Door, HttpRequest], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Call:
    """A row of the table of routes; `missing` is the code of its 404, `taken` that of its 409."""

    method: str
    path: str
    handler: Handler
    missing: str = "NOT_FOUND"
    taken: str = "CONFLICT"
