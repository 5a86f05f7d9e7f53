"""Signing in: sessions, what people sign in with besides a password, and sign-ins half done."""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, version

session = sa.Table(
    "session",  # told by no journal row but that it began and ended: no verifier needs it
    main,
    sa.Column("id", sa.Text, primary_key=True),  # public: lists of sessions show it
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),  # of the cookie's secret
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),  # however often it is used
    sa.Column("auth_time", sa.Float, nullable=False),  # of the last proof that it is they
    sa.Column("methods", sa.Text, nullable=False),  # how they signed in (RFC 8176)
    sa.Column("provider", sa.Text),  # the external provider that they came from
    sa.Column("address", sa.Text),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Index("session_by_user", "user_id", "created_at"),
    sa.Index("session_by_end", "expires_at"),
)

authenticator = sa.Table(
    "authenticator",  # what somebody signs in with besides, or instead of, a password
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("sort", sa.Text, nullable=False),  # totp, passkey or recovery
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sealed_secret", sa.LargeBinary),  # of TOTP, under the master key
    sa.Column("handle", sa.LargeBinary, unique=True),  # a passkey's credential id
    sa.Column("public", sa.LargeBinary),  # a passkey's attested credential data (WebAuthn §6.5.2)
    sa.Column("digest", sa.LargeBinary),  # of a recovery code
    sa.Column("counter", sa.BigInteger, nullable=False),  # the last TOTP step or signature counter
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("confirmed_at", sa.Float),  # a TOTP secret counts once a code of it was right
    sa.Column("used_at", sa.Float),
    version(),
    sa.Index("authenticator_by_user", "user_id"),
)

ceremony = sa.Table(
    # A sign-in half done: a second factor or an external provider is waited for. And statements
    # about workloads (`user_id`) that were exchanged, so that each is once.
    "ceremony",
    main,
    sa.Column("digest", sa.LargeBinary, primary_key=True),  # of what its browser holds
    sa.Column("sort", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Index("ceremony_by_end", "expires_at"),
    sa.Index("ceremony_by_user", "user_id"),
)
