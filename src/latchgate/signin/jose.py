"""Signatures of identity providers, checked with joserfc; loaded only where one is to be checked.

Rule of this file: a key is taken only when nothing about it is doubtful, and a signature only under
an algorithm that was named for it and that the key is made for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, deserialize_compact

from latchgate.core.assertion import ALGORITHMS, MAX_LENGTH

MAX_KEYS = 100
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192  # checking takes time by the square of it
MIN_EXPONENT = 3
MAX_EXPONENT_BITS = 32
_CURVES = {
    ("EC", "P-256"): {"ES256"},
    ("EC", "P-384"): {"ES384"},
    ("EC", "P-521"): {"ES512"},
    ("OKP", "Ed25519"): {"EdDSA", "Ed25519"},
}
_RSA = {name for name in ALGORITHMS if name[:2] in {"RS", "PS"}}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of a key set: its id, what it may check, and itself."""

    id: str | None
    algorithms: frozenset[str]
    key: RSAKey | ECKey | OKPKey


class _Allowed(JWSRegistry):
    """The one algorithm that is asked for; joserfc's own list is of what it recommends."""

    def get_alg(self, name: str) -> Any:  # noqa: ANN401 - joserfc exports no name for it
        """Return the algorithm; UnsupportedAlgorithmError unless it is the one."""
        if not self.allowed or name not in self.allowed or name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"{name} is not allowed")
        return self.algorithms[name]


def read_keys(document: bytes) -> tuple[PublicKey, ...]:
    """Read a JWK set (RFC 7517 §5), leaving out every key that can't be trusted with a signature.

    Symmetric and private keys, RSA keys under 2048 bits, other curves, and keys that are meant for
    something else are not there. ValueError when it is no key set at all.
    """
    try:
        told = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise ValueError("the key set is not JSON") from error
    listed = told.get("keys") if isinstance(told, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the key set has no list of keys")  # noqa: TRY004 - what the caller takes
    read = (read_key(one) for one in listed[:MAX_KEYS] if isinstance(one, dict))
    return tuple(key for key in read if key is not None)


def read_key(told: Mapping[str, Any]) -> PublicKey | None:
    """Read one public key; None when it is not to be used for checking signatures."""
    operations = told.get("key_ops", ["verify"])
    if told.get("use", "sig") != "sig" or "d" in told or "k" in told:
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    key_id, named = told.get("kid"), told.get("alg")
    if key_id is not None and not isinstance(key_id, str):
        return None
    try:
        key, fits = _import(told)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    if named is not None:
        fits &= {named} if isinstance(named, str) else set()
    return PublicKey(key_id, frozenset(fits), key) if fits else None


def _import(told: Mapping[str, Any]) -> tuple[RSAKey | ECKey | OKPKey, set[str]]:
    plain: dict[str, str | list[str]] = {
        name: value for name, value in told.items() if isinstance(value, str)
    }
    kind = told.get("kty")
    if kind == "RSA":
        modulus, exponent = _number(told["n"]), _number(told["e"])
        sound = exponent % 2 == 1 and exponent >= MIN_EXPONENT and not _has_roca(modulus)
        if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or not sound:
            raise ValueError("a weak RSA key, or one that is slow to use")
        if exponent.bit_length() > MAX_EXPONENT_BITS:
            raise ValueError("an RSA key that is slow to use")
        return RSAKey.import_key(plain), set(_RSA)
    fits = _CURVES.get((str(kind), str(told.get("crv"))))
    if fits is None:
        raise ValueError("another type of key or curve")
    return (ECKey if kind == "EC" else OKPKey).import_key(plain), set(fits)


def _number(text: str) -> int:
    """Read a Base64urlUInt (RFC 7518 §2); ValueError when it is none."""
    if len(text) > MAX_LENGTH:
        raise ValueError("a number that is too long")
    padded = text + "=" * (-len(text) % 4)
    return int.from_bytes(base64.b64decode(padded, altchars=b"-_", validate=True), "big")


def _has_roca(modulus: int) -> bool:
    """Whether a modulus is one that a chip of 2012 to 2017 made, and that can be factored.

    Source: Nemec and others, "The Return of Coppersmith's Attack", 2017, section 2.3: each of its
    primes, and so their product, is a power of 65537 modulo every small prime.
    """
    return all(modulus % prime in powers for prime, powers in _ROCA)


def _powers(base: int, prime: int) -> frozenset[int]:
    return frozenset(pow(base, exponent, prime) for exponent in range(prime))


_SMALL = [n for n in range(3, 168, 2) if all(n % d for d in range(3, n, 2))]
_ROCA = tuple((prime, _powers(65_537, prime)) for prime in _SMALL)


def fitting(keys: Iterable[PublicKey], key_id: str | None, algorithm: str) -> PublicKey | None:
    """Return the one key that may have made a signature.

    There is none where the statement names no key and several could be meant, nor where the set
    gives several one id.
    """
    found = [
        key for key in keys if algorithm in key.algorithms and (key_id is None or key.id == key_id)
    ]
    return found[0] if len(found) == 1 else None


def signed(token: str, key: PublicKey, algorithm: str) -> bool:
    """Whether a compact JWS has this key's signature under this algorithm."""
    if algorithm not in key.algorithms:
        return False
    registry = _Allowed(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = MAX_LENGTH
    try:
        deserialize_compact(token, key.key, algorithms=[algorithm], registry=registry)
    except (JoseError, ValueError):
        return False
    return True
