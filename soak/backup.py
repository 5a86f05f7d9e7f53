"""Restore from a backup that was made under load: nothing acknowledged before it is lost.

Keys are made, revoked and asked about all the time; `backup` runs meanwhile; then the server is
killed as a power cut would, the backup restored, the server started, and every acknowledged change
looked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from soak.steps import Figures, Step, Threads, command, require, stocked, timed
from tests.world import Server, chain_faults

WRITERS = 2
READERS = 2
WARM_SECONDS = 2.0
AFTER_SECONDS = 1.0
SAMPLE = 500


@dataclass(slots=True)
class _Load:
    """What was acknowledged, each with the moment after its answer; and how much was asked."""

    server: Server
    threads: Threads = field(default_factory=Threads)
    made: list[tuple[float, str]] = field(default_factory=list)
    revoked: list[tuple[float, str]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def write(self) -> None:
        """Make keys; revoke every third."""
        at = 0
        while not self.threads.stop.is_set():
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
        while not self.threads.stop.is_set():
            require(self.server.allows(known), "a key that stands was refused")
            self.asked.append(time.monotonic())


def run(folder: Path, keys: int) -> Figures:
    """Run the step in a new folder with a stock of `keys`; LostError when something is lost."""
    server = Server.made(folder / "lg")
    stock = [key.text for key in stocked(server, keys)]
    server.start()
    load = _Load(server)
    try:
        for _ in range(WRITERS):
            load.threads.start(load.write)
        for _ in range(READERS):
            load.threads.start(load.read, stock[0])
        time.sleep(WARM_SECONDS)
        file, begun = folder / "soak.tar", time.monotonic()
        command(server, "backup", str(file))
        ended = time.monotonic()
        time.sleep(AFTER_SECONDS)
        load.threads.stop.set()
        server.kill()
        load.threads.join()
    finally:
        load.threads.stop.set()
        server.kill()
    verifying = timed(lambda: command(server, "backup", "verify", str(file), config=False))
    restoring = timed(lambda: command(server, "restore", str(file)))
    require(not chain_faults(server.folder / "latchgate.db"), "the journal's chain does not hold")
    made = [key for at, key in load.made if at < begun]
    revoked = [key for at, key in load.revoked if at < begun]
    starting = timed(server.start)
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
        "a restore from a backup made under load",
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


STEP = Step("backup", run, keys=20_000)
