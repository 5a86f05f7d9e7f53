"""Codes of an authenticator app: RFC 6238's own vectors, drift, and each code once."""

from __future__ import annotations

import base64
import secrets
from urllib.parse import parse_qs, urlsplit

import pytest

from latchgate.core.secret import Secret
from latchgate.signin import totp

# RFC 6238, Appendix B: the secret is ASCII; of the eight digits that it shows apps show six.
SECRET = Secret(base64.b32encode(b"12345678901234567890").decode())
VECTORS = [
    (59, "287082"),
    (1_111_111_109, "081804"),
    (1_111_111_111, "050471"),
    (1_234_567_890, "005924"),
    (2_000_000_000, "279037"),
    (20_000_000_000, "353130"),
]


@pytest.mark.parametrize(("now", "code"), VECTORS)
def test_the_codes_are_those_of_the_rfc(now, code):
    assert totp.step_of(SECRET, code, now=now, after=0) == now // 30


@pytest.mark.parametrize(
    ("late", "taken"), [(-61, False), (-30, True), (0, True), (30, True), (60, False)]
)
def test_a_clock_may_be_one_step_off(late, taken):
    now, code = VECTORS[1]
    now -= now % 30
    assert (totp.step_of(SECRET, code, now=now + late, after=0) is not None) is taken


def test_a_code_is_of_no_step_that_was_used_or_of_one_before():
    now, code = VECTORS[0]
    step = now // 30
    assert totp.step_of(SECRET, code, now=now, after=step - 1) == step
    assert totp.step_of(SECRET, code, now=now, after=step) is None
    assert totp.step_of(SECRET, code, now=now, after=step + 1) is None


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("287082", "287082"),
        (" 287 082 ", "287082"),
        ("28708", None),
        ("2870822", None),
        ("28708a", None),
        ("२८७०८२", None),
        ("", None),
    ],
)
def test_six_digits_are_a_code_and_nothing_else(typed, read):
    assert totp.read_code(typed) == read


def test_an_app_reads_the_same_secret_from_the_address():
    drawn = totp.draw(secrets.token_bytes)
    address = urlsplit(totp.address(drawn, login="ann@b", issuer="Latchgate").reveal())
    told = parse_qs(address.query)
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert told["secret"] == [drawn.reveal()]
    assert told["issuer"] == ["Latchgate"]
    assert len(base64.b32decode(drawn.reveal())) == totp.SECRET_BYTES
