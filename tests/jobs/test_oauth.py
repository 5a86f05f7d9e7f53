"""The job that lets go of what passes in minutes."""

from __future__ import annotations

from latchgate.jobs import JOBS
from latchgate.jobs.oauth import FORGETTING


def test_it_is_run():
    assert FORGETTING in JOBS
