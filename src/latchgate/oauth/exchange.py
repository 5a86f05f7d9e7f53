"""Token exchange: a long-lived credential for a short, narrower access token.

Rule of this file: what is sent is verified as any request that carried it would be, networks and
all; the token is its child, never wider and never longer (docs/decisions/0018). Who acts for
somebody else by it says so in `act`. Source: RFC 8693; RFC 8707 for whom a token is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from latchgate.core.kinds import Kind, OauthToken
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.kinds.oauth_token import read_claims
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.model import Credential, Grant, Presented, Refused, Request
from latchgate.core.policy import Policy
from latchgate.core.secret import Secret
from latchgate.oauth.clients import Client
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.minting import TokenAnswer, Wanted, answer, mint
from latchgate.oauth.scopes import read_scopes, within
from latchgate.oauth.server import AuthorizationServer
from latchgate.verify.walk import Claim

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 §3
# Latchgate's own names: what is sent with a request as a bearer, and what is only exchanged.
API_TOKEN = "urn:latchgate:token-type:api_token"  # noqa: S105 - the name of a type
SERVICE_KEY = "urn:latchgate:token-type:service_key"
ACCESS_KEY = "urn:latchgate:token-type:access_key"
# What another issuer signed: `oauth.workload` exchanges these.
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - RFC 8693 §3
STATEMENTS = (JWT, ID_TOKEN)
TYPES = (ACCESS_TOKEN, API_TOKEN, SERVICE_KEY, ACCESS_KEY, *STATEMENTS)
KEY_LOGINS = "access_key"  # the namespace in which guesses of access keys are counted
_MAX_SUBJECT = 4_096
_REFUSED = "the subject_token is not valid, or not of the subject_token_type that was told"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks to exchange; `targets` are whom the token shall be for."""

    subject: Secret
    subject_type: str
    scope: str | None
    targets: tuple[str, ...]
    requested_type: str | None


def check(server: AuthorizationServer, asked: Asked) -> None:
    """Refuse what can't be exchanged, before the subject is looked at (OAuthError)."""
    if asked.subject_type not in TYPES:
        msg = f"subject_token_type is none of {', '.join(TYPES)}"
        raise OAuthError(Code.INVALID_REQUEST, msg)
    if asked.requested_type not in {None, ACCESS_TOKEN}:
        msg = f"requested_token_type can only be {ACCESS_TOKEN}"
        raise OAuthError(Code.INVALID_REQUEST, msg)
    if not set(asked.targets) <= {server.kind.audience, server.issuer}:
        msg = "tokens are made for this server's own audience and issuer alone"
        raise OAuthError(Code.INVALID_TARGET, msg)


def claims(policy: Policy, asked: Asked) -> list[Claim]:
    """Return what the subject claims to be: one claim for each kind that it may be of.

    OAuthError invalid_grant when no kind of the published policy spells anything so.
    """
    text = asked.subject.reveal()
    found = list(_claims(policy, asked.subject_type, text)) if len(text) <= _MAX_SUBJECT else []
    if not found:
        raise refused()
    return found


def exchanged(
    server: AuthorizationServer, client: Client | None, asked: Asked, grant: Grant
) -> TokenAnswer:
    """Give a token for what was verified: of the scopes asked for, or of all that it opens.

    `client` is who exchanges it, None for whoever holds it. OAuthError invalid_scope when more is
    asked for than the credential, or the client, has; invalid_grant when the client is another
    tenant's.
    """
    credential = grant.credential
    if client is not None and client.tenant_id not in {None, credential.tenant_id}:
        raise refused()
    own = _opened(server.engine.policy, grant)
    if client is not None:
        own &= client.scopes
    names = read_scopes(asked.scope) if asked.scope is not None else ()
    scopes = within(names, own, "the subject_token or the client") or tuple(sorted(own))
    if not scopes:
        raise OAuthError(Code.INVALID_SCOPE, "the subject_token opens nothing that can be given on")
    client_id, actor = _whose(asked, credential)
    if client is not None:
        client_id, actor = client.id, actor if client.public else client.id
    wanted = Wanted(
        source_id=credential.source_id,
        client_id=client_id,
        scopes=scopes,
        actor=actor,
        until=credential.expires_at,
    )
    return answer(mint(server, wanted), issued=ACCESS_TOKEN)


def _whose(asked: Asked, credential: Credential) -> tuple[str, str | None]:
    """Return which client a subject was given to, and who acts by it.

    It is not washed off by whoever exchanges their token once more.
    """
    if asked.subject_type != ACCESS_TOKEN:
        return credential.source_id, None
    said = read_claims(asked.subject.reveal())
    return said.client_id, said.act.get("sub") if said.act is not None else None


def _opened(policy: Policy, grant: Grant) -> set[str]:
    """Return the scopes, each by its name, that a credential opens now in its own services."""
    services = grant.credential.services
    return {
        scope
        for one in policy.services.values()
        if services is None or one.id in services
        for scope in one.scopes
        if scope in grant.rights
    }


def refused() -> OAuthError:
    """Return what is answered for a subject that does not stand, whatever is wrong with it."""
    return OAuthError(Code.INVALID_GRANT, _REFUSED)


def _claims(policy: Policy, subject_type: str, text: str) -> Iterator[Claim]:
    for kind in policy.kinds.values():
        for presented in _presented(kind, subject_type, text):
            # A kind that is exchanged is verified as those are that areas accept.
            yield Claim(kind, presented, KEY_LOGINS, anywhere=True)  # type: ignore[arg-type]


def _presented(kind: object, subject_type: str, text: str) -> tuple[Presented, ...]:
    read: tuple[Presented, ...] | Presented | Refused | None = None
    if subject_type == ACCESS_TOKEN and isinstance(kind, OauthToken):
        read = kind.claim(text)
    if subject_type == API_TOKEN and isinstance(kind, ApiToken):
        read = kind.claim(text)
    if subject_type == SERVICE_KEY and isinstance(kind, ServiceKey):
        read = _of_header(kind, text)
    if subject_type == ACCESS_KEY and isinstance(kind, AccessKey):
        key_id, _, secret = text.partition(":")
        read = kind.claim(secret, key_id=key_id) if key_id and secret else None
    if read is None or isinstance(read, Refused):
        return ()
    return read if isinstance(read, tuple) else (read,)


def _of_header(kind: Kind, text: str) -> tuple[Presented, ...] | Refused | None:
    return kind.parse(Request("POST", "", "/", {"authorization": f"Bearer {text}"}))
