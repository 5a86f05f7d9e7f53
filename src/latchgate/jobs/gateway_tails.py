"""Has receipts wait for gateways no more once nobody has let any remember for long enough.

Rule of this file: time is what passes on this process's own clock since it saw something itself;
when another process takes over, it begins anew.
"""

from __future__ import annotations

from latchgate.jobs.job import Job, Work
from latchgate.store.gateway_tails import GatewayTails
from latchgate.verify.gateway_tail import Withdrawals

_LOOK_SECONDS = 5.0


class Withdrawing:
    """What was seen, and since when."""

    def __init__(self) -> None:
        self._withdrawals = Withdrawals()

    def run(self, work: Work) -> None:
        """Look once; StoreError when the database can't be used."""
        self._withdrawals.look(GatewayTails(work.store), work.ticks)


GATEWAY_TAILS = Job("gateway tails", _LOOK_SECONDS, Withdrawing().run)
