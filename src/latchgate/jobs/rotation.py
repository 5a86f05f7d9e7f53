"""Ends the grace of rotations early, where their owner asked for it and the old secret went quiet.

Rule of this file: a grace is never cut short by what could not be read. What was used in the
meantime, or ended by somebody else, is left alone.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.jobs.job import ACTOR, Job, Work
from latchgate.manage.rotation import retire
from latchgate.store import schema

_AT_ONCE = 500  # a step; the rest has its turn in the next
_TABLE = schema.credential


def end_quiet(work: Work) -> None:
    """End each grace whose old secret was unused for as long as its rotation asked for.

    StoreError when the usage database can't be read; nothing has ended then.
    """
    now = work.clock()
    waiting = (
        sa.select(_TABLE.c.id, _TABLE.c.superseded_at, _TABLE.c.quiet_seconds)
        .where(
            _TABLE.c.quiet_seconds.is_not(None),
            _TABLE.c.superseded_by.is_not(None),
            _TABLE.c.revoked_at.is_(None),
            _TABLE.c.expires_at > now,
            _TABLE.c.superseded_at + _TABLE.c.quiet_seconds <= now,
        )
        .order_by(_TABLE.c.id)
    )
    with work.store.reading() as connection:
        rows = connection.execute(waiting).all()
    ended = 0
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        uses = work.usage.last_uses([row.id for row in some])
        for row in some:
            used_at = uses[row.id].at if row.id in uses else row.superseded_at
            if max(used_at, row.superseded_at) + row.quiet_seconds <= now and ended < _AT_ONCE:
                with work.store.change(ACTOR) as change:
                    retire(change, row.id, entropy=work.entropy)
                ended += 1


JOB = Job("end quiet graces", 60.0, end_quiet)
