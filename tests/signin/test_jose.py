"""What is taken as a signature: Wycheproof's vectors, and keys that nobody should trust."""

import base64
import json
import warnings

import pytest
from joserfc.jwk import RSAKey
from tests.identity_provider import new_key, sign, sign_with_secret
from tests.wycheproof import FILES, vectors

from latchgate.core import assertion
from latchgate.signin.jose import MAX_KEYS, fitting, read_key, read_keys, signed

# Valid to Wycheproof, and refused: what a JWT can't be, or what its own key says it is not for.
STRICTER = {
    "emptyPayload": "a statement has claims",
    "Figure20": "its key says PS256, its signature is PS384",
    "Figure27": "its key says ES521, which is no algorithm",
}
# RFC 7517 lets a set give several keys one id; Wycheproof leaves the choice, ours is to refuse.
PAYLOAD = b'{"sub":"ada"}'


def accepted(token, document):
    """Whether a compact JWS would be taken with the keys of a set: what proves a statement."""
    if not isinstance(token, str):
        return False  # the JSON serialization
    parts = token.split(".")
    if len(parts) != 3 or not all(assertion._PART.fullmatch(part) for part in parts):
        return False
    header = assertion._read_object(parts[0])
    if header is None or assertion.header_fault(header) is not None:
        return False
    algorithm = header["alg"]
    if algorithm not in assertion.ALGORITHMS:
        return False
    key = fitting(read_keys(document), header.get("kid"), algorithm)
    return key is not None and signed(token, key, algorithm)


@pytest.mark.parametrize("vector", vectors(), ids=str)
def test_wycheproof_is_kept_and_nothing_but_public_keys_counts(vector):
    taken = vector.valid and vector.public and vector.comment not in STRICTER
    assert accepted(vector.text, vector.document) is taken


def test_every_vector_is_run_and_the_exceptions_are_these():
    told = vectors()
    counted = [len([one for one in told if one.name.startswith(f"{name} ")]) for name in FILES]
    assert counted == list(FILES.values())
    valid = [one for one in told if one.valid]
    # Of keys that everybody who checks could sign with, and encrypted: neither is a statement.
    assert len([one for one in valid if not one.public and not one.encrypted]) == 16
    assert len([one for one in valid if one.encrypted]) == 2
    public = [one for one in valid if one.public]
    assert {one.comment for one in public if one.comment in STRICTER} == set(STRICTER)
    assert len([one for one in public if one.comment not in STRICTER]) > 20


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("RS256", "RS256"), ("RS256", "PS384"), ("ES256", "ES256"), ("EdDSA", "EdDSA")],
)
def test_each_algorithm_checks_its_own_signatures_and_no_other_key_does(kind, algorithm):
    key, other = new_key(kind, "one"), new_key(kind, "one")
    token = sign(PAYLOAD, key, alg=algorithm)
    own, foreign = (read_key(each.as_dict(private=False)) for each in (key, other))
    assert own is not None
    assert foreign is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert signed(token, own, algorithm)
    assert not signed(token, foreign, algorithm)
    head, body, tail = token.split(".")
    forged = base64.urlsafe_b64encode(b'{"sub":"eve"}').decode().rstrip("=")
    assert not signed(f"{head}.{forged}.{tail}", own, algorithm)
    assert not signed(f"{head}.{body}.", own, algorithm)


def test_d6_51_a_public_key_never_checks_what_was_signed_with_it_as_a_secret():
    key = new_key("RS256", "one")
    public = read_key(key.as_dict(private=False))
    assert public is not None
    assert isinstance(key, RSAKey)
    pem = key.as_pem(private=False)
    for algorithm in ("HS256", "RS256", "none"):
        token = sign_with_secret({"sub": "ada"}, pem, "one", algorithm)
        assert not signed(token, public, "HS256")
        assert not signed(token, public, algorithm)


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"alg": "RS1"},
        {"alg": 5},
        {"kid": 7},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "AKP"},
        {"n": "AQAB"},
        {"n": None},
        {"e": "AQ"},
        {"e": "Ag"},
        {"e": "_" * 40},
        {"d": "AQAB"},
    ],
    ids=str,
)
def test_a_key_that_is_doubtful_in_any_way_is_not_there(change):
    good = {**new_key("RS256", "one").as_dict(private=False), "use": "sig"}
    assert read_key(good) is not None
    assert read_key({**good, **change}) is None


@pytest.mark.parametrize(("bits", "taken"), [("RSA1024", False), ("RSA2048", True)])
def test_rsa_keys_have_2048_bits_at_least(bits, taken):
    assert (read_key(new_key(bits, "one").as_dict(private=False)) is not None) is taken


def test_a_curve_that_no_algorithm_of_ours_is_for_is_not_there():
    told = new_key("ES256", "one").as_dict(private=False)
    assert read_key({**told, "crv": "secp256k1"}) is None
    assert read_key({**told, "crv": "P-384"}) is None


def test_one_bad_key_leaves_the_others_in_the_set_and_a_long_set_is_cut():
    good = new_key("ES256", "one").as_dict(private=False)
    listed = [5, {"kty": "oct", "k": "AA", "kid": "x"}, good, {**good, "kid": "two"}]
    assert [key.id for key in read_keys(json.dumps({"keys": listed}).encode())] == ["one", "two"]
    many = json.dumps({"keys": [good] * (MAX_KEYS + 5)}).encode()
    assert len(read_keys(many)) == MAX_KEYS


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b"{}", b'{"keys":{}}', b"\xff", b"[" * 100_000],
    ids=lambda document: repr(document[:8]),
)
def test_what_is_no_key_set_is_told(document):
    with pytest.raises(ValueError, match="the key set"):
        read_keys(document)


def test_a_token_without_a_key_id_is_checked_only_where_one_key_can_be_meant():
    keys = [read_key(new_key("ES256", name).as_dict(private=False)) for name in ("one", "two")]
    several = [key for key in keys if key is not None]
    assert fitting(several[:1], None, "ES256") is several[0]
    assert fitting(several, None, "ES256") is None
    assert fitting(several, "two", "ES256") is several[1]
    assert fitting(several, "two", "RS256") is None
    assert fitting([several[0], several[0]], "one", "ES256") is None
