"""OAuth2: clients, what people consented to, and what a grant passes through on its way.

A grant itself is a credential. Codes, refresh tokens and device codes are kept by digest and told
by no journal row: no verifier needs them.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.store.schema.columns import main, version

oauth_client = sa.Table(
    "oauth_client",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # the client_id
    sa.Column("application_id", sa.Text, sa.ForeignKey("application.id"), nullable=False),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id")),  # None: the operator's own
    sa.Column("public", sa.Boolean, nullable=False),  # has no secret, and can keep none
    sa.Column("first_party", sa.Boolean, nullable=False),  # of Latchgate's own: nobody is asked
    sa.Column("redirect_uris", sa.Text, nullable=False),
    sa.Column("logout_uris", sa.Text, nullable=False),  # where a sign-out may lead to
    sa.Column("grant_types", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("grant_id", sa.Text, sa.ForeignKey("credential.id")),  # of client credentials
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("disabled_at", sa.Float),
    sa.Column("withdrawn_at", sa.Float),  # for good; `disabled_at` says so too
    version(),
    sa.Index("oauth_client_by_application", "application_id"),
    sa.Index("oauth_client_listing", "created_at", "id"),
)

consent = sa.Table(
    "consent",
    main,
    sa.Column("id", sa.Text, primary_key=True),  # user_id:client_id
    sa.Column("user_id", sa.Text, sa.ForeignKey("account.id"), nullable=False),
    sa.Column("client_id", sa.Text, sa.ForeignKey("oauth_client.id"), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("given_at", sa.Float, nullable=False),
    version(),
    sa.Index("consent_by_user", "user_id"),
    sa.Index("consent_by_client", "client_id"),
)

oauth_code = sa.Table(
    "oauth_code",
    main,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("project_id", sa.Text, nullable=False),
    sa.Column("session_id", sa.Text),
    sa.Column("redirect_uri", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("nonce", sa.Text),
    sa.Column("challenge", sa.Text, nullable=False),  # PKCE, S256
    sa.Column("auth_time", sa.Float, nullable=False),
    sa.Column("methods", sa.Text, nullable=False),  # how they signed in (RFC 8176)
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("used_at", sa.Float),
    sa.Column("grant_id", sa.Text),  # what it was exchanged for: it dies if the code comes again
    sa.Index("oauth_code_by_end", "expires_at"),
)

oauth_refresh = sa.Table(
    "oauth_refresh",
    main,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("grant_id", sa.Text, nullable=False),  # its family
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("auth_time", sa.Float),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("used_at", sa.Float),
    sa.Index("oauth_refresh_by_grant", "grant_id"),
    sa.Index("oauth_refresh_by_end", "expires_at"),
)

oauth_device = sa.Table(
    "oauth_device",
    main,
    sa.Column("digest", sa.LargeBinary, primary_key=True),  # of the device code
    sa.Column("user_code", sa.Text, nullable=False, unique=True),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # pending, approved, denied or used
    sa.Column("user_id", sa.Text),
    sa.Column("project_id", sa.Text),
    sa.Column("auth_time", sa.Float),
    sa.Column("methods", sa.Text),
    sa.Column("address", sa.Text),  # who asked, for the person who is asked
    sa.Column("interval", sa.Float, nullable=False),  # seconds between two questions
    sa.Column("polled_at", sa.Float),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("grant_id", sa.Text),
    sa.Index("oauth_device_by_end", "expires_at"),
)

workload = sa.Table(
    "workload",  # whose signed statements are exchanged for short tokens, and as whom
    main,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("jwks_uri", sa.Text, nullable=False),
    sa.Column("audience", sa.Text, nullable=False),
    sa.Column("claims", sa.Text, nullable=False),  # claim -> what it must be, as JSON
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("lifetime", sa.Float, nullable=False),  # seconds
    sa.Column("grant_id", sa.Text, sa.ForeignKey("credential.id"), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("disabled_at", sa.Float),
    version(),
    sa.UniqueConstraint("tenant_id", "name"),
    sa.Index("workload_by_issuer", "issuer"),
)
