"""What every handler of the management API works with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.doors.door import Door, caller
from latchgate.doors.manage.shapes import ReceiptShape, receipt_shape

__all__ = ["Door", "Handler", "caller", "receipt"]

Handler = Callable[[Door, HttpRequest], Awaitable[Response]]


async def receipt(door: Door, n: int) -> ReceiptShape:
    """Wait until every verifier follows a change, and say so."""
    return receipt_shape(await door.acknowledged(n), door.clock())
