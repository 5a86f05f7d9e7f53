"""Import many keys beside a running server: each line is in once, and nobody is refused meanwhile.

The import is killed half-way, as a power cut would, and run again. Half of what follows asks the
database, half the verify door.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmarks.imports import POLICY
from benchmarks.machine import peak_rss
from soak.steps import (
    Figures,
    Gateway,
    Step,
    Threads,
    command,
    question,
    require,
    spread,
    stocked,
    timed,
)
from tests.world import FILES, LATCHGATE, Server, World, compiled, environment, raw_rows

from latchgate.core.kinds.service_key import RANDOM_LENGTH
from latchgate.core.kinds.spec import Spec
from latchgate.core.secret import CHECKSUM_LENGTH, checksum
from latchgate.store.sqlite import driver

if TYPE_CHECKING:
    from latchgate.core.kinds.imported_key import ImportedKey
    from latchgate.core.kinds.service_key import ServiceKey

CLIENTS = 4
PAUSE_SECONDS = 0.01  # between a client's requests
STANDING = 200
SAMPLE = 2_000
_LOOK_SECONDS = 0.1
_FOREIGN_BYTES = 20  # 40 characters
_STORAGE, _ACME = "/v1/storage/bucket/object", "/acme/things"
_HEAD = "SELECT n FROM journal_head"
_THERE = "SELECT COUNT(*) FROM credential WHERE external_id IS NOT NULL"
_ROWS = "SELECT id, external_id FROM credential WHERE external_id IS NOT NULL"
_NOTED = "SELECT COUNT(*), COUNT(DISTINCT record) FROM journal WHERE action = 'credential.import'"


@dataclass(slots=True)
class _Load:
    """Clients of keys that stood before; none may be refused."""

    server: Server
    standing: list[bytes]
    threads: Threads = field(default_factory=Threads)
    took: list[float] = field(default_factory=list)  # seconds of each answer

    def ask(self) -> None:
        """Ask about one standing key after another."""
        keys = self.standing[:]
        random.SystemRandom().shuffle(keys)
        with Gateway(self.server) as gateway:
            while not self.threads.stop.is_set():
                for asked in keys:
                    begun = time.monotonic()
                    said = gateway.ask(asked)
                    self.took.append(time.monotonic() - begun)
                    require(said.allowed, f"a key that stands was answered {said.status}")
                    if self.threads.stop.wait(PAUSE_SECONDS):
                        return


@dataclass(frozen=True, slots=True)
class _Written:
    """What is in the file: the id of every line, and questions about some of its keys."""

    ids: list[str]
    right: list[bytes]
    wrong: list[bytes]


@dataclass(slots=True)
class _Run:
    """One run of the import: seconds, MiB at most, and what it printed, if it came to that."""

    seconds: float = 0.0
    peak: float = 0.0
    out: dict[str, Any] = field(default_factory=dict)


def run(folder: Path, keys: int) -> Figures:
    """Run the step in a new folder with so many lines; LostError when something is lost."""
    server = Server.made(folder / "lg")
    _publish(server)
    standing = [question(key.text, _STORAGE) for key in stocked(server, STANDING)]
    file = folder / "keys.jsonl"
    written = _write(file, keys)
    database = server.folder / "latchgate.db"
    server.start()
    load = _Load(server, standing)
    try:
        before, begun = peak_rss(server.pid), time.monotonic()
        for _ in range(CLIENTS):
            load.threads.start(load.ask)
        first = _imported(server, file, load, kill_at=keys // 2)
        ((there,),) = raw_rows(database, _THERE)
        second = _imported(server, file, load)
        load.threads.end()
        asked_seconds, after = time.monotonic() - begun, peak_rss(server.pid)
        _require_whole(database, written, there, second)
        _require_doors(server, written)
        audit = timed(lambda: command(server, "audit", "verify"))
        used = peak_rss(server.pid)
    finally:
        load.threads.stop.set()
        server.kill()
    new, size = keys - there, sum(one.stat().st_size for one in database.parent.glob("*.db*"))
    return Figures(
        f"an import of {keys:,} keys, killed half-way",
        {
            "first run, killed": f"{there:,} keys in {first.seconds:.1f} s,"
            f" {there / first.seconds:,.0f} a second",
            "second run": f"{there:,} passed over and {new:,} imported in {second.seconds:.1f} s,"
            f" {keys / second.seconds:,.0f} lines a second",
            "lines that are in exactly once, each with its row in the journal": f"{keys:,}"
            f" of {keys:,}",
            "importer, RSS at most": f"{max(first.peak, second.peak):.0f} MiB",
            "server, RSS at most": f"{before:.0f} MiB at the start, {after:.0f} after the import,"
            f" {used:.0f} after {len(written.right) + len(written.wrong):,} of its keys were asked",
            "requests meanwhile": f"{len(load.took):,}, {len(load.took) / asked_seconds:,.0f}"
            f" a second, none refused; {spread(load.took)}",
            "keys asked for afterwards": f"{len(written.right):,} open their door,"
            f" {len(written.wrong):,} with another secret do not",
            "database": f"{size / 1e6:,.0f} MB",
            "audit verify": f"{audit:.1f} s",
        },
    )


def _publish(server: Server) -> None:
    world = World.beside(server)
    try:
        world.publish({**FILES, "acme.toml": POLICY})
    finally:
        world.close()


def _write(file: Path, keys: int) -> _Written:
    """Write lines as another system would: foreign keys, their SHA-256, and keys of our own."""
    policy = compiled({**FILES, "acme.toml": POLICY}, 1)
    foreign = cast("ImportedKey", policy.kinds["acme.imported_key"])
    native = cast("ServiceKey", policy.kinds["wayscloud.service_key"])
    asked = set(random.SystemRandom().sample(range(keys), min(SAMPLE, keys)))
    written = _Written([], [], [])
    with file.open("w", encoding="utf-8") as out:
        for number in range(keys):
            line: dict[str, object] = {"owner": "admin", "external_id": f"line-{number}"}
            if number % 5 == 4:
                issued = native.issue(Spec("storage"), secrets.token_bytes(native.entropy_bytes))
                text, key_id, target = issued.secret.reveal(), issued.id, _STORAGE
                line |= {"kind": native.name, "secret": text, "services": ["storage"]}
            else:
                text, target = f"ak_live_{secrets.token_hex(_FOREIGN_BYTES)}", _ACME
                key_id = foreign.of_text(text).credential_id
                line |= {"kind": foreign.name, "scopes": ["acme:read"]}
                hashed = {"hash": hashlib.sha256(text.encode()).hexdigest()}
                line |= hashed if number % 2 else {"secret": text}
            written.ids.append(key_id)
            if number in asked:
                written.right.append(question(text, target))
                written.wrong.append(question(_other(text), target))
            out.write(json.dumps(line) + "\n")
    return written


def _other(text: str) -> str:
    """Return a key that is as well formed and has another secret; of ours, with the same id."""
    if text.startswith("ak_live_"):
        return f"ak_live_{secrets.token_hex(_FOREIGN_BYTES)}"
    body = text[: -(RANDOM_LENGTH + CHECKSUM_LENGTH)] + secrets.token_hex(RANDOM_LENGTH // 2)
    return body + checksum(body)


def _imported(server: Server, file: Path, load: _Load, *, kill_at: int | None = None) -> _Run:
    """Run the import, to its end or until so many keys are in; says what it used."""
    options = ["--format", "jsonl", "--config", str(server.config), "--json"]
    database = server.folder / "latchgate.db"
    ((head,),) = raw_rows(database, _HEAD)
    done, begun = _Run(), time.monotonic()
    with subprocess.Popen(
        [*LATCHGATE, "import", str(file), *options],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            while process.poll() is None:
                done.peak = max(done.peak, peak_rss(process.pid))
                load.threads.check()
                if kill_at is not None and raw_rows(database, _HEAD)[0][0] - head >= kill_at:
                    break
                time.sleep(_LOOK_SECONDS)
            ended = process.poll()
        finally:
            process.kill()
        out = process.communicate()[0].decode()
    done.seconds = time.monotonic() - begun
    if kill_at is not None:
        require(ended is None, f"the import ended before it could be killed: {out}")
    else:
        require(ended == 0, f"the import ended with {ended}: {out}")
        done.out = json.loads(out)
    return done


def _require_whole(database: Path, written: _Written, there: int, second: _Run) -> None:
    """Look every line up: it is in once, under its id, and the journal says so once."""
    keys, told = len(written.ids), second.out
    said = (told["skipped"], told["imported"], told["failed"])
    require(said == (there, keys - there, 0), f"the second run says {told}")
    seen = bytearray(keys)
    for key_id, external_id in _each(database, _ROWS):
        number = int(external_id.removeprefix("line-"))
        require(written.ids[number] == key_id, f"line {number} is under another id")
        require(not seen[number], f"line {number} is in twice")
        seen[number] = 1
    require(all(seen), f"line {seen.find(0)} is not in, of {seen.count(0)}")
    (noted,) = raw_rows(database, _NOTED)
    require(noted == (keys, keys), f"the journal has {noted[0]} imports of {noted[1]} keys")


def _each(database: Path, statement: str) -> Iterator[tuple[Any, ...]]:
    connection = driver.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        yield from connection.execute(statement)
    finally:
        connection.close()


def _require_doors(server: Server, written: _Written) -> None:
    with Gateway(server) as gateway:
        for asked in written.right:
            said = gateway.ask(asked)
            require(said.allowed, f"an imported key was answered {said.status}")
        for asked in written.wrong:
            said = gateway.ask(asked)
            require(said.status in {401, 403}, f"a wrong key was answered {said.status}")


STEP = Step("import", run, keys=1_000_000)
