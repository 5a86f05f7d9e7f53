"""The journal, what the server itself publishes and signs with, and creations sent twice."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main

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
    sa.Column("credential_id", sa.Text),  # what the actor came with
    sa.Column("address", sa.Text),  # where the actor came from
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
    sa.Index("journal_by_tenant", "tenant_id", "n"),
    sa.Index("journal_by_record", "record", "n"),
    sa.Index(
        "journal_of_sign_ins",
        "tenant_id",
        "n",
        sqlite_where=sa.text("action = 'session.begin'"),
        postgresql_where=sa.text("action = 'session.begin'"),
    ),
)

policy_version = sa.Table(
    "policy_version",
    main,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("files", sa.Text, nullable=False),
)

signing_key = sa.Table(
    "signing_key",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # the public key's thumbprint
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("private", sa.LargeBinary, nullable=False),  # under the master key
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("retired_at", sa.Float),
    sa.Column("begins_at", sa.Float),  # when it began to sign; None while it is only published
)

idempotency = sa.Table(
    "idempotency",
    main,
    sa.Column("owner_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request", sa.LargeBinary, nullable=False),  # a digest of route and body
    sa.Column("record", sa.Text, nullable=False),  # the id of what was made
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("idempotency_by_age", "at"),
)
