"""Charts: every count is seen, nothing leaves the picture, the scale is one that people read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchgate.doors.console.chart import _HEIGHT, _WIDTH, Bar, drawn


def test_nothing_is_drawn_of_nothing():
    assert drawn(("all",), ()).empty
    assert drawn(("all",), [Bar("now", (0,))]).empty


@pytest.mark.parametrize(
    ("most", "top"),
    [(0, 1), (1, 1), (2, 2), (3, 5), (5, 5), (6, 10), (11, 20), (99, 100), (101, 200)],
)
def test_the_scale_ends_at_a_round_number(most, top):
    assert drawn(("all",), [Bar("now", (most,))]).top == top


def test_series_stand_on_each_other_in_proportion():
    made = drawn(("allowed", "refused"), [Bar("a", (5, 5)), Bar("b", (10, 0))])
    low, high, alone = made.shapes
    assert (low.series, high.series, alone.series) == (0, 1, 0)
    assert (low.height, high.height, alone.height) == (_HEIGHT / 2, _HEIGHT / 2, _HEIGHT)
    assert (low.y, high.y) == (_HEIGHT / 2, 0.0)
    assert low.x == high.x < alone.x
    assert made.totals == (15, 5)


def test_what_is_next_to_nothing_is_seen_all_the_same():
    made = drawn(("all",), [Bar("a", (1,)), Bar("b", (1_000_000,))])
    assert made.shapes[0].height == 1.0


def test_what_is_next_to_nothing_has_its_place_in_a_bar_that_fills_the_picture():
    low, middle, high = drawn(("a", "b", "c"), [Bar("full", (999_998, 1, 1))]).shapes
    assert (high.y, high.height, middle.y, middle.height) == (0.0, 1.0, 1.0, 1.0)
    assert (low.y, low.height) == (2.0, _HEIGHT - 2)


def test_a_bar_of_other_series_is_refused():
    with pytest.raises(ValueError, match="one count for each series"):
        drawn(("all",), [Bar("a", (1, 2))])


@given(st.lists(st.tuples(*[st.integers(0, 10**9)] * 3), min_size=1, max_size=120))
def test_nothing_leaves_the_picture_and_no_two_of_a_bar_overlap(counts):
    made = drawn(("a", "b", "c"), [Bar(f"{at}", one) for at, one in enumerate(counts)])
    assert len(made.shapes) == sum(count > 0 for one in counts for count in one)
    for shape in made.shapes:
        assert 0 <= shape.x <= shape.x + shape.width <= _WIDTH + 0.2
        assert 0 <= shape.y <= shape.y + shape.height <= _HEIGHT + 0.2
    for one, other in zip(made.shapes, made.shapes[1:], strict=False):
        if one.x == other.x:
            assert other.y + other.height <= one.y + 0.2
