"""OAuth2 clients as grants read them, and how one proves that it is one.

Rule of this file: a client is known by its id and, unless it is public, by a secret of its
application that stands now; whoever can't prove it is told the same whatever was wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from latchgate.core.kinds.client_secret import secret_digest
from latchgate.core.secret import same
from latchgate.oauth.errors import Code, OAuthError
from latchgate.store import schema
from latchgate.store.journal import Store, stored

SECRET_KIND = "latchgate.client_secret"  # noqa: S105 - the name of a kind
MAX_ID = 255
_APPROVED = "approved"
_UNPROVEN = "the client is not known, or did not prove that it is the one it says it is"


class GrantType(StrEnum):
    """What a client may be allowed to ask a token for, as `grant_type` spells it.

    `INTROSPECTION` is no grant: it lets a client, an API's own, look at every token of its tenant.
    """

    AUTHORIZATION_CODE = "authorization_code"
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant
    CLIENT_CREDENTIALS = "client_credentials"
    DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
    TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - as above
    INTROSPECTION = "urn:latchgate:introspection"


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; `stands` False while it is disabled or its application not approved.

    `tenant_id` is None for the operator's own. `grant_id` is what its client credentials are minted
    from. Times are Unix seconds.
    """

    id: str
    application_id: str
    application_name: str
    tenant_id: str | None
    public: bool
    first_party: bool
    redirect_uris: tuple[str, ...]
    logout_uris: tuple[str, ...]
    grant_types: frozenset[str]
    scopes: frozenset[str]
    grant_id: str | None
    created_at: float
    created_by: str
    disabled_at: float | None
    stands: bool

    def allowed(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of the scopes that the client may be given still, in their order."""
        return tuple(one for one in names if one in self.scopes)

    def may(self, grant_type: GrantType) -> None:
        """Refuse a grant that the client was not registered for: OAuthError unauthorized_client."""
        if grant_type not in self.grant_types:
            msg = f"the client is not registered for the grant {grant_type}"
            raise OAuthError(Code.UNAUTHORIZED_CLIENT, msg)


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that proved itself, and until when that holds if nothing changes (Unix seconds)."""

    client: Client
    until: float | None


def found(store: Store, client_id: str) -> Client | None:
    """Return a client by its id, whether it stands or not; StoreError when it can't be read."""
    with store.reading() as connection:
        return read(connection, client_id)


def authenticated(store: Store, client_id: str, secret: str | None, *, now: float) -> Client:
    """Return the client that says who it is, with its secret or, when public, without one.

    OAuthError invalid_client, status 401, whatever is wrong; StoreError when it can't be read.
    """
    return proven(store, client_id, secret, now=now).client


def proven(store: Store, client_id: str, secret: str | None, *, now: float) -> Proven:
    """Return as `authenticated` does, and until when that holds."""
    with store.reading() as connection:
        client = read(connection, client_id)
        if client is None or client.public is not (secret is None):
            raise unproven()
        until = None if secret is None else _secret(connection, client, secret, now)
    if not client.stands:
        raise OAuthError(Code.INVALID_CLIENT, "the client is disabled or not approved", 401)
    return Proven(client, until)


def unproven() -> OAuthError:
    """Return what is answered to whoever is not the client that they say they are."""
    return OAuthError(Code.INVALID_CLIENT, _UNPROVEN, 401)


def _secret(connection: sa.Connection, client: Client, secret: str, now: float) -> float | None:
    """Return until when the secret that was sent stands; OAuthError when none that stands is it."""
    table = schema.application_key
    wanted = sa.select(table.c.digest, table.c.expires_at).where(
        table.c.application_id == client.application_id,
        table.c.kind == SECRET_KIND,
        table.c.revoked_at.is_(None),
        sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now),
    )
    told = secret_digest(secret)
    for row in connection.execute(wanted).all():
        if same(bytes(row.digest), told):
            until: float | None = row.expires_at
            return until
    raise unproven()


def read(connection: sa.Connection, client_id: str) -> Client | None:
    """Return a client as a transaction sees it."""
    table, application = schema.oauth_client, schema.application
    wanted = (
        sa.select(table, application.c.name, application.c.state)
        .join(application, application.c.id == table.c.application_id)
        .where(table.c.id == client_id)
    )
    row = connection.execute(wanted).mappings().one_or_none() if len(client_id) <= MAX_ID else None
    return None if row is None else _client(stored(row))


def _client(row: dict[str, Any]) -> Client:
    return Client(
        id=row["id"],
        application_id=row["application_id"],
        application_name=row["name"],
        tenant_id=row["tenant_id"],
        public=bool(row["public"]),
        first_party=bool(row["first_party"]),
        redirect_uris=tuple(row["redirect_uris"]),
        logout_uris=tuple(row["logout_uris"]),
        grant_types=frozenset(row["grant_types"]),
        scopes=frozenset(row["scopes"]),
        grant_id=row["grant_id"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        disabled_at=row["disabled_at"],
        stands=row["disabled_at"] is None and row["state"] == _APPROVED,
    )
