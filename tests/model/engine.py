"""Explore every state that a model can reach, and tell the shortest way to a bad one.

Nothing here knows the protocol. A model is a start, a function from a state to its steps (what
is done, and the state after it), and a function that says what is wrong with a state. States are
hashable and compared by value; time, messages and faults are parts of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Found(Generic[S]):
    """What an exploration came to.

    `fault` is empty where every reachable state is right; else `trace` leads to a wrong one, by
    the fewest steps, each with the state after it. `did` are all things done on the way.
    """

    states: int
    steps: int
    depth: int
    did: frozenset[str]
    fault: str
    trace: tuple[tuple[str, S], ...]


class TooManyStatesError(Exception):
    """The exploration passed its limit: nothing is known of the states beyond it."""


def explore(
    start: S,
    steps: Callable[[S], Iterable[tuple[str, S]]],
    fault: Callable[[S], str],
    *,
    limit: int,
    canonical: Callable[[S], S] = lambda state: state,
) -> Found[S]:
    """Visit every state that `start` leads to, nearest first, until one is wrong.

    `canonical` names one of all states that differ in nothing that counts (two alike nodes
    swapped); only that one is kept. Raises TooManyStatesError past `limit` states.
    """
    start = canonical(start)
    came: dict[S, tuple[S, str] | None] = {start: None}
    waiting = deque([start])
    taken, depth, level_ends, did = 0, 0, 1, set[str]()
    while waiting:
        if level_ends == 0:
            depth, level_ends = depth + 1, len(waiting)
        level_ends -= 1
        state = waiting.popleft()
        for what, after in steps(state):
            taken += 1
            did.add(what)
            reached = canonical(after)
            if reached in came:
                continue
            came[reached] = (state, what)
            if wrong := fault(reached):
                trace = _trace(came, reached)
                return Found(len(came), taken, len(trace), frozenset(did), wrong, trace)
            if len(came) > limit:
                raise TooManyStatesError(f"more than {limit} states")
            waiting.append(reached)
    return Found(len(came), taken, depth, frozenset(did), "", ())


def _trace(came: dict[S, tuple[S, str] | None], end: S) -> tuple[tuple[str, S], ...]:
    """Walk back from `end` to the start."""
    trace: list[tuple[str, S]] = []
    state = end
    while (before := came[state]) is not None:
        trace.append((before[1], state))
        state = before[0]
    return tuple(reversed(trace))
