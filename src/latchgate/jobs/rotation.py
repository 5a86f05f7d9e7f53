"""Ends graces of rotations early, where the old secret went quiet, and tells of those that ended.

Rule of this file: a grace is never cut short by what could not be read. What was used in the
meantime, or ended by somebody else, is left alone. What is looked at is found by its end, a page
at a time, however many credentials there are.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.jobs.job import ACTOR, Job, Work
from latchgate.manage.graces import ended, retire, tell_ended, waiting
from latchgate.store import schema

PAGE = 500  # as many end early in one run, too; the rest has its turn in the next
PAGES = 20  # of those to tell of, in one run
_DAY = 86_400.0
# After a start: graces that ended while nobody ran the jobs are told of late.
LOOK_BACK = 90 * _DAY
# A change may be committed so long after the time that it is of, in seconds.
OVERLAP = 600.0
_TABLE = schema.credential
_BY_END = (_TABLE.c.expires_at, _TABLE.c.id)


def end_quiet(work: Work) -> None:
    """End each grace whose old secret was unused for as long as its rotation asked for.

    StoreError when the usage database can't be read; what is left has not ended then.
    """
    now = work.clock()
    mark, left = (now, ""), PAGE
    while left:
        beyond = sa.tuple_(*_BY_END) > sa.tuple_(*map(sa.literal, mark))
        wanted = waiting(now).add_columns(_TABLE.c.expires_at)
        wanted = wanted.where(beyond).order_by(*_BY_END).limit(PAGE)
        with work.store.reading() as connection:
            rows = connection.execute(wanted).all()
        uses = work.usage.last_uses([row.id for row in rows]) if rows else {}
        for row in rows:
            use = uses.get(row.id)
            used_at = max(use.at, row.superseded_at) if use is not None else row.superseded_at
            if left and used_at + row.quiet_seconds <= now:
                with work.store.change(ACTOR) as change:
                    retire(change, row.id, entropy=work.entropy)
                left -= 1
        if len(rows) < PAGE:
            return
        mark = (rows[-1].expires_at, rows[-1].id)


class Ended:
    """Tells of graces that ended by the clock.

    It remembers until when it looked. Forgotten, it looks back for 90 days, the longest grace that
    there is, and tells nothing twice.
    """

    def __init__(self) -> None:
        self._until: float | None = None

    def run(self, work: Work) -> None:
        """Tell of the next pages of them, each in one change."""
        now = work.clock()
        since = now - LOOK_BACK if self._until is None else min(self._until, now) - OVERLAP
        wanted = ended(since, now).order_by(*_BY_END).limit(PAGE)
        for _ in range(PAGES):
            with work.store.reading() as connection:
                rows = connection.execute(wanted).all()
            if rows:
                with work.store.change(ACTOR) as change:
                    for row in rows:
                        tell_ended(change, row.id, entropy=work.entropy)
            if len(rows) < PAGE:
                self._until = now
                return
        self._until = since + OVERLAP


JOB = Job("end quiet graces", 60.0, end_quiet)
ENDED = Job("tell of ended graces", 60.0, Ended().run)
