"""Who follows the journal, and what revocation promises while they do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
oldest = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add verifiers, the promise, receipts, the jobs' holder and who may work with the tables."""
    op.create_table(
        "schema_window",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("oldest", sa.Text, nullable=False),
    )
    op.execute(f"INSERT INTO schema_window (id, oldest) VALUES (1, '{oldest}')")  # noqa: S608 - a word of this program
    parts: set[str] = context.config.attributes["parts"]
    if "main" not in parts:
        return
    op.create_table(
        "verifier",
        sa.Column("incarnation", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("process", sa.BigInteger, nullable=False),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("schema", sa.Text, nullable=False),
        sa.Column("trust", sa.Float, nullable=False),
        sa.Column("stale", sa.Boolean, nullable=False),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("joined_at", sa.Float, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
        sa.Column("tenants", sa.Text),
        sa.Column("credential_id", sa.Text),
    )
    promise = op.create_table(
        "promise",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("max_trust", sa.Float, nullable=False),
        sa.Column("gateway_tail", sa.Float, nullable=False),
        sa.Column("timeline", sa.Text, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
    )
    op.bulk_insert(
        promise,
        [{"id": 1, "max_trust": 0.0, "gateway_tail": 0.0, "timeline": "", "settled": True}],
    )
    op.create_table(
        "receipt",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("elapsed", sa.Float, nullable=False),
        sa.Column("acknowledged", sa.Integer, nullable=False),
        sa.Column("verifiers", sa.Text, nullable=False),
        sa.Index("receipt_by_age", "at"),
    )
    op.create_table(
        "duty",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
