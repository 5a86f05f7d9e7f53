"""Partners who report leaked secrets: whose signature stands below a body.

Rule of this file: a signature is ECDSA on P-256 over the raw bytes, checked before any of them is
read, by a key that the configuration led to. Source: GitHub's secret scanning partner program.
"""

from __future__ import annotations

import base64
import binascii
import logging
from asyncio import wrap_future
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from latchgate.signin.jose import MAX_KEYS, PublicKey
from latchgate.signin.jwks import KeySets

_ALGORITHM = "ES256"
_MAX_SIGNATURE = 256  # characters; DER of two 32-byte numbers takes 96 to 100
_log = logging.getLogger(__name__)


class _Listed(msgspec.Struct):
    key_identifier: str
    key: str


class _List(msgspec.Struct):
    public_keys: list[_Listed]


@dataclass(frozen=True, slots=True)
class Signer:
    """One partner: the URL of its keys, or the keys themselves."""

    name: str
    keys_url: str | None
    keys: tuple[PublicKey, ...] = ()


class Partners:
    """The partners of one server; `fetch` and `ticks` are those of `signin.jwks.KeySets`."""

    def __init__(
        self,
        signers: Iterable[Signer],
        *,
        fetch: Callable[[str], bytes],
        ticks: Callable[[], float],
    ) -> None:
        self._signers = tuple(signers)
        self._sets = KeySets(fetch=fetch, ticks=ticks, read=read_keys)

    async def signed_by(self, key_id: str, signature: str, body: bytes) -> str | None:
        """Return the name of the partner that signed these bytes; None when none did."""
        told = _read_signature(signature)
        if told is None:
            return None
        for signer in self._signers:
            for key in await self._keys(signer, key_id):
                if key.id == key_id and _verifies(key, told, body):
                    return signer.name
        return None

    async def _keys(self, signer: Signer, key_id: str) -> tuple[PublicKey, ...]:
        if signer.keys_url is None:
            return signer.keys
        found = self._sets.find(signer.keys_url, key_id)
        if isinstance(found, Future):
            await wrap_future(found)
            found = self._sets.held(signer.keys_url)
        return found or ()

    def close(self) -> None:
        """Let go of the threads."""
        self._sets.close()


def read_keys(document: bytes) -> tuple[PublicKey, ...]:
    """Read a list of public keys as GitHub publishes it, leaving out those not on P-256.

    ValueError when it is no such list.
    """
    try:
        told = msgspec.json.decode(document, type=_List)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("it is no list of public_keys") from error
    found: list[PublicKey] = []
    for one in told.public_keys[:MAX_KEYS]:
        try:
            key = ECKey.import_key(one.key)
        except (JoseError, ValueError, TypeError):
            key = None
        if key is not None and key.curve_name == "P-256" and not key.is_private:
            found.append(PublicKey(one.key_identifier, frozenset({_ALGORITHM}), key))
        else:
            _log.warning("a partner's key %r is no public key on P-256", one.key_identifier[:64])
    return tuple(found)


def _read_signature(text: str) -> bytes | None:
    if len(text) > _MAX_SIGNATURE:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _verifies(key: PublicKey, signature: bytes, body: bytes) -> bool:
    public = key.key.public_key
    if not isinstance(public, EllipticCurvePublicKey):
        return False
    try:
        public.verify(signature, body, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
