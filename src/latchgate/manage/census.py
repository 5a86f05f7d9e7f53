"""How many credentials of each kind there are, and in which state, for whoever watches."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.journal import Store


def census(store: Store, *, now: float) -> dict[tuple[str, str], int]:
    """Return the number of credentials by kind and state; StoreError when it can't be read.

    The states are `revoked`, `expired`, `disabled` and `active`: the first that applies.
    """
    table = schema.credential
    state = sa.case(
        (table.c.revoked_at.is_not(None), "revoked"),
        (table.c.expires_at <= now, "expired"),
        (table.c.disabled_at.is_not(None), "disabled"),
        else_="active",
    )
    counted = sa.select(table.c.kind, state, sa.func.count()).group_by(table.c.kind, state)
    with store.reading() as connection:
        return {(kind, told): number for kind, told, number in connection.execute(counted)}
