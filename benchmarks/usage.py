"""What recording usage costs the verify door: `python benchmarks/usage.py [--write]`.

First as the door is used: two servers on one core, one that records and one that doesn't, are
asked over sockets in turns. Then the door's own protocol is given the same bytes without sockets,
with one that notes nothing, with the recorder, and with one that writes the access log too; that
is cheaper than any door, so that the share is larger. With `--postgres` it is given them once more
with usage there. What is counted is CPU of the whole process: the writer's thread, SQLite and files
are in it. Traffic of three sorts: few keys, many keys of which few are busy (Zipf), and many keys
evenly, the worst.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import uvicorn
from benchmarks import results
from benchmarks.load import Load, Round
from benchmarks.machine import cores, cpu, facts
from benchmarks.programs import Server, latchgate, unrecorded
from benchmarks.stock import Question, Stock, stock
from uvicorn.server import ServerState

from latchgate import providers
from latchgate.config import Config
from latchgate.core.location import Postgres
from latchgate.core.model import Decision, Request
from latchgate.core.policy_file import with_built_in
from latchgate.core.redact import redactor
from latchgate.core.secret import Secret
from latchgate.doors.console import console
from latchgate.doors.verify import VerifyDoor
from latchgate.signin.oidc import Assertions
from latchgate.signin.pool import Passwords
from latchgate.store.access_log import AccessLog
from latchgate.store.migrate import migrate
from latchgate.store.recorder import SETTLED_SECONDS, Usage
from latchgate.verify.bell_engine import BellEngine

WANTED = 0.05
_FILE = ("off", "on", "logged")
_SHARED = ("off", "on")
_SETTLED = SETTLED_SECONDS + 2.0  # by then nothing is left to be written
_Noted = Callable[[Decision, Request, float], None]


class _Wire(asyncio.Transport):
    """Takes what the door answers, and counts it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.passed = 0

    def write(self, data: Any) -> None:  # noqa: ANN401 - bytes of any sort
        self.passed += data[:12] == b"HTTP/1.1 200"

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def _nothing(_decision: Decision, _request: Request, _now: float) -> None:
    pass


@contextmanager
def _door(config: Config, noted: _Noted) -> Iterator[tuple[Any, _Wire]]:
    """Open the door over the database, on one connection of a gateway."""
    passwords = Passwords(ticks=time.monotonic, entropy=secrets.token_bytes)
    assert isinstance(config.database, Path)
    assertions = Assertions(
        ticks=time.monotonic, entropy=secrets.token_bytes, fetch=lambda _: b"{}"
    )
    built_in = providers.text(providers.BUILT_IN)
    engine = BellEngine(
        config.database,
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
        compile_policy=lambda files, version: with_built_in(files, built_in, version=version),
        passwords=passwords,
        assertions=assertions,
        on_decision=noted,
    )
    door, wire = VerifyDoor(engine, config.trusted), _Wire()
    served = uvicorn.Config(console({}), log_config=None)
    protocol = door.protocol(served, ServerState(), {}, asyncio.get_running_loop())
    protocol.connection_made(wire)
    try:
        yield protocol, wire
    finally:
        protocol.connection_lost(None)
        passwords.close()
        assertions.close()
        engine.close()


def _asked(pattern: str, questions: list[bytes], count: int) -> list[bytes]:
    """Return `count` questions as one sort of traffic asks them."""
    rng = random.Random(2)
    if pattern == "100 keys":
        return rng.choices(questions[:100], k=count)
    if pattern.startswith("Zipf"):
        weights = itertools.accumulate(1 / rank for rank in range(1, len(questions) + 1))
        return rng.choices(questions, cum_weights=list(weights), k=count)
    return rng.choices(questions, k=count)


def _built_in() -> str:
    return providers.text(providers.BUILT_IN)


def _shipped() -> dict[str, str]:
    return {f"{name}.toml": providers.text(f"{name}.toml") for name in providers.SHIPPED}


async def _round(config: Config, asked: list[bytes], *, how: str) -> float:
    """Return the CPU microseconds of a request, the writing of what was noted included."""
    usage = None
    if how != "off":
        clocks: dict[str, Any] = {"ticks": time.monotonic, "clock": time.time}
        redact = redactor(with_built_in(_shipped(), _built_in(), version=1).patterns())
        listing = None
        if how == "logged":
            folder = config.master_key.with_name("access")
            listing = AccessLog(folder, redact=redact, max_bytes=1 << 30, **clocks)
        usage = Usage(config.usage_database, redact=redact, access_log=listing, **clocks)
        usage.start()
    with _door(config, usage.on_decision if usage is not None else _nothing) as (protocol, wire):
        for one in asked[: len(asked) // 4]:
            protocol.data_received(one)
        wire.passed = 0
        gc.collect()
        begun = time.process_time()
        for one in asked:
            protocol.data_received(one)
        if usage is not None:
            usage.flush()
        taken = time.process_time() - begun
        assert wire.passed == len(asked), "a request was refused"
    if usage is not None:
        usage.close()
    return taken / len(asked) * 1e6


def _measured(
    config: Config, asked: list[bytes], rounds: int, *, how: tuple[str, ...]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in how}
    for _ in range(rounds):
        for name, each in found.items():
            each.append(asyncio.run(_round(config, asked, how=name)))
    return found


def _over_sockets(made: Stock, asked: list[bytes], *, rounds: int, seconds: int) -> str:
    """Return a row: CPU of both servers, and the share of recording in all that each has used."""
    questions = made.accepted.with_name("asked")
    questions.write_bytes(b"".join(asked))
    measured, rest = cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {rest})
    try:
        with unrecorded(made, measured) as off, latchgate(made, measured) as on:
            load = Load(made.accepted.parent)
            for server in (off, on):  # every key was used before
                load.round(server, questions, seconds, accepted=True)
            begun = [cpu(server.process_id).total for server in (off, on)]
            found: list[tuple[Round, Round]] = []
            for _ in range(rounds):
                first = load.round(off, questions, seconds, accepted=True)
                found.append((first, load.round(on, questions, seconds, accepted=True)))
            time.sleep(_SETTLED)
            totals = [_used(one, at) for one, at in zip((off, on), begun, strict=True)]
    finally:
        os.sched_setaffinity(0, before)
    return _socket_row(found, totals)


