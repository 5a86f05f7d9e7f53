"""What gateways may remember, as a lease: declared in the database before any of them does.

Rule of this file: ARCHITECTURE §6, rules 13, 16 and 17. Whoever can't say in time that its gateways
remember lets none of them remember, so that a declaration that is silent for long is over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from latchgate.store.gateway_tails import GatewayTails
from latchgate.store.source import KNOWN_SECONDS
from latchgate.verify.receipt import RATE

# For how long one declaration lets gateways remember, on the declaring process's own clock.
FRESH_SECONDS = 20.0
_AGAIN_SECONDS = 5.0
_log = logging.getLogger(__name__)


def tail(seconds: float, clock_margin: float) -> float:
    """Return for how long a gateway may go on after its verifier would refuse (seconds).

    An entry ends at a moment that was fixed when it was decided, at a whole second of the gateway's
    clock, so no time-out of the question counts. The revoker's clock may run fast.
    """
    return RATE * (seconds + 1.0 + clock_margin)


@dataclass(frozen=True, slots=True)
class Remembering:
    """For how long gateways may remember (seconds), and what they do once nobody declares it."""

    seconds: float
    tail: float


class GatewayTail:
    """Keeps it known for how long gateways may remember what this process accepted.

    `boot` is a clock that goes on while the process is suspended. With `distant` receipts may be
    given on a machine that can't read this declaration in time: it counts once all have learnt it.
    """

    def __init__(
        self,
        tails: GatewayTails,
        told: Remembering,
        *,
        boot: Callable[[], float],
        distant: bool,
    ) -> None:
        self.seconds = told.seconds
        self._tails = tails
        self._tail = told.tail
        self._boot = boot
        self._distant = distant
        self._since: float | None = None
        self._until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-tail", daemon=True)

    @property
    def since(self) -> float | None:
        """Since when it counts, on the clock of leases; None where nothing may be remembered now.

        What is let be remembered must come of a memory that was renewed since: a revocation that
        was listed without this declaration is known there.
        """
        since = self._since
        return since if since is not None and since <= self._boot() < self._until else None

    def start(self) -> None:
        """Declare it, and again and again from then on; StoreError when the database fails."""
        self.declare()
        self._thread.start()

    def declare(self) -> None:
        """Declare it once; StoreError when the database fails."""
        began = self._boot()
        if self._tails.declare(self._tail) or self._since is None:
            # Another worker may have declared it a moment ago: that it is new shows to one alone.
            self._since = self._boot() + (KNOWN_SECONDS if self._distant else 0.0)
        self._until = began + FRESH_SECONDS

    def close(self) -> None:
        """End: from now on nothing may be remembered."""
        self._ended.set()
        self._until = 0.0
        if self._thread.is_alive():
            self._thread.join()
        self._until = 0.0

    def _run(self) -> None:
        while not self._ended.wait(_AGAIN_SECONDS):
            try:
                self.declare()
            except Exception as error:  # noqa: BLE001 - tried again; meanwhile it ends by itself
                _log.warning("what gateways may remember could not be declared: %s", error)


class Withdrawals:
    """Finds out which declarations are over, by a clock of its own (`now`, seconds)."""

    def __init__(self) -> None:
        self._seen: dict[float, tuple[int, float]] = {}

    def look(self, tails: GatewayTails, now: Callable[[], float]) -> None:
        """Withdraw each that was silent until nothing remembered by it can be left.

        Whoever declared it last lets gateways remember for `FRESH_SECONDS`, and they do so for the
        tail. StoreError when the database fails.
        """
        declared = tails.declared()
        after = now()  # the read: from then on it stood so
        kept = {one.seconds for one in declared}
        self._seen = {tail: seen for tail, seen in self._seen.items() if tail in kept}
        for one in declared:
            beat, since = self._seen.setdefault(one.seconds, (one.beat, after))
            if beat != one.beat:
                self._seen[one.seconds] = one.beat, after
            elif after - since > RATE * (FRESH_SECONDS + one.seconds):
                tails.withdraw(one)
