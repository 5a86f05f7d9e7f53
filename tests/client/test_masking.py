"""Secrets in what servers say, however they are spelled there."""

from __future__ import annotations

import base64
import json
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latchgate.client.masking import shown
from latchgate.client.secret import MASK, Secret

KEY = "wayscloud_storage_abc123_XyZ/789+Secret=Key"
PASSWORD = 'pässwörd "with" \\ & <spaces>'


def percent(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


def basic(text):
    return base64.b64encode(f"alice:{text}".encode()).decode()


def escaped(text):
    return json.dumps(text)[1:-1]


SPELLINGS = {
    "as it is": str,
    "quoted": quote,
    "quoted whole": percent,
    "quoted in lower case": lambda text: percent(text).lower(),
    "quoted for a form": quote_plus,
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "escaped for JSON": escaped,
    "escaped for JSON and quoted": lambda text: quote(escaped(text), safe=""),
    "escaped for HTML": escape,
    "as numbers of HTML": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "in lower case": str.lower,
    "in a Basic": basic,
    "in a Basic for an address": lambda text: basic(text).replace("+", "-").replace("/", "_"),
    "in a Basic that is quoted": lambda text: quote(basic(text), safe=""),
    "as Latin-1 reads it": lambda text: text.encode().decode("latin-1"),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, PASSWORD])
def test_a_secret_is_masked_however_it_is_spelled(spelled, secret):
    told = f"key {spelled(secret)} is not known"
    plain = shown(told, [Secret(secret)], longest=500)
    assert plain == f"key {MASK} is not known"


# As credentials are: no control characters (RFC 7617 §2).
CREDENTIALS = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters=MASK),
    min_size=8,
    max_size=60,
)


@settings(deadline=None)
@given(
    CREDENTIALS,
    st.sampled_from([one for name, one in SPELLINGS.items() if name != "in lower case"]),
    st.text(max_size=5),
)
@example("00000000", basic, "")
def test_no_secret_is_left_in_any_spelling(secret, spelled, around):
    plain = shown(f"{around} {spelled(secret)} {around}", [Secret(secret)], longest=10_000)
    assert secret not in plain
    assert spelled(secret) not in plain


@settings(deadline=None)
@given(st.binary(max_size=8), st.binary(min_size=6, max_size=40), st.binary(max_size=8))
def test_base64_is_known_wherever_the_secret_stands_in_it(before, secret, after):
    text = secret.decode("latin-1")
    coded = base64.b64encode(before + text.encode() + after).decode()
    assert coded not in shown(f"got {coded}", [Secret(text)], longest=1000)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_what_is_shown_is_one_line_that_a_terminal_can_take(text):
    plain = shown(text, [], longest=100)
    assert plain.isprintable()
    assert len(plain) <= 101


def test_control_characters_are_shown_as_what_they_are():
    assert shown("a\x1b[31m\r\nb\u202ec\0", [], longest=100) == r"a\x1b[31m b\u202ec\x00"


def test_a_text_is_masked_before_it_is_cut_and_its_cut_end_too():
    secret = "s" * 40 + "tail" * 4
    assert shown(f"{'x' * 90}{secret}", [Secret(secret)], longest=100) == f"{'x' * 90}{MASK}"
    long = secret * 10_000
    assert secret[:8] not in shown(long, [Secret(secret)], longest=100_000)


def test_what_only_looks_coded_stays_as_it_was():
    told = "100%25 of C:\\u0041 &amp; more+than that"
    assert shown(told, [Secret(KEY)], longest=500) == told


def test_no_secret_masks_nothing():
    assert shown("as it is", [Secret("")], longest=500) == "as it is"
