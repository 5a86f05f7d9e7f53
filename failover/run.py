"""Run the failure tests: a real cluster in network namespaces, in use while parts of it fail.

    python -m failover.run [SCENARIO …] [--runs N] [--write | --add] [--first N] [--keep]

Without a SCENARIO every one, N times. Ends with 1 when something happened that must never be, or
when the cluster did not come back; logs and records of such a run, with `--keep` of every run, stay
in a folder that is named. `--write` puts report and pictures below benchmarks/failover/ after each
run; `--add` leaves the runs that are there, whose numbers `--first` must not meet, so that many
runs may be made in parts, one after the other or at once. Needs root and Linux.
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
from failover.report import Part, Told
from failover.rig import Rig
from failover.scenarios import AFTER_SECONDS, BEFORE_SECONDS, SCENARIOS, Scenario

_BESIDE = {"patroni": "--version", "etcd": "--version", "pgbouncer": "--version"}
_SHOWN = 5


def main() -> int:
    """Run what was asked for; the exit code."""
    asked = _asked()
    chosen = [SCENARIOS[name] for name in asked.scenarios or SCENARIOS]
    # As an interrupt: everything is taken down on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, runs, failed = time.monotonic(), [], 0
    try:
        about = facts(beside=_BESIDE)
        for done in range(1, asked.runs + 1):
            found = _run(asked.first + done - 1, chosen, keep=asked.keep)
            whole = len(found) == len(chosen)
            failed += not whole or any(one.figures.violations for one in found)
            runs += found
            about["took"] = f"{(time.monotonic() - begun) / 60:.0f} minutes"
            if asked.write or asked.add:
                part = Part(asked.first, done, failed, about)
                what = {name: one.what for name, one in SCENARIOS.items()}
                report.write(part, what, runs, anew=asked.write and done == 1)
    except UnableError as error:
        print(f"failover: {error}", file=sys.stderr)
        return 2
    print(f"failover: {asked.runs} runs in {about['took']}, {failed} failed")
    return 1 if failed else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Failure tests on a real cluster.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--runs", type=_positive, default=1, metavar="N")
    parser.add_argument("--first", type=_positive, default=1, metavar="N",
                        help="the first run's number, from which its chances follow")  # fmt: skip
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--write", action="store_true", help="keep them in benchmarks/failover/")
    kept.add_argument("--add", action="store_true", help="keep them there, beside the others")
    parser.add_argument("--keep", action="store_true", help="keep every run's logs and records")
    asked = parser.parse_args()
    if unknown := [name for name in asked.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    if asked.add:
        there = {number for part in report.read().parts for number in part.numbers}
        if met := there & set(range(asked.first, asked.first + asked.runs)):
            parser.error(f"run {min(met)} is there already; --first {max(there) + 1} follows it")
    return asked


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        msg = f"{text} is below 1"
        raise argparse.ArgumentTypeError(msg)
    return number


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
