"""Run the failure tests: a real cluster in network namespaces, in use while parts of it fail.

    python -m failover.run [SCENARIO …] [--runs N] [--write] [--keep]

Without a SCENARIO every one, N times. Ends with 1 when something happened that must never be, or
when the cluster did not come back; logs and records of such a run, with `--keep` of every run, stay
in a folder that is named. `--write` puts report and pictures below benchmarks/failover/. Needs root
and Linux.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from itertools import groupby
from pathlib import Path

from benchmarks.machine import UnableError, facts
from failover import report
from failover.records import Violation
from failover.report import Told
from failover.rig import Rig
from failover.scenarios import AFTER_SECONDS, BEFORE_SECONDS, SCENARIOS, Scenario

_BESIDE = {"patroni": "--version", "etcd": "--version", "pgbouncer": "--version"}
_SHOWN = 5


def main() -> int:
    """Run what was asked for; the exit code."""
    parser = argparse.ArgumentParser(description="Failure tests on a real cluster.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--runs", type=int, default=1, metavar="N")
    parser.add_argument("--write", action="store_true", help="keep it in benchmarks/failover/")
    parser.add_argument("--keep", action="store_true", help="keep every run's logs and records")
    asked = parser.parse_args()
    if unknown := [name for name in asked.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    chosen = [SCENARIOS[name] for name in asked.scenarios or SCENARIOS]
    # As an interrupt: everything is taken down on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, about, runs = time.monotonic(), {}, []
    try:
        about = facts(beside=_BESIDE)
        for number in range(1, asked.runs + 1):
            runs += _run(number, chosen, keep=asked.keep)
    except UnableError as error:
        print(f"failover: {error}", file=sys.stderr)
        return 2
    failed = sum(bool(one.figures.violations) for one in runs) + (
        asked.runs * len(chosen) - len(runs)
    )
    about["took"] = f"{(time.monotonic() - begun) / 60:.0f} minutes, {failed} runs failed"
    if asked.write:
        report.write(about, {one.name: one.what for one in chosen}, runs)
    print(f"failover: {about['took']}")
    return 1 if failed else 0


def _run(number: int, chosen: list[Scenario], *, keep: bool) -> list[Told]:
    """Run scenarios once, on one cluster as long as it comes back; what was found."""
    found: list[Told] = []
    waiting = list(chosen)
    while waiting:
        rig, before = Rig(), len(waiting)
        try:
            rig.start()
            while waiting:
                found.append(_one(rig, number, waiting.pop(0), keep=keep))
        except (TimeoutError, RuntimeError) as error:
            kept = _keep(rig, f"{number}")
            print(f"FAILED: run {number}: {error}; logs and records: {kept}", flush=True)
            if len(waiting) == before:  # it does not even start
                return found
        finally:
            rig.close()
    return found


def _one(rig: Rig, number: int, scenario: Scenario, *, keep: bool) -> Told:
    """Run one scenario on a cluster that is whole."""
    print(f"{scenario.name}: {scenario.what} …", flush=True)
    scenario.prepare(rig)
    rig.settle()
    seed = number * len(SCENARIOS) + list(SCENARIOS).index(scenario.name)
    with rig.load(seed) as load:
        load.wait(BEFORE_SECONDS)
        scenario.run(rig, load)
        rig.settle()
        load.note("all is whole")
        load.wait(AFTER_SECONDS)
    told = report.told(scenario.name, number, load.records())
    print(report.words(told.figures), flush=True)
    for fault, found in groupby(sorted(told.violations, key=_fault), key=_fault):
        same = list(found)
        print(f"  {len(same)} × {fault}:")
        for violation in same[:_SHOWN]:
            print(f"    {violation}")
    if told.figures.violations or keep:
        print(f"  logs and records: {_keep(rig, f'{number}-{scenario.name}')}", flush=True)
    scenario.restore(rig)
    return told


def _fault(violation: Violation) -> str:
    return violation.fault.value


def _keep(rig: Rig, name: str) -> Path:
    """Copy logs and records of a run that failed to where they stay; secrets are the run's own."""
    kept = Path(tempfile.mkdtemp(prefix=f"failover-{name}-"))
    for file in [*rig.folder.glob("*/*.log"), *rig.folder.glob("records-*")]:
        shutil.copy(file, kept / f"{file.parent.name}-{file.name}")
    return kept


if __name__ == "__main__":
    sys.exit(main())
