"""Tenants and who belongs to them: users, their logins and files, projects, roles."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, version

tenant = sa.Table(
    "tenant",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    version(),
)

project = sa.Table(
    "project",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    version(),
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
    version(),
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
    version(),
    sa.UniqueConstraint("tenant_id", "name"),
    sa.Index("account_listing", "tenant_id", "created_at", "id"),
)

role_assignment = sa.Table(
    "role_assignment",
    main,
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("project_id", sa.Text, sa.ForeignKey("project.id"), primary_key=True),
    sa.Column("role_id", sa.Text, sa.ForeignKey("role.id"), primary_key=True),
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

storage = sa.Table(
    "storage",
    main,
    sa.Column("id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),  # the user's
    sa.Column("node", sa.Text),  # the host that holds their files; None until there is one
    sa.Column("quota", sa.BigInteger),  # bytes; None until it is set
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("introduce_code", sa.Text),
    version(),
)

permission = sa.Table(
    "upcloud_permission",  # what UpCloud's API was told; no decision of Latchgate's reads it
    main,
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("target_type", sa.Text, primary_key=True),
    sa.Column("target_identifier", sa.Text, primary_key=True),
    sa.Column("options", sa.Text, nullable=False),
)
