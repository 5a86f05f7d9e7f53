"""What the console's overview looks up among many credentials and much use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add indices of what is looked up, and each tenant's hours."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" in parts:
        _indices()
    if "usage" in parts:
        _hours()


def _indices() -> None:
    for name, columns in (
        ("credential_by_owner", ["owner_id", "created_at"]),
        ("credential_listing", ["tenant_id", "created_at", "id", "revoked_at"]),
    ):
        op.drop_index(name, "credential")
        op.create_index(name, "credential", columns)
    ending = ["tenant_id", "expires_at", "superseded_by", "owner_id"]
    ends = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "credential_ending", "credential", ending, sqlite_where=ends, postgresql_where=ends
    )
    above = sa.text("parent_id IS NOT NULL")
    op.create_index(
        "credential_by_parent",
        "credential",
        ["parent_id"],
        sqlite_where=above,
        postgresql_where=above,
    )
    begun = sa.text("action = 'session.begin'")
    op.create_index(
        "journal_of_sign_ins",
        "journal",
        ["tenant_id", "n"],
        sqlite_where=begun,
        postgresql_where=begun,
    )


def _hours() -> None:
    """Add up the hours that are kept: of each tenant, and of everybody."""
    op.create_table(
        "use_tenant",
        sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    for tenant, by in (("tenant_id", "at, tenant_id, reason"), ("'*'", "at, reason")):
        op.execute(
            "INSERT INTO use_tenant (at, tenant_id, reason, count)"  # noqa: S608 - words of this program
            f" SELECT at, {tenant}, reason, SUM(count) FROM use_hour"
            f" WHERE TRUE GROUP BY {by}"
        )
