"""Run the soak: long runs of the real server after which nothing may be lost.

    python soak/run.py [STEP …] [--keys N] [--write]

Without a STEP every one. Works in temporary folders, prints its figures with machine, date and
commit, and with --write puts them into benchmarks/RESULTS.md. Ends with 1 when something was lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks.machine import ROOT, facts
from soak import backup
from soak.steps import LostError

STEPS = {step.name: step for step in (backup.STEP,)}
_RESULTS = ROOT / "benchmarks" / "RESULTS.md"
_TITLE = "# Soak"
_TOP = f"{_TITLE}\n\nWhat `make soak` measured, newest first.\n"


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(description="Long runs after which nothing may be lost.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--keys", type=int, help="how many keys, instead of each step's own number")
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    asked = parser.parse_args()
    unknown = [name for name in asked.steps if name not in STEPS]
    if unknown:
        parser.error(f"there is no step {unknown[0]}; there are {', '.join(STEPS)}")
    about = facts()
    lines = [f"## {about.pop('date')}, commit {about.pop('commit')}", ""]
    lines += [*(f"- {name}: {value}" for name, value in about.items()), ""]
    for step in [STEPS[name] for name in asked.steps or STEPS]:
        with tempfile.TemporaryDirectory(prefix="latchgate-soak-") as folder:
            try:
                figures = step.run(Path(folder), asked.keys or step.keys)
            except LostError as lost:
                print(f"{step.name}: LOST: {lost}", file=sys.stderr)
                return 1
        lines += [*figures.lines(), ""]
    section = "\n".join(lines)
    print(section)
    if asked.write:
        _write(section)
    return 0


def _write(section: str) -> None:
    """Put a section under the title of the soak's results, the newest first."""
    before = _RESULTS.read_text("utf-8") if _RESULTS.exists() else ""
    head, found, rest = before.partition(_TITLE + "\n")
    older = rest.partition("## ")
    rest = older[1] + older[2] if found else ""
    parts = [head.rstrip("\n"), _TOP.rstrip("\n"), section.rstrip("\n"), rest.rstrip("\n")]
    _RESULTS.write_text("\n\n".join(part for part in parts if part) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
