"""Waiting for the journal to move, without a thread: one poller for all who wait.

Rule of this file: it is a hint. Whoever was told to look finds out by reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_POLL_SECONDS = 0.01


class News:
    """Tells when `position`, which is how far a verifier of this process follows, has grown.

    Used on one event loop only.
    """

    def __init__(self, position: Callable[[], int]) -> None:
        self._position = position
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()
        self._poller: asyncio.Task[None] | None = None

    async def after(self, number: int, seconds: float) -> int:
        """Wait until the position is above `number`, or for so long; return the position."""
        if self._position() <= number and seconds > 0:
            loop = asyncio.get_running_loop()
            told: asyncio.Future[None] = loop.create_future()
            entry = number, told
            self._waiting.add(entry)
            if self._poller is None:
                self._poller = loop.create_task(self._poll())
            try:
                await asyncio.wait([told], timeout=seconds)
            finally:
                self._waiting.discard(entry)
        return self._position()

    async def _poll(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_POLL_SECONDS)
                position = self._position()
                for number, told in list(self._waiting):
                    if position > number and not told.done():
                        told.set_result(None)
        finally:
            self._poller = None
