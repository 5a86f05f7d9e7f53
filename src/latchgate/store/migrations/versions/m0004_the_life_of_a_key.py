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
        _leaks()


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


def _leaks() -> None:
    op.create_table(
        "leak",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("noun", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("reporter", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
    )
    op.create_index("leak_listing", "leak", ["tenant_id", "created_at", "id"])
    op.create_table(
        "leak_rule",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("leak_rule_by_tenant", "leak_rule", ["tenant_id"])
    op.create_index("credential_by_digest", "credential", ["digest"])
    op.create_index("application_key_by_digest", "application_key", ["digest"])
