"""The tables, in SQLAlchemy Core: what migrations create and management statements use.

Portable on purpose: text, float, integer and binary columns only, lists as JSON text, times as
Unix seconds. Two groups, because on SQLite they are two files with different durability.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def _version() -> sa.Column[int]:
    """Return the column that holds the journal number of a record's last change: its ETag."""
    return sa.Column("version", sa.BigInteger, nullable=False)


# Lists and maps, kept as JSON text.
JSON_COLUMNS = frozenset(
    {
        "services",
        "scopes",
        "networks",
        "metadata",
        "implies",
        "roles",
        "access_rules",
        "denied_tokens",
        "basic_switched",
        "tenants",
        "contact",
        "options",
        "data",
        "warning_days",
        "events",
    }
)
# What no journal row repeats.
SECRET_COLUMNS = frozenset({"digest", "owner_digest", "private", "sealed_secret", "sealed_former"})

main = sa.MetaData()
usage = sa.MetaData()

journal_head = sa.Table(
    "journal_head",
    main,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Column("epoch", sa.Text, nullable=False),
)

journal = sa.Table(
    "journal",
    main,
    sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("noun", sa.Text, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("credential_id", sa.Text),  # what the actor came with
    sa.Column("address", sa.Text),  # where the actor came from
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index("journal_by_tenant", "tenant_id", "n"),
    sa.Index("journal_by_record", "record", "n"),
)

signing_key = sa.Table(
    "signing_key",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # the public key's thumbprint
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("private", sa.LargeBinary, nullable=False),  # under the master key
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("retired_at", sa.Float),
)

tenant = sa.Table(
    "tenant",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    _version(),
)

project = sa.Table(
    "project",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    _version(),
    sa.UniqueConstraint("tenant_id", "name"),
)

role = sa.Table(
    "role",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id")),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("implies", sa.Text, nullable=False),  # ids of roles, as JSON
    sa.Column("created_at", sa.Float, nullable=False),
    _version(),
)

user = sa.Table(
    "account",  # "user" is a reserved word in PostgreSQL
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("sort", sa.Text, nullable=False),  # main, sub or service
    sa.Column("api", sa.Boolean, nullable=False),
    sa.Column("networks", sa.Text),
    sa.Column("email", sa.Text),
    # Providers at which they switched Basic on or off themselves: no default holds there.
    sa.Column("basic_switched", sa.Text),
    sa.Column("contact", sa.Text),  # what was told of an UpCloud account, field by field
    sa.Column("deleted_at", sa.Float),  # a subaccount that is gone: seen in the journal alone
    _version(),
    sa.UniqueConstraint("tenant_id", "name"),
    sa.Index("account_listing", "tenant_id", "created_at", "id"),
)

storage = sa.Table(
    "storage",
    main,
    sa.Column("id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),  # the user's
    sa.Column("node", sa.Text),  # the host that holds their files; None until there is one
    sa.Column("quota", sa.BigInteger),  # bytes; None until it is set
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("introduce_code", sa.Text),
    _version(),
)

login = sa.Table(
    "login",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # namespace:name, in canonical form
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Index("login_by_user", "user_id"),
)

login_credential = sa.Table(
    "login_credential",
    main,
    sa.Column("login_id", sa.Text, sa.ForeignKey("login.id"), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("credential_id", sa.Text, sa.ForeignKey("credential.id"), nullable=False),
)

permission = sa.Table(
    "upcloud_permission",  # what UpCloud's API was told; no decision of Latchgate's reads it
    main,
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("target_type", sa.Text, primary_key=True),
    sa.Column("target_identifier", sa.Text, primary_key=True),
    sa.Column("options", sa.Text, nullable=False),
)

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
    _version(),
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

role_assignment = sa.Table(
    "role_assignment",
    main,
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("project_id", sa.Text, sa.ForeignKey("project.id"), primary_key=True),
    sa.Column("role_id", sa.Text, sa.ForeignKey("role.id"), primary_key=True),
)

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
    _version(),
    sa.Index("credential_by_owner", "owner_id"),
    sa.Index("credential_listing", "tenant_id", "created_at", "id"),
    # Of those that end alone: most don't, and each index is paid for by every import.
    sa.Index("credential_by_end", "expires_at", sqlite_where=sa.text("expires_at IS NOT NULL")),
    sa.Index("credential_by_digest", "digest"),
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

idempotency = sa.Table(
    "idempotency",
    main,
    sa.Column("owner_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.LargeBinary, nullable=False),  # a digest of route and body
    sa.Column("record", sa.Text, nullable=False),  # the id of what was made
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("idempotency_by_age", "at"),
)

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
    _version(),
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

webhook = sa.Table(
    "webhook",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
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
    _version(),
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
    _version(),
    sa.Index("leak_rule_by_tenant", "tenant_id"),
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
    _version(),
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

policy_version = sa.Table(
    "policy_version",
    main,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("files", sa.Text, nullable=False),
)

refusal = sa.Table(
    "refusal",
    usage,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("ring", sa.Text, nullable=False),  # a tenant's id, or "" for unknown credentials
    sa.Column("credential_id", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Index("refusal_by_ring", "ring", "at"),
    sa.Index("refusal_by_age", "at"),
)


def _counts(name: str, *more: sa.Column[Any]) -> sa.Table:
    """Return a table of counts by bucket of time; the sum of each is exact by itself."""
    return sa.Table(
        name,
        usage,
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),  # its first second
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("project_id", sa.Text, primary_key=True),
        sa.Column("credential_id", sa.Text, primary_key=True),  # "" for who proved nothing
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("area", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        *more,
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Index(f"{name}_by_credential", "credential_id", "at"),
        sqlite_with_rowid=False,
    )


use_minute = _counts("use_minute")
use_hour = _counts("use_hour")
use_day = _counts(
    "use_day",
    sa.Column("price", sa.BigInteger, primary_key=True, autoincrement=False),  # millionths, of one
    sa.Column("currency", sa.Text, primary_key=True),
)

use_source = sa.Table(
    "use_source",
    usage,
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("agent", sa.Text, primary_key=True),
    sa.Column("area", sa.Text, primary_key=True),
    sa.Column("application_id", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.BigInteger, nullable=False),  # of them
    sa.Column("first_at", sa.Float, nullable=False),
    sa.Column("last_at", sa.Float, nullable=False),
    sa.Index("use_source_by_first", "first_at"),
    sqlite_with_rowid=False,
)

use_total = sa.Table(
    "use_total",  # since the beginning; only ever more
    usage,
    sa.Column("counted", sa.Text, primary_key=True),  # decision, or dropped
    sa.Column("area", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),  # or what was dropped
    sa.Column("count", sa.BigInteger, nullable=False),
)

last_use = sa.Table(
    "last_use",
    usage,
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("agent", sa.Text),
)

# Counts that are still to be added to the tables above, by who counted them (store/pending.py).
use_pending = sa.Table(
    "use_pending",
    usage,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("writer", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("counts", sa.Text, nullable=False),
    sa.Index("use_pending_by_writer", "writer", "at"),
)

# How decisions compared with those of the old system of an area (store/shadows.py).
shadow_count = sa.Table(
    "shadow_count",
    usage,
    sa.Column("area", sa.Text, primary_key=True),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)

shadow_difference = sa.Table(
    "shadow_difference",
    usage,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("area", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("decision_id", sa.Text),  # None where Latchgate allowed: such leave no trace
    sa.Column("status", sa.Integer),
    sa.Column("credential_id", sa.Text),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Index("shadow_difference_by_area", "area", "id"),
    sa.Index("shadow_difference_by_age", "at"),
)