def _used(server: Server, begun: float) -> float:
    return cpu(server.process_id).total - begun


def _socket_row(found: list[tuple[Round, Round]], totals: list[float]) -> str:
    """Word one row; what was spent between rounds counts as far as it is more than without."""
    off, on = (
        [(one.cpu * one.requests / 1e6, one.requests) for one in each]
        for each in zip(*found, strict=True)
    )
    spent = [sum(seconds for seconds, _ in each) for each in (off, on)]
    asked = [sum(requests for _, requests in each) for each in (off, on)]
    later = max(0.0, (totals[1] - spent[1]) - (totals[0] - spent[0])) / asked[1] * 1e6
    without, recorded = (spent[at] / asked[at] * 1e6 for at in (0, 1))
    pairs = _share([b.cpu + later for _, b in found], [a.cpu for a, _ in found])
    share = (recorded + later) / without - 1
    reached = "reached" if share <= WANTED else "MISSED"
    return (
        f"{without:.2f} | {recorded:.2f} | {later:.2f} | {share:.1%}"
        f" ({min(pairs):.1%} to {max(pairs):.1%}) | ≤ {WANTED:.0%}: {reached} |"
    )


def _row(name: str, found: dict[str, list[float]]) -> str:
    off, on, logged = (statistics.median(found[how]) for how in ("off", "on", "logged"))
    share = _share(found["on"], found["off"])
    return (
        f"| {name} | {off:.2f} | {on:.2f} | {_spread(share)}"
        f" | {logged:.2f} | {_spread(_share(found['logged'], found['on']))} |"
    )


def _shared_row(name: str, found: dict[str, list[float]]) -> str:
    off, on = (statistics.median(found[how]) for how in _SHARED)
    return f"| {name} | {off:.2f} | {on:.2f} | {_spread(_share(found['on'], found['off']))} |"


def _share(more: list[float], less: list[float]) -> list[float]:
    return [one / other - 1 for one, other in zip(more, less, strict=True)]


def _spread(shares: list[float]) -> str:
    return f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})"


def _in_postgres(rows: list[str]) -> list[str]:
    if not rows:
        return []
    return [
        "The same with usage in PostgreSQL, whose own CPU is not in it.",
        "",
        "| traffic | off | on | cost |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def main() -> int:
    """Measure, print, and keep the section when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5, help="of a round over sockets")
    parser.add_argument("--write", action="store_true", help="keep it in benchmarks/RESULTS.md")
    parser.add_argument("--postgres", metavar="URI", help="of a database for usage, migrated here")
    told = parser.parse_args()
    if told.postgres is not None:
        migrate(Postgres(Secret(told.postgres)), "usage")
    about = facts()
    rows: list[str] = []
    served: list[str] = []
    shared: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        made = stock(Path(folder), told.keys)
        spelled = [Question(*one).spelled() for one in json.loads(made.questions.read_text())]
        many = f"of {told.keys:,} keys"
        for pattern in ("100 keys", f"Zipf {many}", f"evenly {many}"):
            asked = _asked(pattern, spelled, told.requests)
            row = _over_sockets(made, asked, rounds=told.rounds, seconds=told.seconds)
            served.append(f"| {pattern} | {row}")
            print(served[-1], flush=True)
            rows.append(_row(pattern, _measured(made.config, asked, told.rounds, how=_FILE)))
            print(rows[-1], flush=True)
            if told.postgres is not None:
                there = replace(made.config, usage_database=Postgres(Secret(told.postgres)))
                shared.append(
                    _shared_row(pattern, _measured(there, asked, told.rounds, how=_SHARED))
                )
                print(shared[-1], flush=True)
    command = (
        f"python benchmarks/usage.py --keys {told.keys} --requests {told.requests}"
        f" --rounds {told.rounds} --seconds {told.seconds}"
    )
    lines = [f"- {name}: {value}" for name, value in about.items() if name != "date"]
    section = "\n".join(
        [
            f"## Usage, {about['date']}",
            "",
            *lines,
            "",
            f"    {command}",
            "",
            "CPU µs a request of `latchgate serve`, asked over sockets, as the kernel counts it",
            "for the whole process; with recording off and on in turns, all rounds together.",
            "*Later* is what is written after a round, as far as it is more with recording. The",
            "share of both, and its spread over the rounds.",
            "",
            "| traffic | off | on | later | cost | wanted |",
            "|---|---|---|---|---|---|",
            *served,
            "",
            "The same of the door's own protocol without sockets, which no gateway can ask:",
            "medians, and the share of each pair. Each key's counts are written out once for so",
            "few requests.",
            "The last two columns: with the access log too, and what that costs beside counting.",
            "",
            "| traffic | off | on | cost | access log | its cost |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            *_in_postgres(shared),
        ]
    )
    print(section)
    if told.write:
        results.write(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
