"""The other database: refusals, counts of use, and what old systems decided otherwise."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from latchgate.store.schema.columns import LONG, usage

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

use_tenant = sa.Table(
    "use_tenant",  # the hours of a tenant's credentials together, and of everybody's: few rows
    usage,
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),  # its first second
    sa.Column("tenant_id", sa.Text, primary_key=True),  # * for everybody
    sa.Column("reason", sa.Text, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
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
    sa.Column("counted", sa.Text, primary_key=True),  # decision, dropped, or turned_away
    sa.Column("area", sa.Text, primary_key=True),  # or the listener
    sa.Column("reason", sa.Text, primary_key=True),  # or what was dropped, or why
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
    sa.Column("id", LONG, primary_key=True),
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
    sa.Column("id", LONG, primary_key=True),
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
