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
    _access_rules()


def _access_keys() -> None:
    op.add_column("credential", sa.Column("roles", sa.Text))
    op.add_column("credential", sa.Column("access_rules", sa.Text))
    op.add_column("credential", sa.Column("denied_tokens", sa.Text))
    op.add_column("credential", sa.Column("tokens_after", sa.Float))


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
