"""Explore the model: `python -m tests.model`, `--without 4a` (or 4: each part of it), `--wide`.

Without a rule the shortest schedule that breaks the promise is printed, in words. `--wide` takes
the larger worlds too, which take minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from tests.model.engine import Found
from tests.model.rules import RULES, Rule
from tests.model.run import missing, run, run_without, told
from tests.model.state import State
from tests.model.world import World
from tests.model.worlds import WIDE, WORLDS


def main() -> int:
    """Explore what is asked for; 1 where the promise didn't hold under all rules."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--without", metavar="RULE", help="leave out a rule, and see what breaks")
    parser.add_argument("--world", metavar="NAME", help="explore this world alone")
    parser.add_argument("--wide", action="store_true", help="explore the larger worlds too")
    parser.add_argument("--rules", action="store_true", help="list the rules")
    asked = parser.parse_args()
    if asked.rules:
        for rule in RULES.values():
            _say(f"{rule.name:4} {rule.says}. Without: {rule.without}.")
        return 0
    if asked.without:
        return _leave_out(asked.without)
    worlds = WORLDS | (WIDE if asked.wide or asked.world in WIDE else {})
    if asked.world and asked.world not in worlds:
        _say(f"no world {asked.world}; there are {', '.join([*WORLDS, *WIDE])}")
        return 2
    return _keep(world for name, world in worlds.items() if asked.world in (None, name))


def _keep(worlds: Iterable[World]) -> int:
    """Explore worlds under all rules."""
    failed, states, begun = 0, 0, time.monotonic()
    for world in worlds:
        started = time.monotonic()
        found = run(world)
        states += found.states
        lacks = missing(world, found)
        holds = "the promise holds" if not found.fault else "BROKEN"
        seconds = time.monotonic() - started
        _say(f"{world.name:16} {found.states:>9} states {seconds:6.1f} s  {holds}: {world.about}")
        _show(found)
        for what in lacks:
            _say(f"    never happened: {what}")
        failed += bool(found.fault or lacks)
    _say(f"{states} states in {time.monotonic() - begun:.0f} s; {failed} worlds broken")
    return 1 if failed else 0


def _leave_out(name: str) -> int:
    """Explore what happens without a rule, or without each part of one."""
    rules = [rule for rule in RULES.values() if _is_part(rule, name)]
    if not rules:
        _say(f"no rule {name}; there are {', '.join(RULES)}")
        return 2
    for rule in rules:
        found = run_without(rule)
        _say(f"Rule {rule.name}: {rule.says}. Without it, {rule.without}.")
        if found.fault:
            _show(found)
        else:
            _say(f"    holds all the same, by rules {rule.spare}: {found.states} states")
        _say("")
    return 0


def _is_part(rule: Rule, name: str) -> bool:
    return rule.name == name or (name.isdecimal() and rule.name.rstrip("abcdefg") == name)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _show(found: Found[State]) -> None:
    if found.fault:
        for line in told(found):
            _say(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
