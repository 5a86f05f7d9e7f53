"""Keys for JSON Web Tokens: what they sign is checked by others, and never by another algorithm."""

from __future__ import annotations

import base64
import json
import pickle
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from latchgate.keyring.errors import KeyringError
from latchgate.keyring.jwt import public_jwk, signed_jwt, unseal_jwt
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, SealedKey, draw, thumbprint

MASTER = MasterKey(bytes(range(32)))
SEALED = draw(Purpose.OAUTH, MASTER, secrets.token_bytes)
SIGNER = unseal_jwt(SEALED, MASTER)


def parts(text):
    message, _, mark = text.rpartition(".")
    return message.encode(), base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4))


def test_a_signature_is_that_of_es256_and_checked_by_the_public_half():
    message, mark = parts(SIGNER.sign({"a": 1}, typ="at+jwt"))
    assert signed_jwt(SEALED.public, message, mark)
    header = json.loads(base64.urlsafe_b64decode(message.split(b".")[0] + b"=="))
    assert header == {"alg": "ES256", "kid": SEALED.id, "typ": "at+jwt"}
    # And by somebody else's code altogether.
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), SEALED.public)
    half = len(mark) // 2
    numbers = [int.from_bytes(one, "big") for one in (mark[:half], mark[half:])]
    key.verify(encode_dss_signature(*numbers), message, ec.ECDSA(SHA256()))


def test_no_other_message_signature_or_key_is_right():
    message, mark = parts(SIGNER.sign({"a": 1}, typ="JWT"))
    other = draw(Purpose.OAUTH, MASTER, secrets.token_bytes)
    assert not signed_jwt(other.public, message, mark)
    assert not signed_jwt(SEALED.public, message + b"x", mark)
    for wrong in (b"", bytes(64), mark[:-1], mark + b"\0", mark[32:] + mark[:32], b"\xff" * 64):
        assert not signed_jwt(SEALED.public, message, wrong)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "EdDSA", "ES384", "es256"])
def test_a_header_of_another_algorithm_is_never_right(algorithm):
    _, mark = parts(SIGNER.sign({}, typ="at+jwt"))
    head = json.dumps({"alg": algorithm, "kid": SEALED.id, "typ": "at+jwt"}).encode()
    message = base64.urlsafe_b64encode(head).rstrip(b"=") + b".e30"
    assert not signed_jwt(SEALED.public, message, mark)
    assert not signed_jwt(SEALED.public, message, b"")


def test_a_published_key_holds_its_public_half_and_is_named_by_its_thumbprint():
    told = public_jwk(SEALED.public, SEALED.id)
    assert set(told) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert told["kid"] == thumbprint(SEALED.public) == SIGNER.id
    assert len(told["x"]) == len(told["y"]) == 43


def test_only_its_master_key_opens_a_key_and_an_altered_one_is_not_used():
    with pytest.raises(KeyringError):
        unseal_jwt(SEALED, MasterKey(bytes(32)))
    other = draw(Purpose.OAUTH, MASTER, secrets.token_bytes)
    for altered in (
        SealedKey(SEALED.id, SEALED.purpose, other.public, SEALED.private),
        SealedKey(SEALED.id, Purpose.TOKEN, SEALED.public, SEALED.private),
        SealedKey(other.id, SEALED.purpose, SEALED.public, SEALED.private),
    ):
        with pytest.raises(KeyringError):
            unseal_jwt(altered, MASTER)


def test_an_opened_key_is_neither_shown_nor_pickled():
    assert repr(SIGNER) == f"JwtSigner({SEALED.id})"
    with pytest.raises(TypeError):
        pickle.dumps(SIGNER)
