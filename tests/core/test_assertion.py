from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, NOW

from latchgate.core.assertion import (
    LEEWAY,
    MAX_AGE,
    MAX_LENGTH,
    Issuer,
    Statement,
    claims_fault,
    header_fault,
    identity_digest,
    lifetime,
    read_statement,
    subject_fault,
    valid_subject,
)

ISSUER = Issuer("https://id.example/realms/r", "https://id.example/keys", "api", ("RS256",))
CLAIMS: dict[str, Any] = {
    "iss": ISSUER.url,
    "aud": ["other", "api"],
    "sub": "ada",
    "exp": NOW + 300,
    "iat": NOW,
}


def part(told: object) -> str:
    held = told if isinstance(told, bytes) else json.dumps(told).encode()
    return base64.urlsafe_b64encode(held).decode().rstrip("=")


def text(header: object, claims: object, signature: str = "c2ln") -> str:
    return f"{part(header)}.{part(claims)}.{signature}"


def test_a_compact_token_is_read_into_its_two_objects():
    found = read_statement(text({"alg": "RS256"}, CLAIMS))
    assert found == Statement({"alg": "RS256"}, CLAIMS)


@pytest.mark.parametrize(
    "token",
    [*("", "a", "a.b", "a.b.c.d", "a..c", "a.b.", ".b.c"), "a.b.c=", "a.b.c d", "a.b.ü", "a.b.c\n"],
)
def test_what_is_not_three_parts_of_base64url_is_no_token(token):
    assert read_statement(token) is None


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b"5",
        b'"x"',
        b"\xff\xfe",
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"[" * 3000,
    ],
    ids=repr,
)
def test_a_part_that_is_not_one_object_with_each_member_once_is_refused(bad):
    assert isinstance(read_statement(text(bad, CLAIMS)), str)
    assert isinstance(read_statement(text({"alg": "RS256"}, bad)), str)


def test_two_texts_never_mean_the_same_bytes():
    told = text({"alg": "RS256"}, {"sub": "abcd"})
    header, claims, signature = told.split(".")
    assert len(header) % 4
    turned = header[:-1] + chr(ord(header[-1]) + 1)
    assert isinstance(read_statement(f"{turned}.{claims}.{signature}"), str)


def test_d6_53_a_long_token_is_refused_before_it_is_read():
    assert isinstance(read_statement(text({"alg": "RS256"}, {"x": "y" * MAX_LENGTH})), str)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "RS256", "crit": ["exp"]},
        {"alg": "RS256", "b64": False, "crit": ["b64"]},
        {"alg": "RS256", "b64": True},
        {"alg": "RS256", "zip": "DEF"},
        {"alg": "dir", "enc": "A256GCM"},
        {"alg": "RS256", "typ": "logout+jwt"},
        {"alg": "RS256", "typ": "dpop+jwt"},
        {"alg": "RS256", "typ": 5},
        {"typ": "JWT"},
        {"alg": ["RS256"]},
        {"alg": "RS256", "kid": 5},
        {"alg": "RS256", "kid": ""},
        {"alg": "RS256", "kid": "x" * 256},
    ],
    ids=str,
)
def test_d6_52_a_header_that_asks_for_more_than_a_signature_is_refused(header):
    assert header_fault(header) is not None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": "application/AT+JWT"},
        {"kid": "one", "x5t": "AA"},
        # Where it says that keys are is nothing to us, and some issuers always say it.
        {"jku": "https://evil.example/", "x5u": "https://evil.example/", "jwk": {}, "x5c": []},
    ],
    ids=str,
)
def test_a_header_of_an_access_token_is_taken(more):
    assert header_fault({"alg": "RS256", **more}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"iss": None},
        {"iss": ISSUER.url + "/"},
        {"iss": ISSUER.url.upper()},
        {"iss": [ISSUER.url]},
        {"aud": None},
        {"aud": "other"},
        {"aud": "API"},
        {"aud": "api "},
        {"aud": []},
        {"aud": {"api": 1}},
        {"aud": ["ap", "i"]},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"sub": "ü"},
        {"exp": None},
        {"exp": "1800000300"},
        {"exp": True},
        {"exp": 1e300},
        {"nbf": "soon"},
        {"iat": None},
        {"iat": [1]},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": 5},
        {"cnf": {"jkt": "x"}},
    ],
    ids=str,
)
def test_d6_52_claims_that_are_not_for_us_are_refused(change):
    told = {**CLAIMS, **change}
    if change == {"iat": None}:
        told["iat"] = None  # there, and no number
    assert claims_fault(CLAIMS, ISSUER) is None
    assert claims_fault(told, ISSUER) is not None


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "exp"])
def test_d6_52_a_claim_that_security_depends_on_has_no_default(missing):
    told = {name: value for name, value in CLAIMS.items() if name != missing}
    assert claims_fault(told, ISSUER) is not None


def test_a_single_audience_may_be_written_plain():
    assert claims_fault({**CLAIMS, "aud": "api"}, ISSUER) is None
    assert claims_fault({**CLAIMS, "typ": "Bearer"}, ISSUER) is None


def test_claims_hold_from_their_start_less_the_leeway_until_just_before_their_end():
    assert lifetime(CLAIMS) == (NOW - LEEWAY, NOW + 300)
    assert lifetime({**CLAIMS, "nbf": NOW + 60}) == (NOW + 60 - LEEWAY, NOW + 300)
    assert lifetime({"exp": NOW + 300})[1] == NOW + 300
    with pytest.raises(ValueError, match="exp"):
        lifetime({"iat": NOW})


def test_claims_hold_a_day_at_most_however_long_their_issuer_says():
    assert lifetime({**CLAIMS, "exp": NOW + 9e9})[1] == NOW + MAX_AGE


def test_each_pair_of_issuer_and_subject_has_a_digest_of_its_own():
    pairs = [("https://a", "x"), ("https://a", "X"), ("https://b", "x"), ("https://a/", "x")]
    assert len({identity_digest(*pair) for pair in pairs}) == len(pairs)
    assert len(identity_digest(*pairs[0])) == 32


def test_a_subject_may_hold_what_names_hold_but_no_space_around():
    assert valid_subject("f:0d9b#2a1c:ada @example")
    for bad in ("", " a", "a ", "\t", "a\x7f", "x" * 256):
        assert not valid_subject(bad)
        assert subject_fault({"sub": bad}) is not None


@FUZZ
@given(st.text(alphabet="abcAB.-_=é{}", max_size=60))
def test_no_text_at_all_makes_reading_fail(token):
    found = read_statement(token)
    assert found is None or isinstance(found, Statement | str)
