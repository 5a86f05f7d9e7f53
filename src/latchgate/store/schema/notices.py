"""What somebody should hear of, and what brings it there: notifications, webhooks, alerts."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, version

notification = sa.Table(
    "notification",  # what happened that somebody should hear of; written with what happened
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text),  # None: the operator's own
    sa.Column("user_id", sa.Text),  # whose it is, who is written to
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("routed", sa.Boolean, nullable=False),  # deliveries of it were made
    sa.Index("notification_to_route", "routed", "at"),
    sa.Index("notification_by_tenant", "tenant_id", "at"),
)

webhook = sa.Table(
    "webhook",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id")),  # None: the operator's own
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", sa.Text, nullable=False),  # as JSON; an empty list for all
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),  # under the master key
    sa.Column("sealed_former", sa.LargeBinary),  # the one before, signed with too for a while
    sa.Column("former_until", sa.Float),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("last_status", sa.Text),  # how the last attempt went; no change of the record
    sa.Column("last_at", sa.Float),
    version(),
    sa.Index("webhook_by_tenant", "tenant_id", "created_at"),
)

delivery = sa.Table(
    "delivery",  # one notification on its way to one place
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("notification_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),  # webhook or mail
    sa.Column("target", sa.Text, nullable=False),  # a webhook's id, or a user's
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Float, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # pending, delivered or failed
    sa.Column("last_error", sa.Text),
    sa.Column("settled_at", sa.Float),
    sa.Index("delivery_due", "state", "next_at"),
    sa.Index("delivery_by_target", "target", "at"),
    sa.Index("delivery_by_age", "at"),
)

alert = sa.Table(
    "alert",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("limit", sa.BigInteger, nullable=False),  # a count, or millionths of the currency
    sa.Column("currency", sa.Text),
    sa.Column("per", sa.Text, nullable=False),
    sa.Column("project_id", sa.Text),
    sa.Column("credential_id", sa.Text),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("last_raised_at", sa.Float),
    version(),
    sa.Index("alert_listing", "tenant_id", "created_at", "id"),
    sa.Index("alert_to_evaluate", "active", "kind"),
)

alert_raised = sa.Table(
    "alert_raised",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # alert, subject and period: raised once
    sa.Column("alert_id", sa.Text, sa.ForeignKey("alert.id"), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("alert_raised_listing", "alert_id", "at", "id"),
)
