"""The one file of figures, and the one way into it.

Rule of this file: a section is replaced by a newer one of the same sort and touched by nothing
else. Runs of the verify door are a history, newest first: only one of the same day and commit
takes another's place. Any other sort is named before its date and kept once.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.machine import ROOT

FILE = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = "requests.svg"  # of the newest run of the verify door, beside the file
_TOP = """\
# Results

What `make bench`, `make soak` and the programs in `benchmarks/` measured. Each section is one run:
its figures may be compared with each other, those of two machines only through the calibration. A
figure that was missed says so.
"""
_SHOWN = f"""\

![What an answer costs in the newest run of the verify door, as a bar for each program]({PICTURE})
"""
_SECTION = re.compile(r"^(?=## )", re.MULTILINE)
_HEADING = re.compile(
    r"## (?:(?P<name>[^\n]*?), )?(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[^\n,]*"
    r"(?:, commit (?P<commit>[^\n]+))?(?:\n|\Z)"
)


def write(section: str, *, file: Path = FILE) -> None:
    """Put a section into the file, in the place of the one that it is newer than.

    It begins with `## NAME, DATE`, or `## DATE, commit COMMIT` for a run of the verify door, which
    goes to the top; a name not yet there goes to the end. ValueError for another heading.
    """
    same = _sort(section)
    if same is None:
        raise ValueError(f"not the heading of a section: {section.partition(chr(10))[0]!r}")
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    kept = [one.rstrip() for one in _SECTION.split(old)[1:]]
    there = [at for at, one in enumerate(kept) if _sort(one) == same]
    place = there[0] if there and same[0] else len(kept) if same[0] else 0
    for at in reversed(there):
        del kept[at]
    kept.insert(place, section.rstrip())
    file.write_text("\n\n".join([head(file).rstrip(), *kept]) + "\n", encoding="utf-8")


def head(file: Path) -> str:
    """Return what a file begins with: the picture too where there is one beside it."""
    return _TOP + _SHOWN if file.with_name(PICTURE).exists() else _TOP


def _sort(section: str) -> tuple[str, ...] | None:
    """Return what two sections share when one takes the other's place; None if it has no date."""
    found = _HEADING.match(section)
    if found is None:
        return None
    return (found["name"],) if found["name"] else ("", found["day"], found["commit"] or "")
