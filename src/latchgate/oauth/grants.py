"""Grants: what a user lets a client do, as a credential that tokens are minted from.

Rule of this file: a grant is a record like every other credential, so that the one rule for rights
holds for it; it is made and revoked with a journal row, and nobody ever holds a secret of it
(docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from latchgate.manage import grants as manage_grants
from latchgate.manage.grants import GrantSpec
from latchgate.oauth.clients import Client, GrantType, read
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.scopes import OFFLINE, of_services
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store, stored

TOKEN_KIND = "latchgate.oauth_token"  # noqa: S105 - the name of a kind
KIND = "latchgate.oauth_grant"
ABSOLUTE_LIFE = 90 * 86_400.0  # seconds, however often it is refreshed


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose rights a grant gives: a user, in one of their projects."""

    user_id: str
    project_id: str


def make(
    store: Store,
    client: Client,
    holder: Holder,
    *,
    scopes: Iterable[str],
    expires_at: float | None,
    actor: Actor,
    entropy: Callable[[int], bytes],
) -> str:
    """Make a grant and return its id; OAuthError invalid_grant without such a user."""
    with store.change(actor) as change:
        return add(change, client, holder, scopes=scopes, expires_at=expires_at, entropy=entropy)


def add(
    change: Change,
    client: Client,
    holder: Holder,
    *,
    scopes: Iterable[str],
    expires_at: float | None,
    entropy: Callable[[int], bytes],
) -> str:
    """Make a grant as part of a change, as `make` does; of what the client may have as of then."""
    # Read again: it may have lost scopes since it proved itself, or been switched off.
    now = read(change.connection, client.id)
    if now is None or not now.stands:
        raise OAuthError(Code.INVALID_GRANT, "the client is disabled or not approved")
    account = schema.user
    whose = sa.select(account.c.tenant_id).where(account.c.id == holder.user_id)
    tenant_id: str | None = change.execute(whose).scalar_one_or_none()
    if tenant_id is None or client.tenant_id not in {None, tenant_id}:
        raise OAuthError(Code.INVALID_GRANT, "whom it was given by is no user of the client's")
    spec = GrantSpec(
        application_id=client.application_id,
        client_id=client.id,
        name=client.application_name,
        owner=(tenant_id, holder.project_id, holder.user_id),
        scopes=of_services(now.allowed(scopes)),
        issues=client.first_party,
        expires_at=expires_at,
    )
    made: str = manage_grants.write(change, KIND, spec, entropy)["id"]
    return made


def revoke(store: Store, grant_id: str, *, actor: Actor) -> int:
    """Revoke a grant with all that was minted from it; returns the journal number to wait for.

    A repeated one changes nothing and has its receipt waited for again, as has one that is gone.
    """
    with store.change(actor) as change:
        n = end(change, grant_id)
        return n if n is not None else head(change)


def end(change: Change, grant_id: str) -> int | None:
    """Revoke a grant as part of a change; None when there is none that was not revoked."""
    table = schema.credential
    wanted = sa.select(table).where(table.c.id == grant_id, manage_grants.ALIVE)
    row = change.execute(wanted).mappings().one_or_none()
    return None if row is None else manage_grants.revoke(change, [stored(row)])


def refreshes(client: Client, scopes: Iterable[str]) -> bool:
    """Whether a client is given refresh tokens (OpenID Connect Core §11).

    It is where it is registered for them and `offline_access` was consented to.
    """
    return GrantType.REFRESH_TOKEN in client.grant_types and OFFLINE in scopes


def ends_at(client: Client, scopes: Iterable[str], *, now: float, lifetime: float) -> float:
    """Return when a new grant ends: one that can't be refreshed with its one token."""
    return now + (ABSOLUTE_LIFE if refreshes(client, scopes) else lifetime)


def given_by(client: Client, holder: Holder, address: str | None) -> Actor:
    """Return how the journal names whoever makes a grant: the user, through the client."""
    return Actor(f"user:{holder.user_id} client:{client.id}", None, address=address)


def of_client(client: Client, address: str | None) -> Actor:
    """Return how the journal names a client that acts by itself."""
    return Actor(f"client:{client.id}", client.tenant_id, address=address)


def head(change: Change) -> int:
    """Return the journal's number as a change sees it."""
    n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return n
