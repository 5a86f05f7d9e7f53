"""Revocation of tokens by the client that they were given to.

Rule of this file: an access token is put on the short list of what it was minted from, a refresh
token ends its whole grant. A token that is not known, or ended, needs no revocation and is answered
like one that had it; that it is revoked is only said once it is. Source: RFC 7009.
"""

from __future__ import annotations

import sqlalchemy as sa

from latchgate.core.kinds.oauth_token import Claims, read_claims
from latchgate.manage import project_tokens
from latchgate.oauth import grants, refresh
from latchgate.oauth.clients import Client
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.server import AuthorizationServer
from latchgate.store import schema
from latchgate.store.journal import Actor, stored

_ANOTHERS = "the token was given to another client"


def revoke(
    server: AuthorizationServer, client: Client, text: str, *, address: str | None
) -> int | None:
    """Revoke a client's own token; returns the journal number to wait for.

    None where nothing was left to revoke. OAuthError invalid_grant for another client's token.
    StoreError when nothing is known of the outcome.
    """
    actor = grants.of_client(client, address)
    if text.startswith(f"{refresh.PREFIX}_"):
        return _refresh(server, client, text, actor)
    return _access(server, client, text, actor)


def _refresh(server: AuthorizationServer, client: Client, text: str, actor: Actor) -> int | None:
    with server.store.reading() as connection:
        known = refresh.read(connection, text)
    if known is None:
        return None
    if known.family.client_id != client.id:
        raise OAuthError(Code.INVALID_GRANT, _ANOTHERS)
    return grants.revoke(server.store, known.family.grant_id, actor=actor)


def _access(server: AuthorizationServer, client: Client, text: str, actor: Actor) -> int | None:
    claimed = server.kind.claim(text)
    if not isinstance(claimed, tuple):
        return None
    facts = server.engine.proven(claimed[0])
    if facts is None:
        return None
    said = read_claims(text)
    if said.client_id != client.id:
        raise OAuthError(Code.INVALID_GRANT, _ANOTHERS)
    # One that doesn't stand for now is revoked all the same: its user may be enabled again. One
    # that was deleted before has its receipt waited for again.
    return None if server.clock() >= said.exp else _denied(server, said, actor)


def _denied(server: AuthorizationServer, said: Claims, actor: Actor) -> int | None:
    """Note a token as deleted with what it was minted from."""
    table = schema.credential
    shown = (table.c.id, table.c.tenant_id, table.c.denied_tokens)
    with server.store.change(actor) as change:
        found = change.execute(sa.select(*shown).where(table.c.id == said.grant_id))
        source = found.mappings().one_or_none()
        if source is None:
            return None
        before = stored(source)
        if said.jti in (before["denied_tokens"] or {}):
            return grants.head(change)
        return project_tokens.deny(
            change, before, said.jti, float(said.exp), action="access_token.revoke"
        )
