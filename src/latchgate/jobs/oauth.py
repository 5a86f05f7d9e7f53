"""Lets go of codes and refresh tokens that are past their time."""

from __future__ import annotations

from latchgate.jobs.job import Job, Work
from latchgate.oauth.forgetting import forget


def _run(work: Work) -> None:
    forget(work.store, now=work.clock())


FORGETTING = Job("oauth", 600.0, _run)
