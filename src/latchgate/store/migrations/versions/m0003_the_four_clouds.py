"""The four clouds' own APIs: access keys with roles and rules, tokens that were deleted."""

from __future__ import annotations

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
    _upcloud()


def _access_keys() -> None:
    op.add_column("credential", sa.Column("roles", sa.Text))
    op.add_column("credential", sa.Column("access_rules", sa.Text))
    op.add_column("credential", sa.Column("denied_tokens", sa.Text))
    op.add_column("credential", sa.Column("tokens_after", sa.Float))


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
