"""Lets go of usage, sessions and sign-ins half done that are past their time.

Usage may be in a file of each machine's own, sessions are where all records are.
"""

from __future__ import annotations

from latchgate.jobs.job import Job, Work
from latchgate.signin import ceremony, session
from latchgate.store.retention import trim


def _trim_usage(work: Work) -> None:
    trim(work.usage_database, work.retention, now=work.clock())


def _trim_sign_ins(work: Work) -> None:
    now = work.clock()
    ceremony.trim(work.store, now=now)
    session.trim(work.store, now=now)


RETENTION = Job("retention", 60.0, _trim_usage)
SIGN_INS = Job("sign-ins", 60.0, _trim_sign_ins)
