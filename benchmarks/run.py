"""The whole measurement, in order; everything it starts or writes is gone when it ends."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import report
from benchmarks import results as kept
from benchmarks.load import Load, Round
from benchmarks.machine import ROOT, Memory, UnableError, cores, cpu, facts, memory, program
from benchmarks.programs import Server, constant, latchgate, nginx
from benchmarks.stock import CHANGES_PER_SECOND, Stock, changing, stock

STARTS = 5
_REST_SECONDS = 1.0
_COLD_ROUNDS = 3
_OTHER_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line asked for."""

    seconds: int
    rounds: int
    keys: int


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/verify.py", description=__doc__)
    parser.add_argument("--seconds", type=_positive, default=2, help="of a round (default 2)")
    parser.add_argument("--rounds", type=_positive, default=7, help="of each server (default 7)")
    parser.add_argument("--keys", type=_positive, default=100_000, help="stored (default 100000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    told = parser.parse_args()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _end)
    about = facts_or_exit()
    sizes = f"--seconds {told.seconds} --rounds {told.rounds} --keys {told.keys}"
    about["command"] = f"python benchmarks/verify.py {sizes}"
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-bench-") as folder:
            arguments = Arguments(told.seconds, told.rounds, told.keys)
            results = _measure(Path(folder), arguments)
    except (UnableError, AssertionError) as error:
        sys.exit(f"verify.py: {error}")
    except KeyboardInterrupt:
        sys.exit("verify.py: interrupted; nothing was written, nothing is left running")
    about["took"] = f"{time.monotonic() - begun:.0f} s"
    text = report.text(about, results)
    print(text)
    if told.json is not None:
        told.json.write_text(json.dumps({"about": about, **asdict(results)}, indent=1) + "\n")
    if told.write:
        kept.write(text)


def facts_or_exit() -> dict[str, str]:
    """Return the machine's facts, or end the program with what is missing on it."""
    try:
        for name in ("nginx", "wrk"):
            program(name)
        cores()
        return facts()
    except UnableError as error:
        sys.exit(f"verify.py: {error}")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _end(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _tell(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


def _measure(folder: Path, arguments: Arguments) -> report.Results:
    measured, rest = cores()
    os.sched_setaffinity(0, {rest})  # and so wrk's
    _tell(f"making {arguments.keys} keys")
    made = stock(folder, arguments.keys)
    _tell(f"made in {made.seconds:.0f} s; deciding in process")
    inside = _in_process(made, measured)
    calibration = inside.pop("calibration")
    _tell("starting the server again and again")
    starts, rested = _starts(made, measured)
    load = Load(folder)
    with contextlib.ExitStack() as running:
        ours = running.enter_context(latchgate(made, measured))
        _tell("using every key for the first time")
        cold = list(_cold(load, ours, made, arguments))
        while load.asked(made.accepted) < arguments.keys:
            load.round(ours, made.accepted, arguments.seconds, accepted=True)
        used = memory(ours.process_id)
        beside = running.enter_context(nginx(made, measured))
        fixed = running.enter_context(constant(made, measured, ours.ask(made.sample.spelled())))
        _tell(f"{arguments.rounds} rounds of {beside.name}, {ours.name}, {fixed.name}")
        total = _Total(ours)
        rounds = _interleaved(
            load,
            [Turn(one.name, one, made.accepted) for one in (beside, ours, fixed)],
            arguments.rounds,
            arguments.seconds,
        )
        whole_run = total.per_request(rounds[ours.name])
        _tell(f"{_OTHER_ROUNDS} rounds of each refusal")
        others = _interleaved(
            load,
            [
                Turn("accepted", ours, made.accepted),
                Turn("accepted, each from an address of its own", ours, made.everywhere),
                Turn(
                    f"accepted, while {CHANGES_PER_SECOND} keys a second are made",
                    ours,
                    made.accepted,
                    meanwhile=lambda: changing(made),
                ),
                *(Turn(name, ours, file, accepted=False) for name, file in made.refused.items()),
            ],
            min(arguments.rounds, _OTHER_ROUNDS),
            min(arguments.seconds, 2),
        )
        assert ours.ask(made.sample.spelled()).startswith(b"HTTP/1.1 200 ")
        flooded = memory(ours.process_id)
    return report.Results(
        arguments=asdict(arguments),
        rounds=rounds,
        whole_run_cpu=whole_run,
        cold=cold,
        others=others,
        in_process=inside,
        calibration=calibration,
        starts=starts,
        memory={"at rest": rested, "after every key": used, "after the refusals": flooded},
    )


class _Total:
    """A server's CPU over all rounds and the pauses between them: work put off counts too."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = cpu(server.process_id)

    def per_request(self, rounds: list[Round]) -> float:
        """Return the microseconds of CPU a request since the beginning."""
        spent = cpu(self._server.process_id) - self._before
        return spent.total / sum(one.requests for one in rounds) * 1e6


@dataclass(frozen=True, slots=True)
class Turn:
    """What one round asks of whom, and what happens meanwhile."""

    name: str
    server: Server
    questions: Path
    accepted: bool = True
    meanwhile: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


def _interleaved(
    load: Load, turns: list[Turn], rounds: int, seconds: int
) -> dict[str, list[Round]]:
    found: dict[str, list[Round]] = {turn.name: [] for turn in turns}
    for _ in range(rounds):
        for turn in turns:
            with turn.meanwhile():
                one = load.round(turn.server, turn.questions, seconds, accepted=turn.accepted)
            found[turn.name].append(one)
    return found


def _cold(load: Load, server: Server, made: Stock, arguments: Arguments) -> Iterator[Round]:
    """Yield short rounds in which every key is used for the first time."""
    for _ in range(_COLD_ROUNDS):
        found = load.round(server, made.accepted, 1, accepted=True)
        if load.asked(made.accepted) > arguments.keys:
            return  # some key came again
        yield found


def _in_process(made: Stock, core: int) -> dict[str, dict[str, float]]:
    arguments = [str(made.config.file), str(made.questions)]
    command = [sys.executable, "-m", "benchmarks.in_process", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        try:
            os.sched_setaffinity(child.pid, {core})
            told, complaint = child.communicate()
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise UnableError(f"in_process failed: {complaint.decode()[-2000:]}")
    found: dict[str, dict[str, float]] = json.loads(told)
    return found


def _starts(made: Stock, core: int) -> tuple[list[float], Memory]:
    """Return the seconds of each start, and the median memory of a server at rest."""
    seconds: list[float] = []
    rested: list[Memory] = []
    for number in range(STARTS + 1):
        with latchgate(made, core) as server:
            if not number:
                continue  # the first compiles the modules that nobody has imported yet
            seconds.append(server.seconds)
            time.sleep(_REST_SECONDS)
            rested.append(memory(server.process_id))
    middle = Memory(
        rss=statistics.median(one.rss for one in rested),
        pss=statistics.median(one.pss for one in rested),
    )
    return seconds, middle
