"""Who follows the journal, what they were promised, and who runs the jobs (ARCHITECTURE §6)."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, usage

verifier = sa.Table(
    "verifier",
    main,
    sa.Column("incarnation", sa.Text, primary_key=True),  # random, new with each memory
    sa.Column("kind", sa.Text, nullable=False),  # node, edge
    sa.Column("node", sa.Text, nullable=False),  # what the operator calls the machine
    sa.Column("process", sa.BigInteger, nullable=False),
    sa.Column("program", sa.Text, nullable=False),  # its version
    sa.Column("schema", sa.Text, nullable=False),  # the newest it knows
    sa.Column("trust", sa.Float, nullable=False),  # seconds; never changed
    sa.Column("stale", sa.Boolean, nullable=False),  # whether that is more than its lease
    sa.Column("acknowledged", sa.BigInteger, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),  # how often it wrote this row
    sa.Column("state", sa.Text, nullable=False),  # live, leaving
    sa.Column("joined_at", sa.Float, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),  # for people; nothing is decided by it
    sa.Column("tenants", sa.Text),  # those that an edge serves, as JSON; None: all
    sa.Column("credential_id", sa.Text),  # what an edge came with; nobody else writes its row
)

promise = sa.Table(
    "promise",
    main,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("max_trust", sa.Float, nullable=False),  # the longest of all, ever
    sa.Column("gateway_tail", sa.Float, nullable=False),  # seconds that gateways remember for
    sa.Column("timeline", sa.Text, nullable=False),  # of the database's own history
    sa.Column("settled", sa.Boolean, nullable=False),  # whether nobody trusts an earlier one
)

receipt = sa.Table(
    "receipt",
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("elapsed", sa.Float, nullable=False),  # seconds
    sa.Column("acknowledged", sa.Integer, nullable=False),
    sa.Column("verifiers", sa.Text, nullable=False),  # each with its state, as JSON
    sa.Index("receipt_by_age", "at"),
)

duty = sa.Table(
    "duty",
    main,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
)

# Which programs may work with what the newest migration left: from this one on. In each database.
schema_window, _ = (
    sa.Table(
        "schema_window",
        part,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("oldest", sa.Text, nullable=False),  # the number of a migration
    )
    for part in (main, usage)
)
