"""The life of a key: rotation, lifetimes, notifications, usage by area and source, leaks."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"

_LONG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add tables and columns."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" in parts:
        _rotation()
        _notifications()
        _lifetimes()
        _webhooks()
        _leaks()
        _alerts()
    if "usage" in parts:
        _usage()
        _shadows()


def _rotation() -> None:
    for table in ("credential", "application_key"):
        op.add_column(table, sa.Column("superseded_by", sa.Text))
        op.add_column(table, sa.Column("superseded_at", sa.Float))
        op.add_column(table, sa.Column("quiet_seconds", sa.Float))
    op.add_column("application_key", sa.Column("expires_at", sa.Float))
    op.add_column("credential", sa.Column("predecessor_id", sa.Text))
    op.add_column("credential", sa.Column("disabled_at", sa.Float))
    ends = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "credential_by_end", "credential", ["expires_at"], sqlite_where=ends, postgresql_where=ends
    )


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


def _usage() -> None:
    """Count in minutes, hours and days; what was counted by the hour stays, of no known tenant."""
    _counts("use_minute")
    _counts("use_hour")
    _counts(
        "use_day",
        sa.Column("price", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("currency", sa.Text, primary_key=True),
    )
    op.create_table(
        "use_source",
        sa.Column("credential_id", sa.Text, primary_key=True),
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, primary_key=True),
        sa.Column("area", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("use_source_by_first", "use_source", ["first_at"])
    op.create_table(
        "use_total",
        sa.Column("counted", sa.Text, primary_key=True),
        sa.Column("area", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "use_pending",
        sa.Column("id", _LONG, primary_key=True),
        sa.Column("writer", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
    )
    op.create_index("use_pending_by_writer", "use_pending", ["writer", "at"])
    op.add_column("last_use", sa.Column("agent", sa.Text))
    op.execute(
        "INSERT INTO use_hour SELECT hour * 3600, '', '', credential_id, '', '', scope, reason,"
        " count FROM credential_use"
    )
    op.execute(
        "INSERT INTO use_day SELECT hour / 24 * 86400, '', '', credential_id, '', '', scope,"
        " reason, 0, '', SUM(count) FROM credential_use"
        " GROUP BY hour / 24, credential_id, scope, reason"
    )
    op.drop_table("credential_use")


def _counts(name: str, *more: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("credential_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("area", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        *more,
        sa.Column("count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(f"{name}_by_credential", name, ["credential_id", "at"])


def _lifetimes() -> None:
    op.create_table(
        "lifetime",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("maximum_life", sa.Float),
        sa.Column("rotation_age", sa.Float),
        sa.Column("warning_days", sa.Text),
        sa.Column("unused_after", sa.Float),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("lifetime_by_tenant", "lifetime", ["tenant_id"])
    op.create_table(
        "warned",
        sa.Column("credential_id", sa.Text, primary_key=True),
        sa.Column("event", sa.Text, primary_key=True),
        sa.Column("threshold", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )


def _webhooks() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("sealed_former", sa.LargeBinary),
        sa.Column("former_until", sa.Float),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("last_status", sa.Text),
        sa.Column("last_at", sa.Float),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("webhook_by_tenant", "webhook", ["tenant_id", "created_at"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("notification_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("settled_at", sa.Float),
    )
    op.create_index("delivery_due", "delivery", ["state", "next_at"])
    op.create_index("delivery_by_target", "delivery", ["target", "at"])
    op.create_index("delivery_by_age", "delivery", ["at"])


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
        sa.Column("id", _LONG, primary_key=True),
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


def _alerts() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("limit", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text),
        sa.Column("per", sa.Text, nullable=False),
        sa.Column("project_id", sa.Text),
        sa.Column("credential_id", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("last_raised_at", sa.Float),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("alert_listing", "alert", ["tenant_id", "created_at", "id"])
    op.create_index("alert_to_evaluate", "alert", ["active", "kind"])
    op.create_table(
        "alert_raised",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("alert_id", sa.Text, sa.ForeignKey("alert.id"), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )
    op.create_index("alert_raised_listing", "alert_raised", ["alert_id", "at", "id"])
