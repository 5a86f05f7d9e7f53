"""The life of a key: rotation, lifetimes, notifications, usage by area and source, leaks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add tables and columns."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" in parts:
        _rotation()
        _notifications()
    if "usage" in parts:
        _shadows()


def _rotation() -> None:
    for table in ("credential", "application_key"):
        op.add_column(table, sa.Column("superseded_by", sa.Text))
        op.add_column(table, sa.Column("superseded_at", sa.Float))
        op.add_column(table, sa.Column("quiet_seconds", sa.Float))
    op.add_column("application_key", sa.Column("expires_at", sa.Float))
    op.add_column("credential", sa.Column("predecessor_id", sa.Text))
    op.add_column("credential", sa.Column("disabled_at", sa.Float))
    op.create_index("credential_by_end", "credential", ["expires_at"])


def _notifications() -> None:
    op.create_table(
        "notification",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("routed", sa.Boolean, nullable=False),
    )
    op.create_index("notification_to_route", "notification", ["routed", "at"])
    op.create_index("notification_by_tenant", "notification", ["tenant_id", "at"])


def _shadows() -> None:
    op.create_table(
        "shadow_count",
        sa.Column("area", sa.Text, primary_key=True),
        sa.Column("outcome", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("hour", sa.BigInteger, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "shadow_difference",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("area", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decision_id", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("credential_id", sa.Text),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("address", sa.Text),
    )
    op.create_index("shadow_difference_by_area", "shadow_difference", ["area", "id"])
    op.create_index("shadow_difference_by_age", "shadow_difference", ["at"])
