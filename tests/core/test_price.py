"""Prices and amounts are exact, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.core.price import amount_text, parse_millionths


@pytest.mark.parametrize(
    ("text", "millionths"),
    [("0", 0), ("1", 1_000_000), ("0.0004", 400), ("0.000001", 1), ("12.5", 12_500_000)],
)
def test_a_decimal_is_read_exactly(text, millionths):
    assert parse_millionths(text) == millionths


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", "1.", ".5", "1e3", "1,5", "0.0000001", "1_0", " 1", "1\n", "\u0661", "1" * 10],
)
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="is not a price"):
        parse_millionths(text)


@pytest.mark.parametrize(
    ("millionths", "text"),
    [(0, "0.00"), (1, "0.000001"), (400, "0.0004"), (1_500_000, "1.50"), (10**15, "1000000000.00")],
)
def test_an_amount_has_two_places_or_as_many_as_it_needs(millionths, text):
    assert amount_text(millionths) == text


@given(st.integers(0, 10**15 - 1))
def test_an_amount_is_read_back_as_it_was(millionths):
    assert parse_millionths(amount_text(millionths)) == millionths
