"""ID tokens: who signed in, for the one client that asked; nothing is opened with one.

Rule of this file: its type is `JWT` and its audience a client, so that no area takes one for an
access token (RFC 8725 §3.11). Source: OpenID Connect Core §2, §3.1.3.6, §12.2.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

import msgspec

from latchgate.core.secret import Secret
from latchgate.keyring.jwt import ALGORITHM, signed_jwt
from latchgate.keyring.signing import Purpose, spell
from latchgate.manage import signing_keys
from latchgate.oauth.minting import Minted
from latchgate.oauth.server import AuthorizationServer

TYPE = "JWT"
_MAX_HINT = 4_096


class IdClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of an ID token; times are Unix seconds, whole ones."""

    iss: str
    sub: str
    aud: str
    azp: str
    iat: int
    exp: int
    at_hash: str
    auth_time: int | None = None
    nonce: str | None = None
    amr: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """How a user signed in: when (Unix seconds), by which methods (RFC 8176), for which nonce."""

    auth_time: float | None
    methods: tuple[str, ...] = ()
    nonce: str | None = None


def id_token(server: AuthorizationServer, minted: Minted, sign_in: SignIn) -> Secret:
    """Return the ID token that goes with an access token, for the same client and user."""
    access = minted.claims
    claims = IdClaims(
        iss=access.iss,
        sub=access.sub,
        aud=access.client_id,
        azp=access.client_id,
        iat=access.iat,
        exp=access.exp,
        at_hash=half_hash(minted.text.reveal()),
        auth_time=int(sign_in.auth_time) if sign_in.auth_time is not None else None,
        nonce=sign_in.nonce,
        amr=sign_in.methods or None,
    )
    return Secret(server.signers.signer().sign(claims, typ=TYPE))


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str


def hinted(server: AuthorizationServer, text: str) -> IdClaims | None:
    """Return what an ID token of ours says that a client sent back, ended or not.

    None for anything else. It hints at whom a client means and opens nothing (OpenID Connect Core
    §3.1.2.1). StoreError when the keys can't be read.
    """
    parts = text.split(".") if len(text) <= _MAX_HINT and text.isascii() else []
    try:
        head, body, signature = (_decoded(part) for part in parts)
        header = msgspec.json.decode(head, type=_Header)
        claims = msgspec.json.decode(body, type=IdClaims)
    except ValueError:  # of base64 and msgspec too
        return None
    if header.alg != ALGORITHM or header.typ != TYPE or claims.iss != server.issuer:
        return None
    # Keys that were retired long ago too: a person may have been signed in for as long.
    keys = dict(signing_keys.published(server.store, Purpose.OAUTH, since=0.0))
    public = keys.get(header.kid)
    message = text.rpartition(".")[0].encode()
    return claims if public is not None and signed_jwt(public, message, signature) else None


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def half_hash(text: str) -> str:
    """Return the left half of a text's SHA-256 (OpenID Connect Core §3.1.3.6)."""
    return spell(hashlib.sha256(text.encode()).digest()[:16])
