"""Where a request's CPU goes: parts that add up to what was measured, none of them twice."""

from dataclasses import dataclass

import pytest
from benchmarks.profiled import parts
from benchmarks.stages import ANSWERED, COUNTED, DECIDED, READ

ALONE = {READ: 4.0, DECIDED: 3.5, COUNTED: 4.0, ANSWERED: 9.0}


@dataclass
class Round:
    cpu: float
    user: float
    kernel: float
    other_threads: float = 0.0
    other_kernel: float = 0.0


DOOR = [Round(24.0, 15.0, 9.0, 2.0, 0.5), Round(26.0, 16.0, 10.0, 2.0, 0.5), Round(99.0, 9.0, 90.0)]
CONSTANT = [Round(13.0, 6.0, 7.0)]


def told(door=DOOR, constant=CONSTANT, alone=ALONE):
    return {one.name.partition(":")[0]: one.spent for one in parts(door, constant, alone)}


def test_the_parts_add_up_to_the_median_of_the_rounds():
    assert sum(told().values()) == pytest.approx(26.0)


def test_a_thread_that_keeps_what_was_counted_is_not_in_the_kernels_part_as_well():
    found = told([Round(20.0, 12.0, 8.0, 3.0, 1.0)])
    assert found["kernel"] == pytest.approx(7.0)
    assert found["other threads"] == pytest.approx(3.0)


def test_each_stage_is_what_it_costs_over_those_that_it_contains():
    found = told()
    assert found["event loop and transport"] == pytest.approx(6.0 - 4.0)
    assert found["reading the request"] == pytest.approx(4.0)
    assert found["deciding, from memory"] == pytest.approx(3.5)
    assert found["counting the use"] == pytest.approx(0.5)
    assert found["asking the engine, and the answer's bytes"] == pytest.approx(1.0)


def test_what_no_stage_explains_is_told_too():
    assert told([Round(40.0, 31.0, 9.0)])["not explained"] == pytest.approx(20.0)
