from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
import pickle
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ, entropy

from latchgate.core.secret import (
    BASE62,
    CHECKSUM_LENGTH,
    CROCKFORD_LOWER,
    Secret,
    checksum,
    digest,
    draw,
    same,
    spell,
)

HUSH = Secret("acme_storage_1_hush")


@pytest.mark.parametrize(
    "printed",
    [
        repr(HUSH),
        str(HUSH),
        f"{HUSH}",
        f"{HUSH!s:*^60}",
        f"{HUSH!a}",
        "%s" % HUSH,  # noqa: UP031 - the logging module formats this way
        "%r" % [HUSH],
        repr({"key": HUSH}),
        repr((HUSH,)),
        logging.LogRecord("n", 1, "f", 1, "made %s", (HUSH,), None).getMessage(),
    ],
)
def test_a_secret_prints_masked_however_it_is_printed(printed):
    assert "hush" not in printed
    assert "***" in printed


def test_only_reveal_shows_it():
    assert HUSH.reveal() == "acme_storage_1_hush"
    assert not hasattr(HUSH, "__dict__")


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_is_neither_copied_nor_serialised(leave):
    with pytest.raises(TypeError):
        leave(HUSH)


@FUZZ
@given(number=st.integers(min_value=0, max_value=62**12 - 1))
def test_spelling_is_positional_notation_and_reads_back(number):
    spelled = spell(number, BASE62, 12)
    assert len(spelled) == 12
    value = 0
    for character in spelled:
        value = value * 62 + BASE62.index(character)
    assert value == number


def test_a_number_that_does_not_fit_is_an_error_not_a_shorter_secret():
    assert spell(62**3 - 1, BASE62, 3) == "zzz"
    with pytest.raises(ValueError, match="does not fit in 3 characters of base 62"):
        spell(62**3, BASE62, 3)


@pytest.mark.parametrize(("alphabet", "length"), [(BASE62, 26), (CROCKFORD_LOWER, 12), ("01", 7)])
def test_drawing_wants_64_bits_more_than_it_gives_so_that_the_bias_cannot_be_measured(
    alphabet, length
):
    enough = math.ceil((math.floor(math.log2(len(alphabet) ** length)) + 1 + 64) / 8)
    assert len(draw(entropy(1, enough), alphabet, length)) == length
    with pytest.raises(ValueError, match="too little entropy"):
        draw(entropy(1, enough - 1), alphabet, length)


def test_drawing_uses_all_of_the_entropy():
    drawn = bytearray(entropy(1, 31))
    first = draw(bytes(drawn), BASE62, 26)
    for at in range(31):
        drawn[at] ^= 1
        assert draw(bytes(drawn), BASE62, 26) != first
        drawn[at] ^= 1


def test_drawn_characters_are_spread_evenly():
    counts = dict.fromkeys(BASE62, 0)
    for seed in range(4000):
        for character in draw(entropy(seed, 31), BASE62, 26):
            counts[character] += 1
    mean = 4000 * 26 / 62
    assert sum((count - mean) ** 2 / mean for count in counts.values()) < 120  # chi², p ≈ 1e-5


def test_alphabets_hold_each_character_once_and_none_that_is_easily_mistaken():
    assert len(set(BASE62)) == 62
    assert BASE62.isalnum()
    assert len(set(CROCKFORD_LOWER)) == 32
    assert not set("ilou") & set(CROCKFORD_LOWER)


@pytest.mark.parametrize(
    ("text", "expected"), [("123456789", "cbf43926"), ("", "00000000"), ("a", "e8b7be43")]
)
def test_the_checksum_is_crc_32_as_every_other_program_computes_it(text, expected):
    assert checksum(text) == expected


@FUZZ
@given(text=st.text(max_size=80))
def test_a_checksum_is_always_eight_lower_case_hexadecimal_digits(text):
    assert checksum(text) == f"{zlib.crc32(text.encode()):08x}"
    assert len(checksum(text)) == CHECKSUM_LENGTH


def test_a_digest_is_sha256_separated_by_domain():
    assert digest("service_key", "x") == hashlib.sha256(b"latchgate:service_key:1\0x").digest()
    assert digest("service_key", "x") != digest("api_token", "x")


@FUZZ
@given(one=st.binary(max_size=40), other=st.binary(max_size=40))
def test_digests_are_the_same_only_when_every_byte_is(one, other):
    assert same(one, one)
    assert same(one, other) == (one == other)


def test_d5_36_digests_are_compared_in_constant_time():
    assert "compare_digest" in same.__code__.co_names
