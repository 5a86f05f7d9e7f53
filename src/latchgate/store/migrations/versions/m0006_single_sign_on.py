"""Single sign-on: clients and grants, sessions, and keys that are published before they sign."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add tables and columns."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" in parts:
        _grants()
        _signing_keys()
        _clients()
        _codes()
        _sessions()


def _grants() -> None:
    op.add_column("credential", sa.Column("application_id", sa.Text))
    op.create_index(
        "credential_by_application",
        "credential",
        ["application_id"],
        sqlite_where=sa.text("application_id IS NOT NULL"),
        postgresql_where=sa.text("application_id IS NOT NULL"),
    )


def _signing_keys() -> None:
    """Say of each key when it began to sign; those there are began when they were made."""
    op.add_column("signing_key", sa.Column("begins_at", sa.Float))
    op.execute("UPDATE signing_key SET begins_at = created_at")


def _clients() -> None:
    op.create_table(
        "oauth_client",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, sa.ForeignKey("application.id"), nullable=False),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id")),
        sa.Column("public", sa.Boolean, nullable=False),
        sa.Column("first_party", sa.Boolean, nullable=False),
        sa.Column("redirect_uris", sa.Text, nullable=False),
        sa.Column("logout_uris", sa.Text, nullable=False),
        sa.Column("grant_types", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("credential.id")),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("disabled_at", sa.Float),
        sa.Column("withdrawn_at", sa.Float),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("oauth_client_by_application", "oauth_client", ["application_id"])
    op.create_index("oauth_client_listing", "oauth_client", ["created_at", "id"])
    op.create_table(
        "consent",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("client_id", sa.Text, sa.ForeignKey("oauth_client.id"), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("given_at", sa.Float, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("consent_by_client", "consent", ["client_id"])
    op.create_index("consent_by_user", "consent", ["user_id"])
    op.create_table(
        "workload",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("jwks_uri", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("lifetime", sa.Float, nullable=False),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("credential.id"), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("disabled_at", sa.Float),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_index("workload_by_issuer", "workload", ["issuer"])


def _codes() -> None:
    op.create_table(
        "oauth_code",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("project_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text),
        sa.Column("challenge", sa.Text, nullable=False),
        sa.Column("auth_time", sa.Float, nullable=False),
        sa.Column("methods", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float),
        sa.Column("grant_id", sa.Text),
    )
    op.create_index("oauth_code_by_end", "oauth_code", ["expires_at"])
    op.create_table(
        "oauth_refresh",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("grant_id", sa.Text, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("auth_time", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("used_at", sa.Float),
    )
    op.create_index("oauth_refresh_by_end", "oauth_refresh", ["expires_at"])
    op.create_index("oauth_refresh_by_grant", "oauth_refresh", ["grant_id"])
    op.create_table(
        "oauth_device",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("user_code", sa.Text, nullable=False, unique=True),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("project_id", sa.Text),
        sa.Column("auth_time", sa.Float),
        sa.Column("methods", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("interval", sa.Float, nullable=False),
        sa.Column("polled_at", sa.Float),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("grant_id", sa.Text),
    )
    op.create_index("oauth_device_by_end", "oauth_device", ["expires_at"])


def _sessions() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("auth_time", sa.Float, nullable=False),
        sa.Column("methods", sa.Text, nullable=False),
        sa.Column("provider", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Float),
    )
    op.create_index("session_by_end", "session", ["expires_at"])
    op.create_index("session_by_user", "session", ["user_id", "created_at"])
    op.create_table(
        "authenticator",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("sort", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary),
        sa.Column("handle", sa.LargeBinary, unique=True),
        sa.Column("public", sa.LargeBinary),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("confirmed_at", sa.Float),
        sa.Column("used_at", sa.Float),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("authenticator_by_user", "authenticator", ["user_id"])
    op.create_table(
        "ceremony",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("sort", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_index("ceremony_by_end", "ceremony", ["expires_at"])
    op.create_index("ceremony_by_user", "ceremony", ["user_id"])
