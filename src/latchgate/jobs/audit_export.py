"""Exports the journal on its schedule, and removes segments that were kept long enough."""

from __future__ import annotations

import logging

from latchgate.core.timestamp import parse_rfc3339
from latchgate.jobs.job import Export, Job, Work
from latchgate.keyring.errors import KeyringError
from latchgate.manage.segments import SegmentError, last, prune, write_next

LOOK_SECONDS = 30.0
_log = logging.getLogger(__name__)


def run(work: Work) -> None:
    """Write the next segment when it is time; what can't be written is told and tried again."""
    if work.export is None:
        return
    try:
        _export(work, work.export)
    except (OSError, SegmentError, KeyringError) as error:
        _log.error("the journal was not exported, and will be tried again: %s", error)


def _export(work: Work, export: Export) -> None:
    now = work.clock()
    before = last(export.directory)
    if before is not None and not before.full:
        # A clock that was set back exports early rather than not for long.
        age = now - parse_rfc3339(before.head.at)
        if 0 <= age < export.every:
            return
    written = write_next(work.store, work.master_key, export.directory, now=now)
    if written is not None:
        _log.info("the journal was exported up to %d, to %s", written.name.last, export.directory)
    if export.keep is not None:
        prune(export.directory, until=now - export.keep)


JOB = Job("audit export", LOOK_SECONDS, run)
