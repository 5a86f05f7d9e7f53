"""Restore from a backup that was made under load: nothing acknowledged before it is lost.

Keys are made, revoked and asked about all the time; `backup` runs meanwhile; then the server is
killed as a power cut would, the backup restored, the server started, and every acknowledged change
looked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from soak.steps import Figures, Step, require
from tests.world import Run, Server, World, chain_faults, latchgate

WRITERS = 2
READERS = 2
WARM_SECONDS = 2.0
AFTER_SECONDS = 1.0
SAMPLE = 500
COMMAND_SECONDS = 3_600.0


@dataclass(slots=True)
class _Load:
    """What was acknowledged, each with the moment after its answer; and how much was asked."""

    server: Server
    stop: threading.Event = field(default_factory=threading.Event)
    made: list[tuple[float, str]] = field(default_factory=list)
    revoked: list[tuple[float, str]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Make keys; revoke every third."""
        at = 0
        while not self.stop.is_set():
            key = self.server.create(name="soak")
            at += 1
            if at % 3:
                self.made.append((time.monotonic(), key["key"]))
                continue
            answer = self.server.call("DELETE", f"/manage/v1/keys/{key['id']}")
            require(answer.status == 200, f"a revoke was answered {answer.status}")
            self.revoked.append((time.monotonic(), key["key"]))

    def read(self, known: str) -> None:
        """Ask about a key that stands."""
        while not self.stop.is_set():
            require(self.server.allows(known), "a key that stands was refused")
            self.asked.append(time.monotonic())

    def running(self, work: Callable[..., None], *told: str) -> threading.Thread:
        """Start a thread that keeps what went wrong, for the end."""

        def run() -> None:
            try:
                work(*told)
            except Exception as error:  # noqa: BLE001 - told at the end, whatever it is
                if not self.stop.is_set():
                    self.faults.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


def run(folder: Path, keys: int) -> Figures:
    """Run the step in a new folder with a stock of `keys`; LostError when something is lost."""
    server = Server.made(folder / "lg")
    stock = _stocked(server, keys)
    server.start()
    load = _Load(server)
    try:
        threads = [load.running(load.write) for _ in range(WRITERS)]
        threads += [load.running(load.read, stock[0]) for _ in range(READERS)]
        time.sleep(WARM_SECONDS)
        file, begun = folder / "soak.tar", time.monotonic()
        _command(server, "backup", str(file))
        ended = time.monotonic()
        time.sleep(AFTER_SECONDS)
        load.stop.set()
        server.kill()
        for thread in threads:
            thread.join()
    finally:
        load.stop.set()
        server.kill()
    require(not load.faults, "; ".join(load.faults))
    verifying = _timed(lambda: _command(server, "backup", "verify", str(file), config=False))
    restoring = _timed(lambda: _command(server, "restore", str(file)))
    require(not chain_faults(server.folder / "latchgate.db"), "the journal's chain does not hold")
    made = [key for at, key in load.made if at < begun]
    revoked = [key for at, key in load.revoked if at < begun]
    starting = _timed(server.start)
    try:
        for key in (*made, *stock[:: max(1, len(stock) // SAMPLE)]):
            require(server.allows(key), f"a key made before the backup is lost: {key[:30]}…")
        for key in revoked:
            require(not server.allows(key), f"a revoke before the backup is lost: {key[:30]}…")
    finally:
        server.kill()
    during = sum(begun <= at < ended for at in load.asked)
    changes = sum(begun <= at < ended for at, _ in (*load.made, *load.revoked))
    return Figures(
        "Restore from a backup made under load",
        {
            "keys in stock": f"{keys:,}",
            "backup of the running server": f"{ended - begun:.2f} s, {file.stat().st_size:,} bytes",
            "meanwhile": f"{during:,} requests and {changes:,} changes answered",
            "backup verify": f"{verifying:.2f} s",
            "restore": f"{restoring:.2f} s",
            "start on it": f"{starting:.2f} s",
            "acknowledged before the backup and found after the restore": (
                f"{len(made):,} keys of {len(made):,}, {len(revoked):,} revokes of {len(revoked):,}"
            ),
        },
    )


def _stocked(server: Server, keys: int) -> list[str]:
    """Make many keys by rows, in changes of a thousand."""
    world = World.beside(server)
    made: list[str] = []
    try:
        while len(made) < keys:
            with world.changing() as change:
                made += [world.key_in(change).text for _ in range(min(1_000, keys - len(made)))]
    finally:
        world.close()
    return made


def _command(server: Server, *args: str, config: bool = True) -> Run:
    more = ("--config", str(server.config)) if config else ()
    done = latchgate(*args, *more, "--json", seconds=COMMAND_SECONDS)
    require(done.code == 0, f"{' '.join(args)}: {done.err}")
    return done


def _timed(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


STEP = Step("backup", run, keys=20_000)
