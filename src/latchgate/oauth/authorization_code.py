"""The grants of a user who signed in: by a code, and by the refresh token that came with it.

Source: RFC 6749 §4.1.3 and §6; OpenID Connect Core §3.1.3 and §12.
"""

from __future__ import annotations

from latchgate.oauth import codes, refresh
from latchgate.oauth.clients import Client
from latchgate.oauth.codes import Exchange
from latchgate.oauth.id_token import SignIn, id_token
from latchgate.oauth.minting import TokenAnswer, Wanted, answer, mint
from latchgate.oauth.scopes import OPENID, read_scopes, within
from latchgate.oauth.server import AuthorizationServer


def by_code(
    server: AuthorizationServer, client: Client, sent: Exchange, *, address: str | None
) -> TokenAnswer:
    """Exchange a code for tokens; see `codes.redeem` and `minting.mint` for what is refused."""
    redeemed = codes.redeem(
        server.store,
        client,
        sent,
        now=server.clock(),
        lifetime=server.kind.lifetime,
        entropy=server.entropy,
        address=address,
    )
    asked = redeemed.request
    wanted = Wanted(redeemed.grant_id, client.id, asked.scopes, asked.auth_time)
    minted, identity = mint(server, wanted), None
    if OPENID in asked.scopes:
        identity = id_token(server, minted, SignIn(asked.auth_time, asked.methods, asked.nonce))
    return answer(minted, refresh=redeemed.refresh, id_token=identity)


def by_refresh(
    server: AuthorizationServer,
    client: Client,
    text: str,
    *,
    scope: str | None,
    address: str | None,
) -> TokenAnswer:
    """Exchange a refresh token for the next one and an access token, of fewer scopes if asked.

    What was granted is looked at first: a token is not used up for nothing.
    """
    now = server.clock()
    known = refresh.found(server.store, client, text, now=now)
    family = known.family
    scopes = family.scopes
    if scope is not None:
        scopes = within(read_scopes(scope), scopes, "the refresh token")
    if known.used_at is None:
        mint(server, Wanted(family.grant_id, client.id, scopes))
    following = refresh.rotate(
        server.store, client, known, now=now, entropy=server.entropy, address=address
    )
    minted = mint(server, Wanted(family.grant_id, client.id, scopes, family.auth_time))
    identity = None
    if OPENID in scopes:
        identity = id_token(server, minted, SignIn(family.auth_time))
    return answer(minted, refresh=following, id_token=identity)
