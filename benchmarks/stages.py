"""Where the verify door's own CPU goes: `python -m benchmarks.stages CONFIG QUESTIONS`.

A program of its own, with no socket and no server: protocol and engine are fed what gateways send,
each stage in turn. The least CPU of the thread over many rounds counts, which what else runs on the
machine makes no smaller. It prints JSON that benchmarks/profiled.py reads.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from benchmarks import constant
from benchmarks.stock import Question
from benchmarks.unrecorded import Unrecorded
from uvicorn.config import Config
from uvicorn.server import ServerState

from latchgate import Verifier, verifier
from latchgate.core.model import Decision, Request
from latchgate.core.network import Networks
from latchgate.doors.verify import VerifyDoor
from latchgate.verify.engine import Engine
from latchgate.verify.walk import Slow

READ, DECIDED, COUNTED, ANSWERED = "read", "decided", "counted", "answered"
_ROUNDS = 15
_QUESTIONS = 20_000
_GATEWAY = Networks.of(["127.0.0.1"])


class _Transport(asyncio.Transport):
    """Keeps what is written last; the kernel's part is told by the rounds of real servers."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        self.written = bytes(data)

    def is_closing(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Stay: an answer that closes is not an acceptance, which is checked."""

    def pause_reading(self) -> None:
        """Go on: nothing is read."""

    def resume_reading(self) -> None:
        """Go on."""


@contextmanager
def _connected(door: VerifyDoor, loop: asyncio.AbstractEventLoop) -> Iterator[tuple[Any, Any]]:
    """Open one connection to a door; the protocol, and the transport that keeps its answers."""

    async def app(_scope: object, _receive: object, _send: object) -> None:
        raise AssertionError

    config = Config(app=app, http="httptools", lifespan="off")
    config.load()
    protocol, transport = door.protocol(config, ServerState(), {}, loop), _Transport()
    protocol.connection_made(transport)
    try:
        yield protocol, transport
    finally:
        protocol.connection_lost(None)


def _least(stages: Mapping[str, Callable[[int], object]], items: int) -> dict[str, float]:
    """Return the least microseconds of an item, over rounds of all stages in turn."""
    found = dict.fromkeys(stages, float("inf"))
    for _ in range(_ROUNDS):
        for name, stage in stages.items():
            begun = time.thread_time_ns()
            for i in range(items):
                stage(i)
            found[name] = min(found[name], (time.thread_time_ns() - begun) / items / 1_000)
    return found


class _Heard:
    """An engine that notes what the door asks it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.asked: list[Request] = []

    def attempt(self, request: Request) -> Decision | Slow:
        """Note the request, and let it be decided."""
        self.asked.append(request)
        return self._engine.attempt(request)

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


def _requests(
    engine: Engine, heads: Sequence[bytes], loop: asyncio.AbstractEventLoop
) -> list[Request]:
    """Return what the door asks the engine when it reads these heads: all are accepted."""
    heard = _Heard(engine)
    with _connected(VerifyDoor(cast("Any", heard), _GATEWAY), loop) as (protocol, transport):
        for head in heads:
            protocol.data_received(head)
            assert transport.written.startswith(b"HTTP/1.1 200 "), transport.written
    assert len(heard.asked) == len(heads)
    return heard.asked


def _measured(counting: Engine, silent: Engine, heads: Sequence[bytes]) -> dict[str, float]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        asked = _requests(counting, heads, loop)
        for request in asked:
            assert silent.decide(request).allowed
        gc.collect()
        gc.freeze()  # as a worker does with what it holds
        whole, fixed = VerifyDoor(counting, _GATEWAY), constant.ConstantDoor(counting, _GATEWAY)
        with _connected(whole, loop) as (door, _), _connected(fixed, loop) as (reader, _):
            return _least(
                {
                    READ: lambda i: reader.data_received(heads[i]),
                    DECIDED: lambda i: silent.attempt(asked[i]),
                    COUNTED: lambda i: counting.attempt(asked[i]),
                    ANSWERED: lambda i: door.data_received(heads[i]),
                },
                len(heads),
            )
    finally:
        loop.close()


def main() -> None:
    """Measure, and print JSON."""
    config, questions = sys.argv[1:]
    asked = [Question(*one) for one in json.loads(Path(questions).read_text())][:_QUESTIONS]
    heads = [one.spelled() for one in asked]
    with Verifier(config) as counting:
        engine = counting._parts().engine  # noqa: SLF001 - what the server's door calls
        vars(verifier)["Usage"] = Unrecorded
        with Verifier(config) as silent:
            found = _measured(engine, silent._parts().engine, heads)  # noqa: SLF001 - likewise
    print(json.dumps(found))


if __name__ == "__main__":
    main()
