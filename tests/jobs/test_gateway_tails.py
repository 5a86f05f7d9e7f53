"""What nobody declares any more is waited for until it is over, and then no longer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.world import World

from latchgate.jobs import JOBS
from latchgate.jobs.gateway_tails import GATEWAY_TAILS, Withdrawing
from latchgate.store.gateway_tails import GatewayTails
from latchgate.store.verifiers import Verifiers
from latchgate.verify.gateway_tail import FRESH_SECONDS
from latchgate.verify.receipt import RATE

pytestmark = pytest.mark.both_databases


def test_it_is_one_of_the_jobs():
    assert GATEWAY_TAILS in JOBS


def test_a_tail_that_was_lowered_is_waited_for_until_nothing_of_it_is_left(tmp_path, place):
    world = World(tmp_path, databases=place)
    now = [0.0]
    work: Any = SimpleNamespace(store=world.store, ticks=lambda: now[0])
    tails, job = GatewayTails(world.store), Withdrawing()

    def waited(after: float) -> float:
        now[0] += after
        tails.declare(5.0)  # as every node does by now
        job.run(work)
        return Verifiers(world.store).looked().gateway_tail

    tails.declare(40.0)
    assert waited(0.0) == 40.0
    assert waited(RATE * (FRESH_SECONDS + 40.0)) == 40.0
    assert waited(0.1) == 5.0
    world.close()
