"""Lets go of usage, sessions and sign-ins half done that are past their time."""

from __future__ import annotations

from latchgate.jobs.job import Job, Work
from latchgate.signin import ceremony, session
from latchgate.store.retention import trim


def _run(work: Work) -> None:
    now = work.clock()
    trim(work.usage_database, work.retention, now=now)
    ceremony.trim(work.store, now=now)
    session.trim(work.store, now=now)


RETENTION = Job("retention", 60.0, _run)
