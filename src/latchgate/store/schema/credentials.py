"""Credentials, and what is ruled of them: requests they may make, their life, leaks."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, version

credential = sa.Table(
    "credential",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("project_id", sa.Text, sa.ForeignKey("project.id"), nullable=False),
    sa.Column("owner_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("parent_id", sa.Text, sa.ForeignKey("credential.id")),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("services", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("networks", sa.Text),
    sa.Column("environment", sa.Text),
    sa.Column("external_id", sa.Text),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Column("revoked_at", sa.Float),
    sa.Column("issues", sa.Boolean, nullable=False),
    sa.Column("roles", sa.Text),  # ids of roles that it stands for, instead of scopes
    sa.Column("access_rules", sa.Text),  # requests that it may make, None for every one
    sa.Column("denied_tokens", sa.Text),  # tokens minted from it and deleted: id -> expiry
    sa.Column("tokens_after", sa.Float),  # every token issued before then is deleted
    sa.Column("superseded_by", sa.Text),  # the credential that took its place
    sa.Column("superseded_at", sa.Float),
    sa.Column("predecessor_id", sa.Text),  # the one whose place it took
    sa.Column("quiet_seconds", sa.Float),  # its grace ends when it was unused for as long
    sa.Column("disabled_at", sa.Float),
    sa.Column("application_id", sa.Text),  # the program that a grant was given to
    version(),
    sa.Index("credential_by_owner", "owner_id", "created_at"),
    # With what tells those that stand from the rest, so that these cost a list no look each.
    sa.Index("credential_listing", "tenant_id", "created_at", "id", "revoked_at"),
    # Of those that end alone: most don't, and each index is paid for by every import.
    sa.Index(
        "credential_by_end",
        "expires_at",
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    ),
    sa.Index(
        "credential_ending",
        "tenant_id",
        "expires_at",
        "superseded_by",
        "owner_id",
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    ),
    sa.Index("credential_by_digest", "digest"),
    # Of those that were made with another alone: an import brings none.
    sa.Index(
        "credential_by_parent",
        "parent_id",
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    ),
    sa.Index(
        "credential_by_application",
        "application_id",
        sqlite_where=sa.text("application_id IS NOT NULL"),
        postgresql_where=sa.text("application_id IS NOT NULL"),
    ),
)

access_rule = sa.Table(
    "access_rule",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("user_id", "service", "method", "path"),
)

lifetime = sa.Table(
    "lifetime",  # how long credentials of a tenant may live, and when their owners are warned
    main,
    sa.Column("id", sa.Text, primary_key=True),  # tenant_id:kind, or tenant_id:* for every other
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("maximum_life", sa.Float),  # seconds, as the ages below
    sa.Column("rotation_age", sa.Float),
    sa.Column("warning_days", sa.Text),  # days before the end, as JSON; None for the usual ones
    sa.Column("unused_after", sa.Float),
    version(),
    sa.Index("lifetime_by_tenant", "tenant_id"),
)

warned = sa.Table(
    "warned",  # what a credential's owner was warned of: written with the notification
    main,
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("event", sa.Text, primary_key=True),
    sa.Column("threshold", sa.BigInteger, primary_key=True),  # Unix seconds, or 0 for once ever
    sa.Column("at", sa.Float, nullable=False),
)

leak = sa.Table(
    "leak",  # a secret that somebody proved to have found, and what was done about it
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("noun", sa.Text, nullable=False),  # credential, application_key or application
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text),  # None: the operator's own
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("reporter", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),  # revoke, notify or none
    sa.Index("leak_listing", "tenant_id", "created_at", "id"),
)

leak_rule = sa.Table(
    "leak_rule",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # tenant:kind
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # or * for every other
    sa.Column("action", sa.Text, nullable=False),
    version(),
    sa.Index("leak_rule_by_tenant", "tenant_id"),
)
