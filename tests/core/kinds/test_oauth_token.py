"""Access tokens: one spelling of each, and every other JWT is refused or another issuer's."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, NOW, request

from latchgate.core.kinds.oauth_token import LONGEST, MAX_LENGTH, OauthToken, read_claims
from latchgate.core.model import AccessToken, Refused
from latchgate.core.reason import Reason

ISSUER = "https://login.example"
KIND = OauthToken.configured("latchgate.oauth_token", {"issuer": ISSUER})
HEADER = {"alg": "ES256", "kid": "key-1", "typ": "at+jwt"}
CLAIMS = {
    "iss": ISSUER,
    "aud": "latchgate",
    "sub": "u-ada",
    "client_id": "client-1",
    "grant_id": "grant-1",
    "jti": "0b5cXq3Jk1mP8vT2yWz4dA",
    "iat": int(NOW),
    "exp": int(NOW) + 600,
    "scope": "openid storage:read",
}


def spell(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(header=HEADER, claims=CLAIMS, mark=bytes(64)):
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), mark)
    return ".".join(spell(part) for part in parts)


TEXT = jwt()


def claimed(text=TEXT):
    """Return what a token claims, what it says, and its signature."""
    found = KIND.claim(text)
    assert isinstance(found, tuple)
    signed = found[0].signed
    assert signed is not None
    assert isinstance(signed.token, AccessToken)
    return found[0], signed.token, signed


def test_what_a_token_says_is_read_and_its_text_shown_nowhere():
    presented, token, signed = claimed()
    assert (presented.credential_id, token.credential_id) == (CLAIMS["jti"], "grant-1")
    assert token.scopes.names == {"openid", "storage:read"}
    assert (token.issued_at, token.expires_at) == (int(NOW), int(NOW) + 600)
    assert signed.key_id == "key-1"
    assert signed.message.decode() == TEXT.rpartition(".")[0]
    assert TEXT not in repr(presented)
    assert read_claims(TEXT).client_id == "client-1"


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"alg": "none"},
        HEADER | {"alg": "HS256"},
        HEADER | {"alg": "EdDSA"},
        HEADER | {"typ": "JWT"},
        HEADER | {"typ": "application/at+jwt"},
        HEADER | {"typ": "logout+jwt"},
        HEADER | {"kid": ""},
        HEADER | {"kid": 1},
        HEADER | {"jwk": {"kty": "oct", "k": "AA"}},
        HEADER | {"jku": "https://evil.example/keys"},
        HEADER | {"x5u": "https://evil.example/cert"},
        HEADER | {"crit": ["exp"]},
        HEADER | {"zip": "DEF"},
        {name: HEADER[name] for name in ("alg", "typ")},
        {name: HEADER[name] for name in ("alg", "kid")},
    ],
)
def test_only_one_header_is_taken_and_it_names_no_key_of_its_own(header):
    found = KIND.claim(jwt(header))
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "another"},
        {"aud": ["latchgate"]},
        {"aud": ["latchgate", "another"]},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": True},
        {"exp": NOW + 600.5},
        {"iat": None},
        {"jti": 7},
        {"sub": None},
        {"scope": ["storage:read"]},
        {"act": "client-2"},
    ],
)
def test_claims_of_another_shape_or_for_somebody_else_are_refused(change):
    found = KIND.claim(jwt(claims=CLAIMS | change))
    assert isinstance(found, Refused)


@pytest.mark.parametrize("name", [name for name in CLAIMS if name not in {"iss", "scope"}])
def test_no_claim_can_be_left_out(name):
    less = {key: value for key, value in CLAIMS.items() if key != name}
    assert isinstance(KIND.claim(jwt(claims=less)), Refused)


@pytest.mark.parametrize("scope", ["", "*", "storage:read *", "* openid"])
def test_no_scope_is_none_and_a_star_is_the_name_of_none(scope):
    _, token, _ = claimed(jwt(claims=CLAIMS | {"scope": scope}))
    assert not token.scopes.names
    assert not token.scopes.every


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", "https://LOGIN.example", "https://other", None])
def test_another_issuers_token_is_not_ours(issuer):
    assert KIND.claim(jwt(claims=CLAIMS | {"iss": issuer})) is None
    nobody = OauthToken.configured("latchgate.oauth_token", {})
    assert nobody.claim(jwt(claims=CLAIMS | {"iss": issuer})) is None
    assert nobody.claim(TEXT) is None


@pytest.mark.parametrize("length", [0, 32, 63, 65, 96])
def test_a_signature_has_one_length(length):
    assert not isinstance(KIND.claim(jwt(mark=bytes(length))), tuple)


@FUZZ
@given(at=st.integers(0, len(TEXT) - 1), letter=st.sampled_from("Az09-_=+/ .é\u200b"))
def test_one_changed_character_is_no_token_or_another_digest(at, letter):
    other = TEXT[:at] + letter + TEXT[at + 1 :]
    found = KIND.claim(other)
    if other != TEXT:
        assert not isinstance(found, tuple) or found[0].digest != claimed()[0].digest


@pytest.mark.parametrize("more", ["A", "=", "==", "\n", " ", ".", "\0", ".AAAA"])
def test_nothing_stands_before_or_behind_a_token(more):
    assert not isinstance(KIND.claim(TEXT + more), tuple)
    assert not isinstance(KIND.claim(more + TEXT), tuple)


def test_the_bits_that_are_left_over_are_zero():
    # 64 bytes leave four bits in the last character: another spelling of the same signature.
    assert TEXT.endswith("A")
    assert not isinstance(KIND.claim(TEXT[:-1] + "B"), tuple)


def test_it_is_read_from_one_header_as_bearer_in_any_case():
    for scheme in ("Bearer ", "bearer ", "BEARER  "):
        assert KIND.parse(request(headers={"authorization": scheme + TEXT})) == KIND.claim(TEXT)
    for value in (TEXT, f"Basic {TEXT}", f"Bearer\t{TEXT}", "Bearer ", f"Bearer {TEXT}, x"):
        assert not isinstance(KIND.parse(request(headers={"authorization": value})), tuple)
    twice = msgspec.structs.replace(
        request(headers={"authorization": f"Bearer {TEXT}"}), repeated=frozenset({"authorization"})
    )
    found = KIND.parse(twice)
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIAL_REPEATED


def test_a_huge_text_is_not_worked_on():
    assert KIND.claim("A" * MAX_LENGTH + ".B.C") is None


@pytest.mark.parametrize(
    "settings",
    [{"lifetime": "25h"}, {"lifetime": "soon"}, {"audience": ""}, {"prefix": "x"}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(msgspec.ValidationError):
        OauthToken.configured("latchgate.oauth_token", settings)


def test_its_grants_are_of_a_kind_of_their_own():
    assert KIND.grant_kind == "latchgate.oauth_grant"


def nested(depth):
    return b'"x":' + b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (json.dumps(HEADER).encode(), b"{" + nested(1_200) + b"}"),
        (json.dumps(HEADER).encode(), b'{"iss":"https://login.example",' + nested(1_200) + b"}"),
        (b"{" + nested(1_200) + b"}", json.dumps(CLAIMS).encode()),
    ],
)
def test_d6_53_json_that_is_nested_a_thousand_deep_is_no_fault_of_ours(head, body):
    text = ".".join(spell(part) for part in (head, body, bytes(64)))
    assert len(text) <= MAX_LENGTH
    assert not isinstance(KIND.claim(text), tuple)


@pytest.mark.parametrize("name", ["iat", "exp"])
@pytest.mark.parametrize("told", [10**400, 1 << 53, -1, -(10**400)])
def test_d6_52_a_moment_that_no_clock_shows_is_refused(name, told):
    assert isinstance(KIND.claim(jwt(claims=CLAIMS | {name: told})), Refused)


@pytest.mark.parametrize("lasts", [LONGEST + 1, 0, -1])
def test_d6_52_a_stolen_key_that_was_retired_signs_no_token_that_lasts(lasts):
    begins = CLAIMS["iat"]
    assert isinstance(begins, int)
    told = CLAIMS | {"exp": begins + LONGEST}
    assert isinstance(KIND.claim(jwt(claims=told)), tuple)
    told = CLAIMS | {"exp": begins + lasts}
    assert isinstance(KIND.claim(jwt(claims=told)), Refused)
