"""First tables: as they were, whatever `store.schema` has become since."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None

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
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

tenant = sa.Table(
    "tenant",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

project = sa.Table(
    "project",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("tenant_id", "name"),
)

role = sa.Table(
    "role",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id")),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
)

user = sa.Table(
    "account",  # "user" is a reserved word in PostgreSQL
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("password", sa.Text),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("tenant_id", "name"),
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
    sa.Index("credential_listing", "tenant_id", "created_at", "id"),
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

use = sa.Table(
    "credential_use",
    usage,
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)

last_use = sa.Table(
    "last_use",
    usage,
    sa.Column("credential_id", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("address", sa.Text),
)


def upgrade() -> None:
    """Create the tables of the parts that live in this database."""
    parts: set[str] = context.config.attributes["parts"]
    connection = op.get_bind()
    if "usage" in parts:
        usage.create_all(connection)
    if "main" in parts:
        main.create_all(connection)
        head = sa.insert(journal_head)
        connection.execute(head.values(id=1, n=0, hash=bytes(32), epoch=str(uuid.uuid4())))
