"""Lets go of files of the access log that are past their time, or over the size of all."""

from __future__ import annotations

import logging

from latchgate.jobs.job import Job, Work
from latchgate.store.access_files import trim

_log = logging.getLogger(__name__)


def _run(work: Work) -> None:
    kept = work.access_log
    if kept is None:
        return
    try:
        trim(kept.directory, days=kept.days, max_bytes=kept.max_bytes, now=work.clock())
    except OSError as error:
        _log.error("old files of the access log can't be deleted: %s", error)


ACCESS_LOG = Job("access log", 5.0, _run)
