from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.timestamp import imf_fixdate, parse_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_800_000_000, "2027-01-15T08:00:00Z"),
        (1_800_000_000.5, "2027-01-15T08:00:00.5Z"),
        (1_800_000_000.000_001, "2027-01-15T08:00:00.000001Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (4_102_444_800, "2100-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_written_in_utc_without_needless_digits(seconds, text):
    assert rfc3339(seconds) == text
    assert parse_rfc3339(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2027-01-15T09:00:00+01:00", 1_800_000_000),
        ("2027-01-15T00:00:00-08:00", 1_800_000_000),
        ("2027-01-15T13:45:00+05:45", 1_800_000_000),
        ("2027-01-15T08:00:00.250Z", 1_800_000_000.25),
        ("2027-01-15T08:00:00.25+00:00", 1_800_000_000.25),
    ],
)
def test_offsets_and_fractions_of_rfc_3339_are_read(text, seconds):
    assert parse_rfc3339(text) == seconds


NO_TIMES = ["", "now", "2027-01-15", "08:00:00Z", "2027-01-15T08:00:00", "2027-01-15 08:00:00"]
NO_TIMES += ["2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-15T25:00:00Z", "1800000000"]
NO_TIMES += ["2027-01-15T08:00:00+25:00", "2027-01-15T08:00:00Zjunk", "٢027-01-15T08:00:00Z"]
NO_TIMES += ["Fri, 15 Jan 2027 08:00:00 GMT"]


@pytest.mark.parametrize(
    "text",
    NO_TIMES,
)
def test_what_is_no_time_or_has_no_offset_is_refused_and_a_right_one_is_shown(text):
    with pytest.raises(ValueError, match=r"is not a time such as 2026-12-01T00:00:00Z"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "2027-W02-5T08:00:00Z",
        "20270115T080000Z",
        "2027-01-15T08Z",
        "2027-01-15T08:00Z",
        "2027-01-15x08:00:00Z",
        "2027-01-15T08:00:00+01:00:30",
        "2027-01-15T08:00:00,5Z",
        "2027-01-15T08:00:00 Z",
    ],
)
def test_what_only_iso_8601_allows_is_refused_because_the_contract_says_rfc_3339(text):
    with pytest.raises(ValueError, match="is not a time such as"):
        parse_rfc3339(text)


@FUZZ
@given(
    moment=st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(9999, 12, 31),  # noqa: DTZ001 - (same)
        timezones=st.just(UTC),
    )
)
def test_what_is_written_is_read_back_to_the_microsecond(moment):
    text = rfc3339(moment.timestamp())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", text)
    assert abs(parse_rfc3339(text) - moment.timestamp()) < 1e-4
    if moment.year < 2200:
        assert datetime.fromisoformat(text) == moment


@FUZZ
@given(text=st.text(max_size=40))
def test_any_text_is_a_time_or_a_value_error(text):
    try:
        parse_rfc3339(text)
    except ValueError:
        return
    assert re.match(r"\d{4}", text)


@FUZZ
@given(st.floats(min_value=0, max_value=253_402_300_798))
def test_http_dates_are_those_that_others_write(seconds):
    assert imf_fixdate(seconds) == formatdate(int(seconds), usegmt=True)
