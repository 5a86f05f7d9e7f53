"""Introspection: what a token is, told to APIs that were given it.

Rule of this file: a client sees its own tokens; one that is registered for
`urn:latchgate:introspection` (an API's own) sees every token of its tenant, and an operator's those
of every tenant. Of anything else no more is said than that it is not active. Source: RFC 7662.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from latchgate.core.kinds.oauth_token import read_claims
from latchgate.core.model import AccessToken, Credential
from latchgate.oauth import refresh
from latchgate.oauth.clients import Client, GrantType
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.scopes import OPENID_SCOPES, of_services
from latchgate.oauth.server import AuthorizationServer, standing
from latchgate.verify.cache import Moment

INACTIVE = b'{"active":false}'
MAX_KNOWN = 20_000


class Active(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of an active token (RFC 7662 §2.2); times are Unix seconds."""

    active: bool
    iss: str
    sub: str
    client_id: str
    scope: str
    exp: int
    aud: str | None = None
    iat: int | None = None
    jti: str | None = None
    token_type: str | None = None
    auth_time: int | None = None
    act: dict[str, str] | None = None


@dataclass(slots=True)
class Known:
    """Answers of late, each right at one journal number, until its token or its client ends.

    They are known by a digest of the question, which says who asks, how it was proven and of which
    token. For one event loop: not safe to share between threads.
    """

    _moment: Moment = (0, -1)
    _answers: dict[bytes, tuple[float, bytes]] = field(default_factory=dict)

    def recall(self, question: bytes, moment: Moment, now: float) -> bytes | None:
        """Return an answer that is still right."""
        if moment != self._moment:
            self._answers.clear()
            self._moment = moment
            return None
        found = self._answers.get(question)
        return found[1] if found is not None and now < found[0] else None

    def keep(self, question: bytes, moment: Moment, told: tuple[float, bytes]) -> None:
        """Remember an answer that was read at a journal number."""
        if moment != self._moment or not question:
            return
        while len(self._answers) >= MAX_KNOWN:
            del self._answers[next(iter(self._answers))]
        self._answers[question] = told


def may_ask(client: Client) -> None:
    """Refuse whoever can't prove who it is: OAuthError invalid_client for a public client."""
    if client.public:
        msg = "only a client that has a secret may look at tokens"
        raise OAuthError(Code.INVALID_CLIENT, msg, 401)


def introspect(
    server: AuthorizationServer, client: Client, text: str
) -> tuple[float, bytes] | None:
    """Return until when an answer may be remembered, and the answer; None for no active token.

    None too for one that this client is not told of. Of a refresh token nothing may be remembered:
    that it was used is told by no journal row. StoreError when it can't be known.
    """
    if text.startswith(f"{refresh.PREFIX}_"):
        told, until = _of_refresh(server, client, text), 0.0
    else:
        told = _of_access(server, client, text)
        until = float(told.exp) if told is not None else 0.0
    return None if told is None else (until, msgspec.json.encode(told))


def _of_access(server: AuthorizationServer, client: Client, text: str) -> Active | None:
    claimed = server.kind.claim(text)
    if not isinstance(claimed, tuple):
        return None
    facts = server.engine.proven(claimed[0])
    now = server.clock()
    grant = standing(facts, now)
    if facts is None or grant is None:
        return None
    said = read_claims(text)
    if not _is_told(client, said.client_id, facts.credential):
        return None
    names = said.scope.split()
    left = [one for one in names if one in OPENID_SCOPES or one in grant.rights]
    return Active(
        active=True,
        iss=said.iss,
        sub=said.sub,
        client_id=said.client_id,
        scope=" ".join(left),
        exp=said.exp,
        aud=said.aud,
        iat=said.iat,
        jti=said.jti,
        token_type="Bearer",  # noqa: S106 - RFC 6750
        auth_time=said.auth_time,
        act=said.act,
    )


def _of_refresh(server: AuthorizationServer, client: Client, text: str) -> Active | None:
    """Tell of a refresh token: to the client that holds it, and to nobody else."""
    with server.store.reading() as connection:
        known = refresh.read(connection, text)
    now = server.clock()
    if known is None or known.used_at is not None or now >= known.expires_at:
        return None
    if known.family.client_id != client.id:
        return None
    try:
        source = server.source(known.family.grant_id)
    except OAuthError:
        return None
    facts = server.engine.standing(server.kind.name, _trial(known, now))
    if standing(facts, now) is None:
        return None
    return Active(
        active=True,
        iss=server.issuer,
        sub=source.owner_id,
        client_id=client.id,
        scope=" ".join(client.allowed(known.family.scopes)),
        exp=int(min(known.expires_at, source.expires_at or known.expires_at)),
    )


def _trial(known: refresh.Known, now: float) -> AccessToken:
    """Return a token such as would be minted now."""
    family = known.family
    return AccessToken("", family.grant_id, of_services(family.scopes), now, now + 1.0)


def _is_told(client: Client, of_client: str, credential: Credential) -> bool:
    if of_client == client.id:
        return True
    if GrantType.INTROSPECTION not in client.grant_types:
        return False
    return client.tenant_id in {None, credential.tenant_id}
