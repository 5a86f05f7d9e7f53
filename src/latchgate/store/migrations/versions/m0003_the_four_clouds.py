"""The four clouds' own APIs: access keys with roles and rules, tokens that were deleted.

TeraCLOUD: whose Basic goes by the default, the storage that a user has, keys for some tenants.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add tables and columns."""
    parts: set[str] = context.config.attributes["parts"]
    if "main" not in parts:
        return
    _access_keys()
    _teracloud(op.get_bind())
    _upcloud()
    _access_rules()


def _access_keys() -> None:
    op.add_column("credential", sa.Column("roles", sa.Text))
    op.add_column("credential", sa.Column("access_rules", sa.Text))
    op.add_column("credential", sa.Column("denied_tokens", sa.Text))
    op.add_column("credential", sa.Column("tokens_after", sa.Float))


_SWITCHED = """
SELECT DISTINCT owner_id, kind FROM credential WHERE kind LIKE '%.app_password'
ORDER BY owner_id, kind
"""


def _teracloud(connection: sa.Connection) -> None:
    op.add_column("account", sa.Column("basic_switched", sa.Text))
    op.add_column("application_key", sa.Column("tenants", sa.Text))
    op.create_table(
        "storage",
        sa.Column("id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("node", sa.Text),
        sa.Column("quota", sa.BigInteger),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("introduce_code", sa.Text),
        _version(),
    )
    # Whoever ever had an app password switched Basic on: no default may bring a password back.
    providers: dict[str, list[str]] = {}
    for owner_id, kind in connection.execute(sa.text(_SWITCHED)):
        providers.setdefault(owner_id, []).append(kind.partition(".")[0])
    for owner_id, names in providers.items():
        connection.execute(
            sa.text("UPDATE account SET basic_switched = :names WHERE id = :id"),
            {"names": json.dumps(names), "id": owner_id},
        )


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger, nullable=False, server_default="0")


def _upcloud() -> None:
    op.add_column("account", sa.Column("contact", sa.Text))
    op.add_column("account", sa.Column("deleted_at", sa.Float))
    op.create_table(
        "upcloud_permission",
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("target_type", sa.Text, primary_key=True),
        sa.Column("target_identifier", sa.Text, primary_key=True),
        sa.Column("options", sa.Text, nullable=False),
    )


def _access_rules() -> None:
    op.create_table(
        "access_rule",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("user_id", "service", "method", "path"),
    )
