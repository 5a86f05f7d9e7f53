"""What passes in minutes is let go of: codes, device codes and refresh tokens that ended.

Rule of this file: what was used is kept for a while longer than it lasts, for only what is known
can be known again: a code or refresh token that comes a second time revokes its grant.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.journal import Store

KEPT = 86_400.0  # seconds after its end
KEPT_DEVICE = 3_600.0  # of these anybody may begin as many as are let; one used again takes nothing
MOST = 5_000  # rows of a table at once, so that no other writer waits long
_TABLES = (
    (schema.oauth_code, KEPT),
    (schema.oauth_device, KEPT_DEVICE),
    (schema.oauth_refresh, KEPT),
)


def forget(store: Store, *, now: float) -> int:
    """Delete what ended that long ago; returns how many rows. StoreError when it can't.

    All of it, in so many transactions: what is made faster than it is let go of fills the disk.
    """
    return sum(_forget(store, table, now - kept) for table, kept in _TABLES)


def _forget(store: Store, table: sa.Table, before: float) -> int:
    old = sa.select(table.c.digest).where(table.c.expires_at < before).limit(MOST)
    gone = 0
    while True:
        with store.writing() as connection:
            some = connection.execute(sa.delete(table).where(table.c.digest.in_(old))).rowcount
        gone += some
        if some < MOST:
            return gone
