"""Records of the verify path, read inside a transaction of the store's, over either database.

For who reads on behalf of a verifier elsewhere: what it is told, and the row that proves it, are of
one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from latchgate.core.model import Key, Record
from latchgate.store import reads, schema

POSTGRES = "postgresql"


def read_within(connection: sa.Connection, keys: Sequence[Key]) -> dict[Key, Record | None]:
    """Read records, and maybe what goes with them; None for each that was asked and isn't there."""
    if not keys:
        return {}
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == POSTGRES:
        # Only here: not every server has the driver for it.
        from latchgate.store import postgres_records  # noqa: PLC0415 - see above

        return postgres_records.read_within(driver, keys)
    return reads.read_within(driver, keys)


def timeline(connection: sa.Connection) -> str:
    """Return the name of the database's own history: another one than before was promoted since."""
    if connection.dialect.name == POSTGRES:
        from latchgate.store.postgres_feed import TIMELINE  # noqa: PLC0415 - as above

        found: str = connection.execute(sa.select(sa.literal_column(TIMELINE))).scalar_one()
        return found
    kept: str = connection.execute(sa.select(schema.promise.c.timeline)).scalar_one()
    return kept
