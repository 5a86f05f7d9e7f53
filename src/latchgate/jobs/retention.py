"""Lets go of usage that is past its time."""

from __future__ import annotations

from latchgate.jobs.job import Job, Work
from latchgate.store.retention import trim


def _run(work: Work) -> None:
    trim(work.usage_database, work.retention, now=work.clock())


RETENTION = Job("retention", 60.0, _run)
