"""Sign-out that a client asks for, and where the browser goes after it.

Rule of this file: nobody is signed out unasked by a link of somebody else's: without an ID token of
who is signed in they are asked. A browser is sent to an address of a client that is known, letter
by letter, and to no other. Source: OpenID Connect RP-Initiated Logout 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from latchgate.oauth.authorization import with_query
from latchgate.oauth.clients import found
from latchgate.oauth.id_token import hinted
from latchgate.oauth.sent import Sent, UnanswerableError
from latchgate.oauth.server import AuthorizationServer


@dataclass(frozen=True, slots=True)
class Leaving:
    """A wish to sign out: of whom (None: unproven), for which program, and where to go then."""

    text: str
    subject: str | None
    application: str | None
    onward: str | None


def read(server: AuthorizationServer, raw: bytes) -> Leaving:
    """Read it from its query; UnanswerableError where anything in it is not right."""
    sent = Sent.of(raw)
    if sent.repeated:
        raise UnanswerableError("The request of the application holds a parameter twice.")
    subject, client_id = None, sent.get("client_id")
    hint = sent.get("id_token_hint")
    if hint is not None:
        claims = hinted(server, hint)
        if claims is None or client_id not in {None, claims.aud}:
            msg = "The request names nobody: its id_token_hint is no ID token of this server"
            raise UnanswerableError(f"{msg} for that application.")
        subject, client_id = claims.sub, claims.aud
    client = found(server.store, client_id) if client_id is not None else None
    onward = sent.get("post_logout_redirect_uri")
    if onward is not None:
        if client is None or not client.stands or onward not in client.logout_uris:
            msg = "The address to go to after it (post_logout_redirect_uri) is not one that the"
            raise UnanswerableError(f"{msg} application registered.")
        state = sent.get("state")
        onward = with_query(onward, {"state": state} if state is not None else {})
    name = client.application_name if client is not None else None
    return Leaving(sent.text, subject, name, onward)
