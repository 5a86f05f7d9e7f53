"""Every kind of credential: logins, applications, filters, implied roles, ETags, signing keys.

A user's password becomes a credential like any other, of the kind `latchgate.account_password`,
found by the login `latchgate:NAME`.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import context, op

revision = "0002"
down_revision = "0001"


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger, nullable=False, server_default="0")


def upgrade() -> None:
    """Add tables and columns, and move passwords."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" not in parts:
        return
    _columns()
    _tables()
    _move_passwords(op.get_bind())


def _columns() -> None:
    op.add_column("journal", sa.Column("credential_id", sa.Text))
    op.add_column("journal", sa.Column("address", sa.Text))
    for table in ("tenant", "project", "role", "account", "credential"):
        op.add_column(table, _version())
    op.add_column("role", sa.Column("implies", sa.Text, nullable=False, server_default="[]"))
    op.add_column("role", sa.Column("created_at", sa.Float, nullable=False, server_default="0"))
    op.add_column("account", sa.Column("sort", sa.Text, nullable=False, server_default="main"))
    op.add_column("account", sa.Column("api", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("account", sa.Column("networks", sa.Text))
    op.add_column("account", sa.Column("email", sa.Text))
    op.add_column(
        "credential", sa.Column("issues", sa.Boolean, nullable=False, server_default=sa.true())
    )
    op.create_index("journal_by_tenant", "journal", ["tenant_id", "n"])
    op.create_index("journal_by_record", "journal", ["record", "n"])
    op.create_index("account_listing", "account", ["tenant_id", "created_at", "id"])
    op.create_index("credential_by_owner", "credential", ["owner_id"])


def _tables() -> None:
    op.create_table(
        "signing_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("public", sa.LargeBinary, nullable=False),
        sa.Column("private", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("retired_at", sa.Float),
    )
    op.create_table(
        "login",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_index("login_by_user", "login", ["user_id"])
    op.create_table(
        "login_credential",
        sa.Column("login_id", sa.Text, sa.ForeignKey("login.id"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("credential_id", sa.Text, sa.ForeignKey("credential.id"), nullable=False),
    )
    op.create_table(
        "application",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("vendor", sa.Text, nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("developer", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("owner_digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("decided_at", sa.Float),
        sa.Column("decided_by", sa.Text),
        _version(),
    )
    op.create_index("application_listing", "application", ["created_at", "id"])
    op.create_table(
        "application_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("application_id", sa.Text, sa.ForeignKey("application.id"), nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id")),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revoked_at", sa.Float),
    )
    op.create_index("application_key_by_application", "application_key", ["application_id"])
    op.create_table(
        "application_block",
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("application_id", sa.Text, sa.ForeignKey("application.id"), primary_key=True),
        sa.Column("blocked_by", sa.Text, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("owner_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("idempotency_by_age", "idempotency", ["at"])


_OWNED = """
SELECT account.id, account.tenant_id, account.name, account.password, account.created_at,
  (SELECT project.id FROM project WHERE project.tenant_id = account.tenant_id
   ORDER BY project.created_at LIMIT 1) AS project_id
FROM account WHERE account.password IS NOT NULL
"""


def _move_passwords(connection: sa.Connection) -> None:
    for row in connection.execute(sa.text(_OWNED)).mappings().all():
        credential_id = f"pw-{secrets.token_hex(6)}"
        login_id = f"latchgate:{row['name'].casefold()}"
        connection.execute(
            sa.text(
                "INSERT INTO credential (id, kind, tenant_id, project_id, owner_id, name,"
                " description, services, scopes, metadata, digest, hint, created_at, created_by)"
                " VALUES (:id, 'latchgate.account_password', :tenant, :project, :owner,"
                " 'password', '', '[\"*\"]', '[\"*\"]', '{}', :digest, '', :at, 'local:migrate')"
            ),
            {
                "id": credential_id,
                "tenant": row["tenant_id"],
                "project": row["project_id"],
                "owner": row["id"],
                "digest": row["password"].encode(),
                "at": row["created_at"],
            },
        )
        connection.execute(
            sa.text("INSERT INTO login (id, user_id, created_at) VALUES (:id, :user, :at)"),
            {"id": login_id, "user": row["id"], "at": row["created_at"]},
        )
        connection.execute(
            sa.text(
                "INSERT INTO login_credential (login_id, kind, credential_id)"
                " VALUES (:login, 'latchgate.account_password', :credential)"
            ),
            {"login": login_id, "credential": credential_id},
        )
    op.drop_column("account", "password")
