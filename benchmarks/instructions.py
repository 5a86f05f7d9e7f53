"""Gateway questions to the real verify door, for callgrind to count.

    python -m benchmarks.instructions make FOLDER            a database and questions about it
    python -m benchmarks.instructions ask FOLDER REQUESTS    asks them, and prints what it asked
    python -m benchmarks.instructions count FOLDER REQUESTS  the same, under callgrind

Bytes go through the door's own protocol, engine and counters over a real database; only the socket
is left out, whose cost is the kernel's, and so is the thread that writes what was counted. Before
and after what is to be counted the program calls getpriority(2), which callgrind was told to write
its count at (`--dump-before=getpriority`): starting and warming up stay out of the figures, and
counting begins only after the start, which it would make four times as long. Clocks go on by the
same step at every look, or a slower run would do more of what is done now and then.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop
from benchmarks.machine import program
from benchmarks.stock import stock
from uvicorn.server import ServerState

from latchgate.config import load
from latchgate.core.redact import Redactor
from latchgate.serve.assembly import Assembly
from latchgate.serve.servers import verify_server

_ASKED = "asked.json"
_STEP = 10e-6
_END = b"\r\n\r\n"
# Whoever sends these sends the same ones again and again; the others are new each time.
_REPEATED = {"accepted", "expired"}


class Wire(asyncio.Transport):
    """A connection from a gateway on this machine, which keeps the last answer."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4), "sockname": ("127.0.0.1", 5)})
        self.answers, self.last = 0, b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Take an answer."""
        self.answers += 1
        self.last = bytes(data)

    def close(self) -> None:
        """Do nothing: there is no socket."""

    def is_closing(self) -> bool:
        """Never."""
        return False

    def get_write_buffer_size(self) -> int:
        """Nothing waits to be taken."""
        return 0

    def pause_reading(self) -> None:
        """Do nothing: no more is sent than was answered."""

    def resume_reading(self) -> None:
        """Do nothing."""


def make(folder: Path, requests: int) -> None:
    """Make a database, and name the files of questions about it."""
    made = stock(folder, 2 * requests)
    asked = {"accepted": made.accepted, **made.refused}
    told = {name: str(file) for name, file in asked.items()}
    (folder / _ASKED).write_text(json.dumps({"config": str(made.config.file), "asked": told}))


def count(folder: Path, requests: int) -> None:
    """Ask, and have callgrind count from when all is ready."""
    ask(folder, requests, ready=_count)


def _count() -> None:
    command = [program("callgrind_control"), "--instr=on", str(os.getpid())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def ask(folder: Path, requests: int, ready: Callable[[], None] = lambda: None) -> None:
    """Ask every sort of question, and print how many were counted of each."""
    told = json.loads((folder / _ASKED).read_text())
    for clock in ("time", "monotonic"):
        begun = getattr(time, clock)()
        vars(time)[clock] = itertools.count(begun, _STEP).__next__  # as cheap as the clock itself
    parts = Assembly(load(Path(told["config"])), Redactor())
    server = verify_server(parts.verify)
    server.config.load()

    async def run() -> dict[str, int]:
        factory: Any = server.config.http_protocol_class
        protocol = factory(server.config, ServerState(), {}, asyncio.get_running_loop())
        wire = Wire()
        protocol.connection_made(wire)
        ready()
        counted = {}
        for name, file in told["asked"].items():
            questions = _questions(Path(file))
            half = len(questions) // 2
            warming = questions if name in _REPEATED else questions[:half]
            measured = questions[half:][:requests]
            _through(protocol, wire, warming, accepted=name == "accepted")
            parts._databases.usage.flush()  # noqa: SLF001 - so that all sorts begin alike
            gc.collect()
            gc.freeze()  # as a worker does when it is ready
            _mark()
            _through(protocol, wire, measured, accepted=name == "accepted")
            _mark()
            counted[name] = len(measured)
        protocol.connection_lost(None)
        return counted

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run())
    parts.close()
    print(json.dumps(found))


def _mark() -> None:
    os.getpriority(os.PRIO_PROCESS, 0)


def _through(protocol: Any, wire: Wire, questions: Sequence[bytes], *, accepted: bool) -> None:  # noqa: ANN401 - what the server makes of a connection
    before, wanted = wire.answers, b"HTTP/1.1 200" if accepted else b"HTTP/1.1 4"
    for one in questions:
        protocol.data_received(one)
        assert wire.last.startswith(wanted), wire.last
    assert wire.answers - before == len(questions), "not every question was answered at once"


def _questions(file: Path) -> list[bytes]:
    return [one + _END for one in file.read_bytes().split(_END) if one]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once: the loop would wait for its turn
    what, where, number = sys.argv[1:]
    {"make": make, "ask": ask, "count": count}[what](Path(where), int(number))
