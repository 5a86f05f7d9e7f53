"""Applications, their keys, and the users for whom they are blocked."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, version

application = sa.Table(
    "application",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("vendor", sa.Text, nullable=False),
    sa.Column("contact", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("developer", sa.Text, nullable=False),  # corporation, individual or open_source
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),  # of the last decision
    sa.Column("owner_digest", sa.LargeBinary, nullable=False),  # of the developer's own token
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("decided_at", sa.Float),
    sa.Column("decided_by", sa.Text),
    version(),
    sa.Index("application_listing", "created_at", "id"),
)

application_key = sa.Table(
    "application_key",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("application_id", sa.Text, sa.ForeignKey("application.id"), nullable=False),
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id")),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("revoked_at", sa.Float),
    sa.Column("tenants", sa.Text),  # whose users may ask with it, as JSON; None for all
    sa.Column("expires_at", sa.Float),  # the end of its grace, once it was rotated
    sa.Column("superseded_by", sa.Text),
    sa.Column("superseded_at", sa.Float),
    sa.Column("quiet_seconds", sa.Float),
    sa.Index("application_key_by_application", "application_id"),
    sa.Index("application_key_by_digest", "digest"),
)

application_block = sa.Table(
    "application_block",
    main,
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("application_id", sa.Text, sa.ForeignKey("application.id"), primary_key=True),
    sa.Column("blocked_by", sa.Text, primary_key=True),  # user or developer
    sa.Column("at", sa.Float, nullable=False),
)
