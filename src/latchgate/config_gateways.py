"""`[gateways]` as far as it is of their caches: for how long they may remember an accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latchgate.config_entries import GatewaysEntry

# An entry ends at a whole second, one less than it might: 1 would be none at all.
LEAST_SECONDS = 2


@dataclass(frozen=True, slots=True)
class GatewayCaches:
    """That gateways may remember accepts: for how long, and how far their clocks may be off.

    Both in seconds; the second is between the clocks of any gateway and any node.
    """

    seconds: int
    clock_margin: float


def read_caches(
    entry: GatewaysEntry, at: Callable[[str, object], Exception], *, trust: float | None
) -> GatewayCaches | None:
    """Check what gateways may remember; None where that is nothing.

    `trust` is for how long this machine believes its own memory (seconds), None where it looks
    anew for every request. What `at` makes of a key and its fault is raised.
    """
    if not entry.cache_seconds:
        return None
    if entry.cache_seconds < LEAST_SECONDS:
        raise at("gateways.cache_seconds", f"must be 0, or {LEAST_SECONDS} or longer")
    if trust is not None and entry.cache_seconds > trust:
        why = "no gateway may remember for longer than a node believes itself"
        raise at("gateways.cache_seconds", f"must be {trust:g} (node.lease) or shorter: {why}")
    return GatewayCaches(entry.cache_seconds, entry.clock_margin)
