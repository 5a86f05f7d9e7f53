"""Signing keys: drawn, sealed under the master key, opened to sign.

What Latchgate alone checks is signed with Ed25519 (RFC 8032); what others check offline with P-256,
which they all know (FIPS 186-5; docs/decisions/0018).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from latchgate.keyring.errors import UNAFFECTED, KeyringError
from latchgate.keyring.master import MasterKey

_RAW_BYTES = 32
_POINT_BYTES = 65
_P256_DRAWN = 48
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Purpose(StrEnum):
    """What a key signs; one key never signs for two purposes."""

    AUDIT = "audit"
    TOKEN = "token"  # noqa: S105 - the name of a purpose
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A signing key as it is stored: public half, and private half under the master key."""

    id: str
    purpose: Purpose
    public: bytes
    private: bytes


class Signer:
    """An opened signing key, for the moment in which it is used."""

    __slots__ = ("_private", "id", "public")

    def __init__(self, key_id: str, private: Ed25519PrivateKey) -> None:
        self.id = key_id
        self.public = private.public_key().public_bytes_raw()
        self._private = private

    def __repr__(self) -> str:
        return f"Signer({self.id})"

    def __reduce__(self) -> tuple[object, ...]:
        msg = "a Signer is not pickled"
        raise TypeError(msg)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message; the caller separates its domains."""
        return self._private.sign(message)


def draw(purpose: Purpose, master: MasterKey, entropy: Callable[[int], bytes]) -> SealedKey:
    """Draw a new key; its id is its thumbprint, so that nobody can give it another."""
    if purpose is Purpose.OAUTH:
        # 128 bits more than the order has: the bias is nowhere to be seen (FIPS 186-5 §A.2.1).
        number = int.from_bytes(entropy(_P256_DRAWN), "big") % (_P256_ORDER - 1) + 1
        raw = number.to_bytes(_RAW_BYTES, "big")
        public = _point(_p256(raw))
    else:
        raw = entropy(_RAW_BYTES)
        public = Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    key_id = thumbprint(public)
    private = master.seal(raw, _about(key_id, purpose), entropy)
    return SealedKey(key_id, purpose, public, private)


def unseal(key: SealedKey, master: MasterKey) -> Signer:
    """Open a stored key; KeyringError when this master key is not the one that sealed it."""
    try:
        raw = master.open(key.private, _about(key.id, key.purpose))
        signer = Signer(key.id, Ed25519PrivateKey.from_private_bytes(raw))
    except ValueError as error:
        msg = f"the master key does not open the signing key {key.id}: it is another one than"
        msg += f" sealed it, or the stored key was altered. {UNAFFECTED}"
        raise KeyringError(msg) from error
    if signer.public != key.public or thumbprint(signer.public) != key.id:
        msg = f"the stored signing key {key.id} was altered. {UNAFFECTED}"
        raise KeyringError(msg)
    return signer


def opened_p256(key: SealedKey, master: MasterKey) -> ec.EllipticCurvePrivateKey:
    """Open a stored P-256 key; KeyringError as `unseal`."""
    try:
        private = _p256(master.open(key.private, _about(key.id, key.purpose)))
    except ValueError as error:
        msg = f"the master key does not open the signing key {key.id}: it is another one than"
        msg += f" sealed it, or the stored key was altered. {UNAFFECTED}"
        raise KeyringError(msg) from error
    if _point(private) != key.public or thumbprint(key.public) != key.id:
        msg = f"the stored signing key {key.id} was altered. {UNAFFECTED}"
        raise KeyringError(msg)
    return private


def opens(key: SealedKey, master: MasterKey) -> bool:
    """Whether a master key is the one that sealed a stored key."""
    try:
        master.open(key.private, _about(key.id, key.purpose))
    except ValueError:
        return False
    return True


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key's holder signed this very message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def thumbprint(public: bytes) -> str:
    """Return a public key's id: its JWK thumbprint (RFC 7638, RFC 8037 §2), 43 characters."""
    if len(public) == _POINT_BYTES:
        x, y = read_point(public)
        told = f'{{"crv":"P-256","kty":"EC","x":"{spell(x)}","y":"{spell(y)}"}}'
        return spell(hashlib.sha256(told.encode()).digest())
    told = f'{{"crv":"Ed25519","kty":"OKP","x":"{spell(public)}"}}'
    return spell(hashlib.sha256(told.encode()).digest())


def spell(raw: bytes) -> str:
    """Return bytes as base64url without padding, as JSON Web Keys do (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def read(text: str, length: int) -> bytes:
    """Read base64url without padding of `length` bytes; ValueError for any other spelling."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "not base64url"
        raise ValueError(msg) from error
    if len(raw) != length or spell(raw) != text:
        msg = f"not {length} bytes as base64url without padding"
        raise ValueError(msg)
    return raw


def read_point(public: bytes) -> tuple[bytes, bytes]:
    """Return the two coordinates of a P-256 key as it is stored (SEC 1 §2.3.3, uncompressed)."""
    return public[1 : 1 + _RAW_BYTES], public[1 + _RAW_BYTES :]


def _p256(raw: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())


def _point(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _about(key_id: str, purpose: Purpose) -> bytes:
    # A list in JSON: no two pairs of id and purpose make the same bytes.
    return b"latchgate:signing-key:1\0" + msgspec.json.encode([key_id, str(purpose)])
