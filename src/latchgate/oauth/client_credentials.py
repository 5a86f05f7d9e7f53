"""The grant of a client that acts by itself: as the service user that it was given.

Rule of this file: nothing is written. Source: RFC 6749 §4.4.
"""

from __future__ import annotations

from latchgate.oauth.clients import Client
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.minting import TokenAnswer, Wanted, answer, mint
from latchgate.oauth.scopes import OPENID_SCOPES, read_scopes, within
from latchgate.oauth.server import AuthorizationServer, ended


def by_itself(server: AuthorizationServer, client: Client, *, scope: str | None) -> TokenAnswer:
    """Give a token to a client, of the scopes it asks for or else of all that it may have.

    OAuthError unauthorized_client when it acts as nobody; see `minting.mint` for the rest.
    """
    if client.public or client.grant_id is None:
        msg = "the client was not given a service user to act as"
        raise OAuthError(Code.UNAUTHORIZED_CLIENT, msg)
    if server.source(client.grant_id).application_id != client.application_id:
        raise ended()
    own = client.scopes - OPENID_SCOPES
    names = read_scopes(scope) if scope is not None else ()
    scopes = within(names, own, "the client") or tuple(sorted(own))
    if not scopes:
        raise OAuthError(Code.INVALID_SCOPE, "the client may have no scope")
    return answer(mint(server, Wanted(client.grant_id, client.id, scopes)))
