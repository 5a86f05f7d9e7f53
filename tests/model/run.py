"""Explore a world, and say in words what went wrong in it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model import faults, heartbeats, requests, revocation
from tests.model.engine import Found, explore
from tests.model.rules import Rule
from tests.model.state import State
from tests.model.world import Model, World
from tests.model.worlds import WORLDS

LIMIT = 3_000_000


def steps(model: Model, state: State) -> Iterator[tuple[str, State]]:
    """Yield all that may happen next, to whomever."""
    for index in range(len(state.nodes)):
        yield from heartbeats.steps(model, state, index)
        yield from requests.steps(model, state, index)
    yield from requests.gateway_steps(model, state)
    yield from revocation.steps(model, state)
    yield from revocation.removal_steps(state)
    yield from revocation.settling_steps(model, state)
    yield from faults.steps(model, state)


def fault(model: Model, state: State) -> str:
    """Say what is wrong with a state: an accept too late, or a receipt."""
    if state.broken:
        return state.broken
    if revocation.overdue(model, state):
        return "1.25 × the longest trust has passed since the commit, and there is no receipt"
    return ""


def run(world: World, without: frozenset[str] = frozenset(), *, limit: int = LIMIT) -> Found[State]:
    """Explore a world under the rules, but for those left out."""
    model = Model(world, without)
    return explore(
        model.start(),
        lambda state: steps(model, state),
        lambda state: fault(model, state),
        limit=limit,
    )


def run_without(rule: Rule, *, limit: int = LIMIT) -> Found[State]:
    """Explore the world of a rule without it."""
    return run(WORLDS[rule.world], frozenset({rule.name}), limit=limit)


def missing(world: World, found: Found[State]) -> list[str]:
    """Return what a world is about and yet never happened: standing still proves nothing."""
    return [what for what in world.needs if what not in found.did]


def told(found: Found[State]) -> list[str]:
    """Tell a trace in words, a line a step, with the tick in which it was."""
    lines: list[str] = []
    ticks = 0
    for what, _ in found.trace:
        if what == "a tick passes":
            ticks += 1
            continue
        lines.append(f"tick {ticks}: {what}")
    return [*lines, f"       → {found.fault}"]
