"""What passes in minutes is let go of: codes, device codes and refresh tokens that ended.

Rule of this file: what was used is kept for a while longer than it lasts, for only what is known
can be known again: a code or refresh token that comes a second time revokes its grant.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.journal import Store

KEPT = 86_400.0  # seconds after its end
MOST = 5_000  # rows of a table at once, so that no other writer waits long
_TABLES = (schema.oauth_code, schema.oauth_device, schema.oauth_refresh)


def forget(store: Store, *, now: float) -> int:
    """Delete what ended a day ago; returns how many rows. StoreError when it can't."""
    gone = 0
    for table in _TABLES:
        old = sa.select(table.c.digest).where(table.c.expires_at < now - KEPT).limit(MOST)
        with store.writing() as connection:
            gone += connection.execute(sa.delete(table).where(table.c.digest.in_(old))).rowcount
    return gone
