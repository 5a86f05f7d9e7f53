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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import judgement, peers, report
from benchmarks import results as kept
from benchmarks.load import CONNECTIONS, Load, Round
from benchmarks.machine import (
    ROOT,
    Memory,
    UnableError,
    cores,
    cpu,
    facts,
    memory,
    program,
    said,
)
from benchmarks.programs import Server, constant, gateway, go, latchgate, nginx
from benchmarks.stock import CHANGES_PER_SECOND, Stock, changing, stock
from benchmarks.tokens import Round as Peer

STARTS = 5
_REST_SECONDS = 1.0
_COLD_ROUNDS = 3
# The first use of a key reads its records, the second makes it remembered, the third words its
# answer: what lasts is every use from then on.
_USES = 3
_ALONE = {judgement.NGINX, judgement.OURS, judgement.GO}
FEW_KEYS = 1_000
WORKING_SET = 50_000


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line asked for."""

    seconds: int
    rounds: int
    keys: int
    stored: int  # where many are, of which some are used
    peers: bool


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/verify.py", description=__doc__)
    parser.add_argument("--seconds", type=_positive, default=2, help="of a round (default 2)")
    parser.add_argument("--rounds", type=_positive, default=5, help="of each server (default 5)")
    parser.add_argument("--keys", type=_positive, default=100_000, help="stored (default 100000)")
    parser.add_argument("--stored", type=_positive, default=1_000_000, help="where many are")
    parser.add_argument("--without-rivals", action="store_true", help="measure no other program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round there")
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    told = parser.parse_args()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _end)
    about = facts_or_exit()
    sizes = f"--seconds {told.seconds} --rounds {told.rounds} --keys {told.keys}"
    alone = " --without-rivals" if told.without_rivals else ""
    about["command"] = f"python benchmarks/verify.py {sizes} --stored {told.stored}{alone}"
    if not told.without_rivals:
        about["rivals"] = peers.versions()
    for other, option in (("go", "version"), ("node", "--version")):
        with contextlib.suppress(UnableError):
            about["beside"] += f"; {said(other, option)}"
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="latchgate-bench-") as folder:
            arguments = Arguments(
                told.seconds, told.rounds, told.keys, told.stored, peers=not told.without_rivals
            )
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
        # First: the file's head shows the picture where there is one.
        picture = kept.FILE.with_name(kept.PICTURE)
        picture.write_text(report.picture(about, results), encoding="utf-8")
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
    _tell(f"making {arguments.keys} keys, and others")
    made = stock(_below(folder, "most"), arguments.keys)
    few = stock(_below(folder, "few"), min(FEW_KEYS, arguments.keys))
    used = min(WORKING_SET, arguments.keys)
    many = stock(_below(folder, "many"), used, unused=arguments.stored - used)
    _tell(f"made in {made.seconds + few.seconds + many.seconds:.0f} s; deciding in process")
    inside: dict[str, dict[str, float]] = _by_itself("in_process", made, measured)
    calibration = inside.pop("calibration")
    _tell("dividing a request into its stages")
    divided: dict[str, float] = _by_itself("stages", made, measured)
    _tell("starting the server again and again")
    starts, rested = _starts(made, measured)
    load = Load(folder)
    with contextlib.ExitStack() as running:
        ours = running.enter_context(latchgate(made, measured))
        _tell("using every key for the first time")
        cold = list(_cold(load, ours, made, arguments))
        _tell("using them until all is remembered")
        _use(load, ours, made.accepted, arguments.keys, arguments.seconds)
        used_memory = memory(ours.process_id)
        turns, absent = _turns(running, ours, made, measured)
        for name, some, number in ((judgement.FEW, few, FEW_KEYS), (judgement.MANY, many, used)):
            server = running.enter_context(latchgate(some, measured))
            _use(load, server, some.accepted, number, arguments.seconds)
            turns.append(Turn(name, server, some.accepted))
        beside = peers.Peers({}, {})
        if arguments.peers:
            _tell("starting other programs")
            beside = running.enter_context(peers.running(_below(folder, "peers"), measured))
        names = ", ".join([*(one.name for one in turns), *beside.turns])
        _tell(f"{arguments.rounds} rounds of {names}")
        total = _Total(ours)
        last = _others(ours, made)
        rounds, theirs = _interleaved(
            load, turns, arguments.rounds, arguments.seconds, beside, last=last
        )
        others = {turn.name: rounds.pop(turn.name) for turn in last}
        others = {judgement.ACCEPTED: rounds[ours.name], **others}
        whole_run = total.per_request([one for asked in others.values() for one in asked])
        _tell(f"{arguments.rounds} rounds of one connection")
        alone = [replace(turn, connections=1) for turn in turns if turn.name in _ALONE]
        single, _ = _interleaved(load, alone, arguments.rounds, 1)
        assert ours.ask(made.sample.spelled()).startswith(b"HTTP/1.1 200 ")
        flooded = memory(ours.process_id)
        _tell("behind a gateway")
        proxied = _behind_nginx(load, made, measured, arguments)
    _tell("few areas and many")
    areas = _areas(load, folder, measured, arguments)
    return report.Results(
        arguments={
            "seconds": arguments.seconds, "rounds": arguments.rounds, "keys": arguments.keys
        },
        rounds=rounds,
        whole_run_cpu=whole_run,
        stages=divided,
        cold=cold,
        others=others,
        refused=list(made.refused),
        single=single,
        gateway=proxied,
        areas=areas,
        peers=theirs,
        absent={**absent, **beside.absent},
        in_process=inside,
        calibration=calibration,
        starts=starts,
        memory={"at rest": rested, "after every key": used_memory, "after the refusals": flooded},
    )  # fmt: skip


def _turns(
    running: contextlib.ExitStack, ours: Server, made: Stock, core: int
) -> tuple[list[Turn], dict[str, str]]:
    """Start the constant answers; what is asked of them and the door, and why one is missing."""
    fixed = constant(made, core, ours.ask(made.sample.spelled()))
    turns = [
        Turn(judgement.NGINX, running.enter_context(nginx(made, core)), made.accepted),
        Turn(judgement.OURS, ours, made.accepted),
        Turn(judgement.CONSTANT, running.enter_context(fixed), made.accepted),
    ]
    try:
        theirs = running.enter_context(go(made, core))
    except UnableError as error:
        return turns, {judgement.GO: str(error)}
    return [*turns, Turn(judgement.GO, theirs, made.accepted)], {}


def _below(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _use(load: Load, server: Server, questions: Path, number: int, seconds: int) -> None:
    """Use every key until all that is remembered of it is."""
    before = load.asked(questions)  # some of it of another server, perhaps
    while load.asked(questions) - before < _USES * number:
        load.round(server, questions, seconds, accepted=True)


def _others(ours: Server, made: Stock) -> list[Turn]:
    return [
        *(Turn(name, ours, file, accepted=False) for name, file in made.refused.items()),
        Turn("accepted, each from an address of its own", ours, made.everywhere),
        Turn(
            f"accepted, while {CHANGES_PER_SECOND} keys a second are made",
            ours,
            made.accepted,
            meanwhile=lambda: changing(made),
        ),
    ]


def _behind_nginx(
    load: Load, made: Stock, core: int, arguments: Arguments
) -> dict[str, list[Round]]:
    with gateway(made, core) as (bare, asked), gateway(made, core, batch=True) as (_, batch):
        for server in (asked, batch):
            _use(load, server, made.sent, arguments.keys, arguments.seconds)
        named = ((judgement.BARE, bare), (judgement.ASKED, asked), (judgement.BATCH, batch))
        ways = [Turn(name, server, made.sent) for name, server in named]
        found, _ = _interleaved(load, ways, arguments.rounds, min(arguments.seconds, 2))
    return found


def _areas(load: Load, folder: Path, core: int, arguments: Arguments) -> dict[str, list[Round]]:
    with contextlib.ExitStack() as running:
        turns = []
        for name, number in ((judgement.FEW_AREAS, 5), (judgement.MANY_AREAS, 500)):
            made = stock(_below(folder, f"areas-{number}"), FEW_KEYS, areas=number)
            server = running.enter_context(latchgate(made, core))
            _use(load, server, made.accepted, FEW_KEYS, 1)
            turns.append(Turn(name, server, made.accepted))
        found, _ = _interleaved(load, turns, arguments.rounds, arguments.seconds)
    return found


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
    connections: int = CONNECTIONS
    meanwhile: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


def _interleaved(
    load: Load,
    turns: list[Turn],
    rounds: int,
    seconds: int,
    beside: peers.Peers | None = None,
    last: Sequence[Turn] = (),
) -> tuple[dict[str, list[Round]], dict[str, list[Peer]]]:
    """Take rounds in turn: of our own programs, of those beside them, and `last` more of ours.

    What a server put off in its turn it does while others have theirs: turns of one server that
    are compared stand far apart.
    """
    found: dict[str, list[Round]] = {turn.name: [] for turn in (*turns, *last)}
    theirs: dict[str, list[Peer]] = {}

    def take_all(some: Sequence[Turn]) -> None:
        for turn in some:
            with turn.meanwhile():
                one = load.round(
                    turn.server,
                    turn.questions,
                    seconds,
                    accepted=turn.accepted,
                    connections=turn.connections,
                )
            found[turn.name].append(one)

    for _ in range(rounds):
        take_all(turns)
        for name, take in beside.turns.items() if beside is not None else ():
            theirs.setdefault(name, []).append(take(seconds))
        take_all(last)
    return found, theirs


def _cold(load: Load, server: Server, made: Stock, arguments: Arguments) -> Iterator[Round]:
    """Yield short rounds in which every key is used for the first time."""
    for _ in range(_COLD_ROUNDS):
        found = load.round(server, made.accepted, 1, accepted=True)
        if load.asked(made.accepted) > arguments.keys:
            return  # some key came again
        yield found


def _by_itself(name: str, made: Stock, core: int) -> dict[str, Any]:
    """Run a program of benchmarks/ on the measured core; what it prints, decoded."""
    arguments = [str(made.config.file), str(made.questions)]
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
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
        raise UnableError(f"{name} failed: {complaint.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(told)
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
