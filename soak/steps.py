"""What the steps of `make soak` share: what one is, its threads, a gateway, and its figures."""

from __future__ import annotations

import http.client
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from benchmarks.stock import Question
from tests.world import MadeKey, Run, Server, World, latchgate

COMMAND_SECONDS = 3_600.0
_ANSWER_SECONDS = 60.0


class LostError(AssertionError):
    """Something that was acknowledged is not there, which a soak looks for; says what."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one step measured, by name, with units; printed and written in this order."""

    title: str
    told: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the figures as lines of Markdown."""
        return [f"- {name}: {value}" for name, value in self.told.items()]


@dataclass(frozen=True, slots=True)
class Step:
    """One long run: its name, what it does in a folder of its own with so many keys."""

    name: str
    run: Callable[[Path, int], Figures]
    keys: int  # how many unless told


def require(right: object, what: str) -> None:
    """Raise LostError, saying what, unless something holds."""
    if not right:
        raise LostError(what)


class Threads:
    """Threads that run until they are told to stop, and what went wrong in them."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._running: list[threading.Thread] = []
        self._faults: list[str] = []

    def start(self, work: Callable[..., None], *told: object) -> None:
        """Start one; what it is has to look at `stop`."""

        def run() -> None:
            try:
                work(*told)
            except Exception as error:  # noqa: BLE001 - told at the end, whatever it is
                # Whoever stops them may end the server under them too.
                gone = isinstance(error, OSError | http.client.HTTPException)
                if not (gone and self.stop.is_set()):
                    self._faults.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._running.append(thread)

    def check(self) -> None:
        """Raise LostError with what went wrong so far."""
        require(not self._faults, "; ".join(self._faults[:5]))

    def join(self) -> None:
        """Wait for all of them; LostError with what went wrong."""
        for thread in self._running:
            thread.join()
        self.check()

    def end(self) -> None:
        """Stop all of them and wait; LostError with what went wrong."""
        self.stop.set()
        self.join()


@dataclass(frozen=True, slots=True)
class Said:
    """What the verify door said of a request: its status, and whether the secret was rotated."""

    status: int
    deprecated: bool

    @property
    def allowed(self) -> bool:
        """Whether the request may pass."""
        return self.status == 200


class Gateway:
    """One kept connection to the verify door, which asks as nginx does."""

    def __init__(self, server: Server) -> None:
        parts = urlsplit(server.addresses["verify"])
        self._socket = socket.create_connection(
            (parts.hostname or "", parts.port or 0), timeout=_ANSWER_SECONDS
        )
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def ask(self, question: bytes) -> Said:
        """Ask one question and read its answer; ConnectionError when there is none."""
        self._socket.sendall(question)
        line = self._answers.readline()
        if not line:
            raise ConnectionError("the verify door closed a kept connection")
        status, deprecated, length = int(line.split()[1]), False, 0
        while (header := self._answers.readline().rstrip()) != b"":
            name, _, value = header.lower().partition(b":")
            deprecated = deprecated or name == b"deprecation"
            length = int(value) if name == b"content-length" else length
        self._answers.read(length)
        return Said(status, deprecated)


def question(key: str, target: str = "/v1/storage/bucket/object") -> bytes:
    """Return the question whether a key may read something, as nginx spells it."""
    return Question("GET", target, "192.0.2.1", f"Bearer {key}").spelled()


def stocked(server: Server, keys: int) -> list[MadeKey]:
    """Make many service keys by rows, in changes of a thousand; the server need not run."""
    world = World.beside(server)
    made: list[MadeKey] = []
    try:
        while len(made) < keys:
            with world.changing() as change:
                made += [world.key_in(change) for _ in range(min(1_000, keys - len(made)))]
    finally:
        world.close()
    return made


def command(server: Server, *args: str, config: bool = True) -> Run:
    """Run `latchgate` on the server's machine; LostError when it does not end with 0."""
    more = ("--config", str(server.config)) if config else ()
    done = latchgate(*args, *more, "--json", seconds=COMMAND_SECONDS)
    require(done.code == 0, f"{' '.join(args)}: {done.err}")
    return done


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds some work took."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def spread(seconds: Sequence[float]) -> str:
    """Return the median, the 95th percentile and the longest of some times, in words."""
    ordered = sorted(seconds)
    if not ordered:
        return "none"
    middle, most = (ordered[math.ceil(len(ordered) * share) - 1] for share in (0.5, 0.95))
    return (
        f"median {middle * 1e3:.1f} ms, 95 % within {most * 1e3:.1f} ms,"
        f" longest {ordered[-1] * 1e3:.0f} ms"
    )
