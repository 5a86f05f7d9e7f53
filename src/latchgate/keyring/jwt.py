"""Keys that sign JSON Web Tokens: P-256, by joserfc (RFC 7515, RFC 7518 §3.4).

Loaded only where tokens are signed, checked or published: the base install has no joserfc.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import deserialize_compact, serialize_compact

from latchgate.keyring.errors import UNAFFECTED, KeyringError
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import SealedKey, opened_p256, read_point, spell

ALGORITHM = "ES256"


class JwtSigner:
    """An opened key for tokens, for the time in which it signs."""

    __slots__ = ("_key", "id")

    def __init__(self, key_id: str, key: ECKey) -> None:
        self.id = key_id
        self._key = key

    def __repr__(self) -> str:
        return f"JwtSigner({self.id})"

    def __reduce__(self) -> tuple[object, ...]:
        msg = "a JwtSigner is not pickled"
        raise TypeError(msg)

    def sign(self, claims: object, *, typ: str) -> str:
        """Return claims (a mapping or a msgspec struct) as a compact JWT of the type `typ`."""
        header = {"alg": ALGORITHM, "kid": self.id, "typ": typ}
        payload = msgspec.json.encode(claims)
        return serialize_compact(header, payload, self._key, algorithms=[ALGORITHM])


def unseal_jwt(key: SealedKey, master: MasterKey) -> JwtSigner:
    """Open a stored key; KeyringError when this master key is not the one that sealed it."""
    private = opened_p256(key, master)
    try:
        return JwtSigner(key.id, ECKey.import_key(private))
    except (JoseError, ValueError) as error:
        msg = f"the stored signing key {key.id} can't be used. {UNAFFECTED}"
        raise KeyringError(msg) from error


def public_jwk(public: bytes, key_id: str) -> dict[str, str]:
    """Return a public key as a JWK that says what it is for (RFC 7517 §4)."""
    x, y = read_point(public)
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": spell(x),
        "y": spell(y),
        "kid": key_id,
        "use": "sig",
        "alg": ALGORITHM,
    }


def signed_jwt(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key's holder signed a JWT: `message` is its header and payload as sent."""
    text = message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
    try:
        deserialize_compact(text, _public(public), algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _public(public: bytes) -> ECKey:
    told: Mapping[str, Any] = public_jwk(public, "")
    return ECKey.import_key({name: told[name] for name in ("kty", "crv", "x", "y")})
