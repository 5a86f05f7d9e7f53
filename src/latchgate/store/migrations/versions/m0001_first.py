"""First tables.

The tables are spelled out by `store.schema` as of this version. From the second migration on,
changes are written here as operations, and this file takes a frozen copy.
"""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import context, op

from latchgate.store import schema
from latchgate.store.journal import GENESIS

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of the parts that live in this database."""
    parts: set[str] = context.config.attributes["parts"]
    connection = op.get_bind()
    if "usage" in parts:
        schema.usage.create_all(connection)
    if "main" in parts:
        schema.main.create_all(connection)
        head = sa.insert(schema.journal_head)
        connection.execute(head.values(id=1, n=0, hash=GENESIS, epoch=str(uuid.uuid4())))
