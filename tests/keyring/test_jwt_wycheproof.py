"""Tokens that we sign: Wycheproof's vectors against the check of our own."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import ECKey
from tests.identity_provider import new_key, sign
from tests.wycheproof import Vector, vectors

from latchgate.core.kinds.oauth_token import TYPE, OauthToken, _read
from latchgate.core.model import Refused
from latchgate.keyring.jwt import signed_jwt

ISSUER = "https://login.example"
KIND = OauthToken("latchgate.oauth_token", 600.0, "latchgate", ISSUER)
OWN = new_key("ES256", "own").as_dict(private=False)
# Refused by Wycheproof for what the JWK says that it is for. Our own are read from no JWK: they
# are points in the store, each kept for one purpose (`Purpose.OAUTH`).
ABOUT_THE_JWK = {
    "json_web_signature_test 354 ec_key_for_encryption rejectWrongUse",
    "json_web_signature_test 356 ec_key_for_encryption rejectWrongKeyOps",
    "json_web_key_test 21 invalid_use rejectsModifiedKey",
}
# None of the vectors is of the type at+jwt and of our issuer, so whole none is a token of ours;
# what is left to compare is the check of the signature, of which these are the valid ones.
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


def point(key: Mapping[str, Any]) -> bytes:
    """Return a P-256 key as it is stored: the uncompressed point."""
    halves = (base64.urlsafe_b64decode(key[name] + "==") for name in ("x", "y"))
    return b"\x04" + b"".join(half.rjust(32, b"\0") for half in halves)


def accepted(text: Any, key: Mapping[str, Any]) -> bool:
    """Whether a text has a key's signature, read as `OauthToken.claim` reads one."""
    found = _SHAPE.fullmatch(text) if isinstance(text, str) else None
    parts = [_read(part) for part in found.groups()] if found is not None else []
    if found is None or None in parts or len(parts[2] or b"") != 64:
        return False
    return signed_jwt(point(key), f"{found[1]}.{found[2]}".encode(), parts[2] or b"")


def ours(vector: Vector) -> Mapping[str, Any] | None:
    """Return the vector's key where it is one that ours could be: P-256, for ES256, public."""
    keys = [key for key in vector.keys if key.get("kty") == "EC" and key.get("crv") == "P-256"]
    if not vector.public or vector.encrypted or len(keys) != 1:
        return None
    return keys[0] if keys[0].get("alg", "ES256") == "ES256" else None


@pytest.mark.parametrize("vector", vectors(), ids=str)
def test_wycheproof_is_kept_by_the_check_of_our_own_tokens(vector):
    key = ours(vector)
    expected = (vector.valid and key is not None) or vector.name in ABOUT_THE_JWK
    assert accepted(vector.text, key or OWN) is expected
    claimed = KIND.claim(vector.text) if isinstance(vector.text, str) else None
    assert claimed is None or isinstance(claimed, Refused)


def test_the_vectors_hold_valid_ones_for_our_algorithm_and_the_exceptions_are_invalid():
    assert {one.name for one in vectors() if not one.valid} > ABOUT_THE_JWK
    assert len([one for one in vectors() if one.valid and ours(one) is not None]) == 3


def test_our_own_signature_is_taken_and_no_header_but_ours():
    key = new_key("ES256", "own")
    assert isinstance(key, ECKey)
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "latchgate",
        "sub": "u",
        "client_id": "c",
        "grant_id": "g",
    }
    claims |= {"jti": "j", "iat": 1, "exp": 2}
    good = sign(claims, key, alg="ES256", header={"typ": TYPE})
    assert isinstance(KIND.claim(good), tuple)
    assert accepted(good, key.as_dict(private=False))
    assert not accepted(good, OWN)
    for header in (
        {"typ": "JWT"},
        {"typ": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"jwk": key.as_dict(private=False)},
        {"jku": "https://eve.example"},
        {"x5u": "https://eve.example"},
        {"crit": ["exp"]},
        {"b64": False},
        {"kid": None},
    ):
        forged = sign(claims, key, alg="ES256", header={"typ": TYPE, **header})
        assert isinstance(KIND.claim(forged), Refused), header
