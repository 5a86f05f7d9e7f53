"""Minting OAuth2 access tokens: what one says, signed as a JSON Web Token (RFC 9068).

Rule of this file: nothing is written. What a token may do is decided when it is used, from what it
says and from what it was minted from (`verify/gather.py`); here it is only signed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from latchgate.core.kinds.oauth_token import TYPE, Claims, OauthToken
from latchgate.core.model import Credential
from latchgate.core.scope import Scopes
from latchgate.core.secret import Secret
from latchgate.keyring.jwt import JwtSigner
from latchgate.keyring.signing import spell

_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """What a token is asked for: by which client, with which scopes.

    `auth_time` is when its user signed in (Unix seconds), `actor` who acts for its owner by an
    exchange (RFC 8693 §4.1), `lifetime` how long it shall last at most (seconds).
    """

    client_id: str
    scopes: Scopes
    auth_time: float | None = None
    actor: str | None = None
    lifetime: float | None = None


def draft(
    kind: OauthToken,
    source: Credential,
    spec: TokenSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
) -> Claims:
    """Return what a new token shall say: minted from `source`, and never longer than that lasts.

    ValueError where the server has no issuer, or scopes are not named one by one.
    """
    if kind.issuer is None:
        msg = "tokens are minted by a server, which has an issuer"
        raise ValueError(msg)
    if spec.scopes.every:
        msg = "a token names its scopes one by one"
        raise ValueError(msg)
    ends_at = now + min(
        kind.lifetime, spec.lifetime if spec.lifetime is not None else kind.lifetime
    )
    if source.expires_at is not None:
        ends_at = min(ends_at, source.expires_at)
    return Claims(
        iss=kind.issuer,
        aud=kind.audience,
        sub=source.owner_id,
        client_id=spec.client_id,
        grant_id=source.id,
        jti=spell(entropy(_ID_BYTES)),
        iat=int(now),
        exp=math.floor(ends_at),
        scope=" ".join(spec.scopes.listed()),
        auth_time=int(spec.auth_time) if spec.auth_time is not None else None,
        act={"sub": spec.actor} if spec.actor is not None else None,
    )


def sign(claims: Claims, signer: JwtSigner) -> Secret:
    """Return the token's text, which is shown to whoever asked for it and kept nowhere."""
    return Secret(signer.sign(claims, typ=TYPE))
