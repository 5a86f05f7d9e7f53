"""Webhooks of the operator's, which belong to no tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add and change what later work needs."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" in parts:
        _operator_webhooks()


def _operator_webhooks() -> None:
    # SQLite can't take NOT NULL away: the table is copied. Nothing refers to it.
    with op.batch_alter_table("webhook") as table:
        table.alter_column("tenant_id", existing_type=sa.Text, nullable=True)
