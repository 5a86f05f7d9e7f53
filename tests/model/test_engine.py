"""The explorer finds the nearest wrong state, or visits them all."""

from __future__ import annotations

import pytest
from tests.model.engine import TooManyStatesError, explore


def jugs(state):
    """Two jugs of 3 and 5 litres, as in the riddle."""
    three, five = state
    yield "fill 3", (3, five)
    yield "fill 5", (three, 5)
    yield "empty 3", (0, five)
    yield "empty 5", (three, 0)
    poured = min(three, 5 - five)
    yield "3 into 5", (three - poured, five + poured)
    poured = min(five, 3 - three)
    yield "5 into 3", (three + poured, five - poured)


def four(state):
    return "four litres" if state[1] == 4 else ""


def test_the_shortest_way_is_told():
    found = explore((0, 0), jugs, four, limit=100)

    assert found.fault == "four litres"
    assert [what for what, _ in found.trace] == [
        "fill 5",
        "5 into 3",
        "empty 3",
        "5 into 3",
        "fill 5",
        "5 into 3",
    ]
    assert found.trace[-1][1] == (3, 4)


def test_every_state_is_visited_where_none_is_wrong():
    found = explore((0, 0), jugs, lambda state: "", limit=100)

    assert (found.states, found.fault, found.trace) == (16, "", ())
    assert "3 into 5" in found.did


def test_more_states_than_allowed_are_no_proof():
    with pytest.raises(TooManyStatesError, match="more than 15 states"):
        explore((0, 0), jugs, lambda state: "", limit=15)


def test_states_that_differ_in_nothing_that_counts_are_one():
    def steps(state):
        for index in (0, 1):
            if state[index] < 3:
                after = list(state)
                after[index] += 1
                yield f"count {index}", tuple(after)

    def alike(state):
        return min(state), max(state)

    all_states = explore((0, 0), steps, lambda state: "", limit=100).states
    fewer = explore((0, 0), steps, lambda state: "", limit=100, canonical=alike)

    assert (all_states, fewer.states) == (16, 10)
