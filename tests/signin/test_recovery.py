"""Recovery codes: enough chance in each, and read however they are typed."""

from __future__ import annotations

import math
import secrets

import pytest

from latchgate.signin import recovery


def test_ten_are_drawn_with_as_much_chance_as_a_secret_has():
    drawn = [code.reveal() for code in recovery.codes(secrets.token_bytes)]
    assert len(set(drawn)) == recovery.COUNT == 10
    for text in drawn:
        assert len(text.replace("-", "")) * math.log2(32) >= 128
        assert recovery.digest_of(text) is not None


def test_case_blanks_and_look_alikes_make_no_difference():
    text = recovery.codes(bytes)[0].reveal()  # only zeros
    wanted = recovery.digest_of(text)
    assert wanted is not None
    assert recovery.digest_of(text.replace("-", "")) == wanted
    assert recovery.digest_of(f"  {text.replace('-', ' ')} ") == wanted
    assert recovery.digest_of(text.replace("0", "O")) == wanted


@pytest.mark.parametrize("typed", ["", "123456", "0" * 25, "0" * 27, "u" * 26, "é" * 26])
def test_what_can_be_none_is_none(typed):
    assert recovery.digest_of(typed) is None
