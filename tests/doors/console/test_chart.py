"""Charts say the same as their table, at a scale that people read, however long the time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.doors.console.chart import _HEIGHT, MAX_BARS, Bar, _short, drawn

COUNTS = st.lists(st.tuples(*[st.integers(0, 10**9)] * 3), max_size=300)


@given(COUNTS)
def test_every_bar_lies_in_the_picture_and_what_is_there_is_seen(rows):
    chart = drawn("abc", [Bar(f"{at}", counts) for at, counts in enumerate(rows)])
    assert len({one.x for one in chart.shapes}) <= MAX_BARS
    for one in chart.shapes:
        assert one.x >= 0
        assert one.x + one.width <= 720.1
        assert 0 <= one.y <= 160
        assert one.height >= 1
    assert chart.empty is not any(map(any, rows))
    assert chart.totals == (tuple(map(sum, zip(*rows, strict=True))) if rows else (0, 0, 0))


@given(COUNTS.filter(bool))
def test_bars_of_a_long_time_are_drawn_together_and_lose_nothing(rows):
    chart = drawn("abc", [Bar(f"{at}", counts) for at, counts in enumerate(rows)])
    joined = [rows[at : at + chart.joined] for at in range(0, len(rows), chart.joined)]
    most = max(sum(map(sum, several)) for several in joined)
    assert most <= chart.top < max(most, 1) * 5
    assert len(chart.bars) == len(rows)
    assert (chart.marks[0], chart.marks[-1]) == ("0", f"{len(rows) - 1}")


def test_a_bar_without_a_count_for_each_series_is_refused():
    with pytest.raises(ValueError, match="one count for each"):
        drawn("ab", [Bar("x", (1,))])


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0.5, "0.5"), (999, "999"), (1_000, "1k"), (2_500, "2.5k"), (5e6, "5M"), (2e19, "20000P")],
)
def test_a_scale_is_written_short(number, shown):
    assert _short(number) == shown


def test_what_is_next_to_nothing_has_its_place_in_a_bar_that_fills_the_picture():
    low, middle, high = drawn(("a", "b", "c"), [Bar("full", (999_998, 1, 1))]).shapes
    assert (high.y, high.height, middle.y, middle.height) == (0.0, 1.0, 1.0, 1.0)
    assert (low.y, low.height) == (2.0, _HEIGHT - 2)
