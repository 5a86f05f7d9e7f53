"""How fast the journal is checked: `python benchmarks/audit.py [--write]`, in about a minute.

Rows as an operator's own journal has them (benchmarks/stock.py), checked as `latchgate audit
verify` does it, on one core: in the database, and in segments as the scheduled export writes them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks import results
from benchmarks.machine import UnableError, calibrate, facts
from benchmarks.stock import stock

from latchgate.manage.chain import Report, verify_database
from latchgate.manage.segment_check import verify_directory
from latchgate.manage.segments import write_next
from latchgate.store.journal import Store

KEYS = 150_000
ROUNDS = 5
WANTED = 100_000


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/audit.py", description=__doc__)
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    parser.add_argument("--keys", type=int, default=KEYS, help="how many keys were made")
    told = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-bench-") as folder:
            text = _measured(Path(folder), told.keys)
    except (UnableError, AssertionError) as error:
        sys.exit(f"audit.py: {error}")
    print(text)
    if told.write:
        results.write(text)


def _measured(folder: Path, keys: int) -> str:
    kept = stock(folder, keys)
    database, segment_folder = kept.config.database, folder / "segments"
    store = Store(database, clock=time.time)
    try:
        while write_next(store, kept.config.master_key, segment_folder, now=time.time()):
            pass
    finally:
        store.close()
    about = facts()
    lines = [
        _line("the database", lambda: verify_database(database), WANTED),
        _line("exported segments", lambda: verify_directory(segment_folder).report, None),
    ]
    return "\n".join(
        [
            f"## Audit, {about['date']}",
            "",
            f"`python benchmarks/audit.py` at {about['commit']}; {about['machine']};",
            f"{about['kernel']}; Python {about['Python']};",
            f"SHA-256 of 64 bytes {calibrate()['sha256_us']:.2f} µs. One core; {ROUNDS} rounds,",
            "median, slowest and fastest.",
            "",
            "| checked | rows | rows a second | CPU µs a row | wanted |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )


def _line(name: str, check: Callable[[], Report], wanted: int | None) -> str:
    took: list[float] = []
    used: list[float] = []
    rows = 0
    for _ in range(ROUNDS):
        begun, cpu = time.perf_counter(), time.process_time()
        report = check()
        took.append(time.perf_counter() - begun)
        used.append(time.process_time() - cpu)
        assert report.sound, report.faults
        rows = report.rows
    rate = rows / statistics.median(took)
    spread = f"{rate:,.0f} ({rows / max(took):,.0f} to {rows / min(took):,.0f})"
    told = ""
    if wanted is not None:
        told = f"≥ {wanted:,}: {'reached' if rate >= wanted else 'MISSED'}"
    each = statistics.median(used) / rows * 1e6
    return f"| {name} | {rows:,} | {spread} | {each:.2f} | {told} |"


if __name__ == "__main__":
    main()
