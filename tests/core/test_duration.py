from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.worlds import FUZZ

from latchgate.core.duration import MAX_SECONDS, parse_duration

UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "min": 60, "s": 1, "sec": 1}
ORDER = (("w",), ("d",), ("h",), ("m", "min"), ("s", "sec"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3600),
        ("24h", 86_400),
        ("7d", 604_800),
        ("90d", 7_776_000),
        ("1h30m", 5400),
        ("1h30min", 5400),
        ("90s", 90),
        ("90sec", 90),
        ("2w", 1_209_600),
        ("1w2d3h4m5s", 604_800 + 2 * 86_400 + 3 * 3600 + 4 * 60 + 5),
        (" 1h ", 3600),
        ("1H30MIN", 5400),
        ("007d", 604_800),
        ("1s", 1),
        ("36500d", MAX_SECONDS),
    ],
)
def test_durations_as_people_write_them(text, seconds):
    assert parse_duration(text) == seconds


NO_DURATIONS = ["", " ", "1", "h", "-1h", "+1h", "1.5h", "1,5h", "1 h", "1h 30m", "1hour"]
NO_DURATIONS += ["1y", "1mo", "1ms"]
NO_DURATIONS += ["1m1h", "1h1h", "1m1min", "1s1sec", "30m1h30m", "1h30", "h1", "1e3s", "0x1h"]
NO_DURATIONS += [
    "P1D",
    "1h;",
    "1h\x00",
    "1h\n2m",
    "never",
    "0",
    "1000000000s",
    "1" * 500 + "s",
    "1_0h",
]


@pytest.mark.parametrize(
    "text",
    NO_DURATIONS,
)
def test_anything_else_is_refused_and_what_would_be_right_is_shown(text):
    with pytest.raises(ValueError, match=r"is not a duration; write for example 1h, 24h, 7d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["\u0661h", "\uff11h", "1\uff48", "\u09690m", "\u00b2h"])
def test_digits_of_other_scripts_are_refused_because_a_reader_may_see_another_number(text):
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0h", "0h0m0s", "36500d1s", "36501d", "101000w", "999999w"])
def test_nothing_and_more_than_a_century_are_refused(text):
    with pytest.raises(ValueError, match="longer than nothing and at most 100 years"):
        parse_duration(text)


def test_a_message_quotes_no_more_than_the_start_of_a_long_text():
    with pytest.raises(ValueError, match="is not a duration") as raised:
        parse_duration("x" * 10_000)
    assert len(str(raised.value)) < 200


@FUZZ
@given(counts=st.tuples(*[st.one_of(st.none(), st.integers(1, 50)) for _ in ORDER]), data=st.data())
def test_any_mix_of_units_largest_first_adds_up(counts, data):
    parts = [
        (count, data.draw(st.sampled_from(names)))
        for count, names in zip(counts, ORDER, strict=True)
        if count is not None
    ]
    text = "".join(f"{count}{unit}" for count, unit in parts)
    if parts:
        assert parse_duration(text) == sum(count * UNITS[unit] for count, unit in parts)


def test_units_out_of_order_or_twice_are_refused_whichever_they_are():
    for one, other in itertools.product(UNITS, repeat=2):
        if UNITS[one] <= UNITS[other]:
            with pytest.raises(ValueError, match="is not a duration"):
                parse_duration(f"1{one}1{other}")


@FUZZ
@given(text=st.one_of(st.text(max_size=30), st.text("0123456789wdhmsincxe .-", max_size=12)))
def test_any_text_is_a_duration_in_bounds_or_a_value_error(text):
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 1 <= seconds <= MAX_SECONDS
