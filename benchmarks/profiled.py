"""Where an accepted request's CPU goes: what the kernel counted, divided by what stages cost alone.

Rule of this file: pure. The parts add up to what the rounds measured; what no stage explains is a
part with a name, and the parts of a stage are differences, so a small one may come out below zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from benchmarks.stages import ANSWERED, COUNTED, DECIDED, READ


class Counted(Protocol):
    """One round's CPU, in microseconds a request."""

    @property
    def cpu(self) -> float:
        """All of it."""

    @property
    def user(self) -> float:
        """Of all threads."""

    @property
    def kernel(self) -> float:
        """Of all threads."""

    @property
    def other_threads(self) -> float:
        """User and kernel, of all threads but the first."""

    @property
    def other_kernel(self) -> float:
        """The kernel's part of that."""


class Part(NamedTuple):
    """One part of a request's CPU: microseconds, and what they were measured as."""

    name: str
    spent: float
    measured: str


def parts(
    door: Sequence[Counted], constant: Sequence[Counted], alone: Mapping[str, float]
) -> Iterator[Part]:
    """Yield the parts of what the door spends on an acceptance, the last one unexplained.

    `constant` are rounds of the same server with a constant answer; `alone` is what each stage
    costs by itself, of `benchmarks.stages`.
    """
    kernel = _median(door, lambda one: one.kernel - one.other_kernel)
    fixed = _median(constant, lambda one: one.user - one.other_threads + one.other_kernel)
    others = _median(door, lambda one: one.other_threads)
    told = [
        Part("kernel: sockets, and the loop's waits", kernel, "rounds"),
        Part("event loop and transport", fixed - alone[READ], "constant answer, less reading"),
        Part("reading the request", alone[READ], "alone"),
        Part("deciding, from memory", alone[DECIDED], "alone"),
        Part("counting the use", alone[COUNTED] - alone[DECIDED], "alone, less deciding"),
        Part(
            "asking the engine, and the answer's bytes",
            alone[ANSWERED] - alone[READ] - alone[COUNTED],
            "alone, less reading and deciding",
        ),
        Part("other threads: keeping what was counted", others, "rounds"),
    ]
    yield from told
    total = _median(door, lambda one: one.cpu)
    rest = total - sum(one.spent for one in told)
    yield Part("not explained: more keys than caches hold, other work", rest, "what is left")


def _median(rounds: Sequence[Counted], part: Callable[[Counted], float]) -> float:
    return statistics.median(part(one) for one in rounds)
