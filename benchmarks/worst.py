"""What the worst requests cost beside an accepted one: `python benchmarks/worst.py [--write]`.

In one process and without sockets: a question's bytes go into the verify connection as they would
come from nginx, and its answer comes out. Cases take turns, round after round, and what is told is
the least CPU of the thread in any round. With `--instructions` valgrind's callgrind counts
instructions instead, which other programs don't disturb and which does not see the kernel. The
writer of usage, a thread of its own in the server, works between the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import msgspec
from benchmarks import results
from benchmarks.machine import ROOT, UnableError, facts
from uvicorn.config import Config
from uvicorn.server import ServerState

from latchgate.core.network import Networks
from latchgate.core.policy_file import with_built_in
from latchgate.core.redact import redactor
from latchgate.doors.verify.protocol import VerifyDoor, VerifyProtocol
from latchgate.providers import BUILT_IN, text
from latchgate.signin.jwks import fetch
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store.recorder import Usage
from latchgate.verify.bell_engine import BellEngine

COUNT, ROUNDS = 1_000, 15
COUNTED = 100  # questions whose instructions are counted
_NOTED = 400


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks/worst.py", description=__doc__)
    parser.add_argument("--instructions", action="store_true", help="count them with callgrind")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with it in their name")
    parser.add_argument("--write", action="store_true", help="add to benchmarks/RESULTS.md")
    parser.add_argument("--in-process", metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.in_process:
        _measured(Path(asked.in_process), counted=asked.instructions)
        return
    with tempfile.TemporaryDirectory(prefix="latchgate-worst-") as folder:
        found = _run(Path(folder), counted=asked.instructions, only=asked.only)
    table = _table(found, "instructions" if asked.instructions else "µs of CPU")
    print(table)
    if asked.write:
        told = facts(beside={})
        title = "Worst requests, by instructions" if asked.instructions else "Worst requests"
        lines = [f"## {title}, {told.pop('date')}, commit {told.pop('commit')}", ""]
        lines += [f"- {name}: {value}" for name, value in told.items()]
        command = "python benchmarks/worst.py" + (" --instructions" if asked.instructions else "")
        results.write("\n".join([*lines, "", f"    {command}", "", table, ""]))


class Cost(msgspec.Struct):
    """What one question of a case costs."""

    name: str
    beside: str
    cost: float


def _run(folder: Path, *, counted: bool, only: str) -> list[Cost]:
    """Make what is asked for, then measure in a process that holds nothing else."""
    from benchmarks.worst_cases import ACCEPTED, Cases, worlds  # noqa: PLC0415 - pytest's, and big

    made = worlds(folder)
    count = COUNTED if counted else COUNT
    cases = list(Cases(made, count=count, fresh=2 * count if counted else ROUNDS * count).all())
    kept = {one.beside for one in cases if only in one.name} | {ACCEPTED}
    cases = [one for one in cases if only in one.name or one.name in kept]
    for world in made.values():
        world.close()
    (folder / "cases.json").write_bytes(msgspec.json.encode(cases))
    command = [sys.executable, str(Path(__file__).absolute()), "--in-process", str(folder)]
    if counted:
        out = f"--callgrind-out-file={folder}/callgrind.out"
        valgrind = ["valgrind", "--tool=callgrind", "--dump-before=getpriority", out]
        command = [*valgrind, *command, "--instructions"]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UnableError(done.stderr)
    costs = msgspec.json.decode((folder / "costs.json").read_bytes(), type=list[Cost])
    if counted:
        for i, cost in enumerate(costs):
            # Before each case and behind it there is a dump: its own is every other one.
            cost.cost = _counted(folder / f"callgrind.out.{2 * i + 2}") / count
    return costs


def _counted(dump: Path) -> float:
    for line in dump.read_text().splitlines():
        if line.startswith("summary:"):
            return float(line.split()[1])
    msg = f"callgrind counted nothing in {dump.name}"
    raise UnableError(msg)


def _table(costs: list[Cost], unit: str) -> str:
    of = {one.name: one.cost for one in costs}
    lines = [f"| case | {unit} | beside | ratio |", "|---|---|---|---|"]
    for one in costs:
        ratio = f"{one.cost / of[one.beside]:.2f}" if one.beside in of else ""
        shown = f"{one.cost:,.0f}" if one.cost >= 100 else f"{one.cost:.2f}"
        lines.append(f"| {one.name} | {shown} | {one.beside} | {ratio} |")
    return "\n".join(lines)


class _Transport:
    """Takes answers, as the transport of a connection from this machine would."""

    def __init__(self) -> None:
        self.last = b""
        self.closed = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1234) if name in {"peername", "sockname"} else default

    def write(self, data: bytes) -> None:
        self.last = data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class _Bench:
    """One door for each policy, all told to one recorder."""

    def __init__(self, folder: Path, policies: set[str]) -> None:
        self.loop = asyncio.new_event_loop()
        self.usage = Usage(
            folder / "shipped" / "latchgate-usage.db",
            redact=redactor(),
            ticks=time.monotonic,
            clock=time.time,
        )
        self._engines = {name: self._engine(folder / name) for name in policies}
        trusted = Networks.of(["127.0.0.1"])
        self._doors = {name: VerifyDoor(one, trusted) for name, one in self._engines.items()}
        self._config = Config(app=_nothing, http="httptools", lifespan="off")
        self._config.load()

    def _engine(self, folder: Path) -> BellEngine:
        return BellEngine(
            folder / "latchgate.db",
            clock=time.time,
            ticks=time.monotonic,
            entropy=secrets.token_bytes,
            compile_policy=lambda files, version: with_built_in(
                files, text(BUILT_IN), version=version
            ),
            passwords=Passwords(ticks=time.monotonic, entropy=secrets.token_bytes),
            assertions=Assertions(ticks=time.monotonic, entropy=secrets.token_bytes, fetch=fetch),
            on_decision=self.usage.on_decision,
        )

    def connect(self, policy: str) -> tuple[VerifyProtocol, _Transport]:
        """Open a connection."""
        transport = _Transport()
        door = self._doors[policy]
        protocol = door.protocol(self._config, ServerState(), {}, self.loop)
        protocol.connection_made(transport)  # type: ignore[arg-type]
        return protocol, transport

    def close(self) -> None:
        """End what was begun."""
        for engine in self._engines.values():
            engine.close()
        self.usage.close()
        self.loop.close()


async def _nothing(*_: object) -> None:
    """Stand where uvicorn wants an application: the door answers before it."""


class _Asking:
    """One case under way."""

    def __init__(self, case: dict[str, object], bench: _Bench) -> None:
        self._case = msgspec.convert(case, _Case)
        self.name, self.beside = self._case.name, self._case.beside
        self.refused = not self._case.answer.endswith(("200", "431"))
        self._bench = bench
        self._asked = 0
        self._questions = [one.encode("latin-1") for one in self._case.questions]
        self._feed, self._transport = self._connected()

    def _connected(self) -> tuple[Callable[[bytes], None], _Transport]:
        protocol, transport = self._bench.connect(self._case.policy)
        return protocol.data_received, transport

    def batch(self, count: int) -> Callable[[], None]:
        """Return what asks the next `count` questions."""
        questions = self._questions[:count]
        if self._case.fresh:
            questions = self._questions[self._asked : self._asked + count]
            self._asked += count
        assert len(questions) == count
        return functools.partial(self._connecting if self._case.connects else self._on, questions)

    def _on(self, questions: list[bytes]) -> None:
        feed = self._feed
        for one in questions:
            feed(one)

    def _connecting(self, questions: list[bytes]) -> None:
        for one in questions:
            feed, self._transport = self._connected()
            feed(one)

    def look(self) -> None:
        """Check that it was answered as the case has it."""
        assert self._transport.last.startswith(self._case.answer.encode()), self._transport.last


class _Case(msgspec.Struct):
    name: str
    questions: list[str]
    answer: str
    beside: str
    policy: str
    fresh: bool
    connects: bool


def _measured(folder: Path, *, counted: bool) -> None:
    cases = msgspec.json.decode((folder / "cases.json").read_bytes(), type=list[dict[str, object]])
    bench = _Bench(folder, {str(case["policy"]) for case in cases})

    async def measure() -> list[Cost]:
        asking = [_Asking(case, bench) for case in cases]
        gc.collect()
        gc.freeze()  # the questions are the benchmark's
        return _count(asking) if counted else _timed(asking, bench)

    costs = bench.loop.run_until_complete(measure())
    bench.close()
    (folder / "costs.json").write_bytes(msgspec.json.encode(costs))


def _count(asking: list[_Asking]) -> list[Cost]:
    for one in asking:
        one.batch(COUNTED)()  # what memory keeps is in it from here on
        one.look()
        ask = one.batch(COUNTED)
        os.getpriority(os.PRIO_PROCESS, 0)  # callgrind dumps when it comes by here
        ask()
        os.getpriority(os.PRIO_PROCESS, 0)
        one.look()
    return [Cost(one.name, one.beside, 0.0) for one in asking]


def _timed(asking: list[_Asking], bench: _Bench) -> list[Cost]:
    taken: dict[str, list[float]] = {one.name: [] for one in asking}
    written: list[float] = []
    now = time.thread_time
    for _ in range(ROUNDS):
        for one in asking:
            ask = one.batch(COUNT)
            begun = now()
            ask()
            taken[one.name].append((now() - begun) / COUNT * 1e6)
            one.look()
            begun = now()
            bench.usage.flush(everything=False)
            if one.refused:
                written.append((now() - begun) / _NOTED * 1e6)
    costs = [Cost(one.name, one.beside, min(taken[one.name])) for one in asking]
    return [*costs, Cost("the writer, for a refusal that is kept", asking[0].name, min(written))]


if __name__ == "__main__":
    main()
