"""Access tokens minted from what stands, and the answer that carries them.

Rule of this file: a token says no scope that it would not open now, so that who checks it offline
is told no more than who asks us (RFC 9068 §2.2.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from latchgate.core.kinds.oauth_token import Claims
from latchgate.core.model import AccessToken
from latchgate.core.scope import Scopes
from latchgate.core.secret import Secret
from latchgate.oauth.errors import Code, OAuthError
from latchgate.oauth.scopes import OPENID_SCOPES, of_services
from latchgate.oauth.server import AuthorizationServer, ended, standing
from latchgate.tokens.access import TokenSpec, draft, sign


class TokenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the token endpoint answers (RFC 6749 §5.1); `expires_in` is seconds."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    refresh_token: str | None = None
    id_token: str | None = None
    issued_token_type: str | None = None

    def __repr__(self) -> str:
        return f"TokenAnswer({self.scope})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """Show a pretty printer as little: msgspec would show it every field."""
        return [("scope", self.scope)]


@dataclass(frozen=True, slots=True)
class Minted:
    """An access token and what it says."""

    text: Secret
    claims: Claims


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a token is asked for: minted from which credential, for which client, with what.

    `until` is when it ends at the latest, `auth_time` when its user signed in (Unix seconds),
    `actor` who acts for its owner by an exchange (RFC 8693 §4.1).
    """

    source_id: str
    client_id: str
    scopes: tuple[str, ...]
    auth_time: float | None = None
    actor: str | None = None
    until: float | None = None


def mint(server: AuthorizationServer, wanted: Wanted) -> Minted:
    """Mint an access token with those of the scopes that it would open now.

    OAuthError invalid_grant when its source no longer stands, invalid_scope when it would open
    nothing that was asked for. StoreError and KeyringError when it can't be known or signed.
    """
    now, kind = server.clock(), server.kind
    source = server.source(wanted.source_id)
    trial = AccessToken("", source.id, of_services(wanted.scopes), now, now + kind.lifetime)
    grant = standing(server.engine.standing(kind.name, trial), now)
    if grant is None:
        raise ended()
    left = [one for one in wanted.scopes if one in OPENID_SCOPES or one in grant.rights]
    if wanted.scopes and not left:
        msg = "none of the scopes that were asked for is in what was granted"
        raise OAuthError(Code.INVALID_SCOPE, msg)
    lifetime = wanted.until - now if wanted.until is not None else None
    spec = TokenSpec(
        wanted.client_id, Scopes.of(left), wanted.auth_time, wanted.actor, lifetime=lifetime
    )
    claims = draft(kind, source, spec, now=now, entropy=server.entropy)
    if claims.exp <= now:
        raise ended()
    return Minted(sign(claims, server.signers.signer()), claims)


def answer(
    minted: Minted,
    *,
    refresh: Secret | None = None,
    id_token: Secret | None = None,
    issued: str | None = None,
) -> TokenAnswer:
    """Return the answer that gives a token to whoever asked for it."""
    claims = minted.claims
    return TokenAnswer(
        access_token=minted.text.reveal(),
        token_type="Bearer",  # noqa: S106 - RFC 6750
        expires_in=claims.exp - claims.iat,
        scope=claims.scope,
        refresh_token=refresh.reveal() if refresh is not None else None,
        id_token=id_token.reveal() if id_token is not None else None,
        issued_token_type=issued,
    )
