"""Run the soak: long runs of the real server after which nothing may be lost.

    python soak/run.py [STEP …] [--keys N] [--write]

Without a STEP every one. Works in temporary folders, prints its figures with machine, date and
commit, and with --write puts them into benchmarks/RESULTS.md. Ends with 1 when something was lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks import results
from benchmarks.machine import core_seconds, facts
from soak import backup, imports, rotation
from soak.steps import Figures, LostError

STEPS = {step.name: step for step in (imports.STEP, rotation.STEP, backup.STEP)}
_LOOK_SECONDS = 2.0


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(description="Long runs after which nothing may be lost.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--keys", type=_positive, help="how many, instead of each step's number")
    parser.add_argument("--write", action="store_true", help="keep it in benchmarks/RESULTS.md")
    asked = parser.parse_args()
    unknown = [name for name in asked.steps if name not in STEPS]
    if unknown:
        parser.error(f"there is no step {unknown[0]}; there are {', '.join(STEPS)}")
    for step in [STEPS[name] for name in asked.steps or STEPS]:
        about, begun = facts(beside={}), time.monotonic()
        about["beside"] = f"other programs used {_busy():.0%} of the cores when it began"
        with tempfile.TemporaryDirectory(prefix="latchgate-soak-") as folder:
            try:
                figures = step.run(Path(folder), asked.keys or step.keys)
            except LostError as lost:
                print(f"{step.name}: LOST: {lost}", file=sys.stderr)
                return 1
        about["took"] = f"{time.monotonic() - begun:.0f} s"
        section = told(step.name, figures, about)
        print(section, flush=True)
        if asked.write:
            results.write(section)
    return 0


def told(step: str, figures: Figures, about: dict[str, str]) -> str:
    """Return a step's section of benchmarks/RESULTS.md: what, on which machine, and the figures."""
    facts_of_it = {name: value for name, value in about.items() if name not in {"date", "commit"}}
    lines = [
        f"## Soak: {step}, {about['date']}, commit {about['commit']}",
        "",
        *(f"- {name}: {value}" for name, value in facts_of_it.items()),
        "",
        f"Nothing lost in {figures.title}:",
        "",
        *figures.lines(),
        "",
    ]
    return "\n".join(lines)


def _busy() -> float:
    """Return the share of all cores that was in use for a moment in which this did nothing."""
    numbers = sorted(os.sched_getaffinity(0))
    before = sum(core_seconds(core) for core in numbers)
    time.sleep(_LOOK_SECONDS)
    used = sum(core_seconds(core) for core in numbers) - before
    return min(used / (_LOOK_SECONDS * len(numbers)), 1.0)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
