"""Receipts: wait until every cache on this machine has dropped what a change took away.

Rule of this file: listed once, after the commit returned (ARCHITECTURE §6 rules 11, 12). A cache
that does not answer in time is exact all the same: it reads the bell before its next decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from latchgate.store.bell import Bell, Listener

WAIT_SECONDS = 1.0
_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who dropped it: each cache, and whether it said so in time; `elapsed` in seconds."""

    journal: int
    elapsed: float
    acknowledged: tuple[Listener, ...]
    lapsed: tuple[Listener, ...]


async def receipt(
    bell: Bell, journal: int, *, ticks: Callable[[], float], wait: float = WAIT_SECONDS
) -> Receipt:
    """Wait for every cache that listened when the change was committed; holds no thread."""
    begun = ticks()
    listed = bell.listeners()
    wanted = {listener.incarnation for listener in listed}
    while True:
        now = {listener.incarnation: listener for listener in bell.listeners()}
        # A cache that is gone decides nothing any more.
        waiting = [now[name] for name in wanted if name in now and now[name].acknowledged < journal]
        if not waiting or ticks() - begun >= wait:
            break
        await asyncio.sleep(_POLL_SECONDS)
    late = {listener.incarnation for listener in waiting}
    return Receipt(
        journal=journal,
        elapsed=ticks() - begun,
        acknowledged=tuple(one for one in listed if one.incarnation not in late),
        lapsed=tuple(waiting),
    )
