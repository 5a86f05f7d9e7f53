"""`latchgate serve` with one difference: nobody is told of decisions, so that no use is recorded.

`python -m benchmarks.unrecorded serve --config …`. The recorder's thread runs and finds nothing:
the distance to the real server is what recording costs.
"""

from __future__ import annotations

from latchgate.cli import main
from latchgate.core.model import Decision, Request
from latchgate.serve import worker
from latchgate.store.recorder import Usage


class Unrecorded(Usage):
    """A recorder that is told nothing."""

    def note(self, decision: Decision, request: Request, now: float) -> None:
        """Do nothing."""


if __name__ == "__main__":
    vars(worker)["Usage"] = Unrecorded
    main()
