"""Moments as clouds write them."""

from __future__ import annotations

import pytest

from latchgate.client.timestamp import unix_seconds


@pytest.mark.parametrize(
    "text", ["2027-01-01T00:00:00Z", "2027-01-01T00:00:00.000000", "2027-01-01T02:00:00+02:00"]
)
def test_a_moment_without_an_offset_is_in_utc(text):
    assert unix_seconds(text) == 1_798_761_600.0


def test_what_is_no_moment_raises():
    with pytest.raises(ValueError, match="soon"):
        unix_seconds("soon")
