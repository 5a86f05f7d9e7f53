"""What a verifier costs that remembers many credentials: memory, pauses, floods.

    python benchmarks/remembered.py [--keys 1000000] [--rounds 15] [--write]

A process of its own makes a SQLite database of so many keys, as varied as customers' are: 1,000
owners, five services, networks for one in four, ends for one in ten, names of their own. This
process then decides one request with every key, as a worker does, and reads its own memory before
and after; then decides within working sets of 1,000 and of 50,000, in turn, and floods itself with
unknown keys and with keys that are used once. CPU is that of the deciding thread. Prints what it
measured with machine, date and commit; `--write` adds it to benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

from benchmarks import results
from benchmarks.machine import REFERENCE_SHA256_US, calibrate, facts, memory
from tests.world import FILES, MadeKey, World, asking, compiled, until

from latchgate.core.kinds import IssuedKind
from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import Decision, Key, Request
from latchgate.core.reason import Reason
from latchgate.store import schema
from latchgate.store.sqlite import connect
from latchgate.verify.bell_engine import LEARN_AFTER, BellEngine
from latchgate.verify.cache import Cache
from latchgate.verify.walk import Fetch, Records

WANTED_MIB = 300.0
WORKING_SET, FEW = 50_000, 1_000
WITHIN = 0.10
OWNERS = 1_000
FLOOD = 100_000
_DECISIONS = 20_000
_CHUNK = 20_000
_OTHER = 1 << 40  # numbers of keys that are not in the database
_NETWORKS = json.dumps(["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"])


class Measured(NamedTuple):
    """Figures of one run; memory in MiB, CPU in µs a decision, pauses in ms."""

    before: float
    after: float
    known: int
    known_bytes: int
    learnt_seconds: float
    pauses: list[float]
    few: list[float]
    many: list[float]
    accepted: float
    unknown_before: float
    unknown: float
    read_for_unknown: int
    read_after_floods: int
    derived_after_floods: int
    reads_after_once: int


def _kind() -> IssuedKind:
    policy = compiled(FILES, 1)
    return policy.issued(f"{policy.services['storage'].provider}.service_key")


def issued(kind: IssuedKind, number: int) -> Issued:
    """Return the key of a number, always the same one."""
    drawn = hashlib.shake_128(number.to_bytes(8, "big")).digest(ENTROPY_BYTES)
    return kind.issue(Spec(service="storage"), drawn)


def make(folder: Path, keys: int) -> None:
    """Make the database: rows without journal, as a restored backup is to a worker that starts."""
    world = World(folder)
    like = world.key(networks=["10.0.0.0/8", "192.0.2.0/24"])
    kind = _kind()
    assert isinstance(world.database, Path)
    with closing(connect(world.database, durable=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        who = [(f"u-bench{number:011d}",) for number in range(OWNERS)]
        for table, own in ((schema.user, "id"), (schema.role_assignment, "user_id")):
            columns = [column.name for column in table.c]
            told = ", ".join("?1" if name in {own, "name"} else name for name in columns)
            connection.executemany(
                f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {told} FROM {table.name}"  # noqa: S608 - names of our own
                f" WHERE {own} = '{like.owner.user_id}'",
                who,
            )
        given = {"id": 1, "digest": 2, "name": 3, "owner_id": 4, "networks": 5, "expires_at": 6}
        given |= {"external_id": 7, "environment": 8, "services": 9}
        columns = [column.name for column in schema.credential.c]
        told = ", ".join(f"?{given[name]}" if name in given else name for name in columns)
        statement = (
            f"INSERT INTO credential ({', '.join(columns)}) SELECT {told} FROM credential"  # noqa: S608 - names of our own
            f" WHERE id = '{like.id}'"
        )
        for begin in range(0, keys, _CHUNK):
            numbers = range(begin, min(keys, begin + _CHUNK))
            connection.executemany(statement, [_row(kind, number) for number in numbers])
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
    world.close()


def _row(kind: IssuedKind, number: int) -> tuple[object, ...]:
    made = issued(kind, number)
    services = (
        ["storage", ("llm", "dns", "database")[number % 3]] if number % 5 == 0 else ["storage"]
    )
    return (
        made.id,
        made.digest,
        f"key {number}",
        f"u-bench{number % OWNERS:011d}",
        _NETWORKS if number % 4 == 0 else None,
        time.time() + 7_776_000 + number if number % 10 == 0 else None,
        f"customer-{number}" if number % 5 == 0 else None,
        (None, "dev", "staging", "production")[number % 4],
        json.dumps(services),
    )


class Deciding:
    """An engine over the database, and requests with its keys."""

    def __init__(self, folder: Path) -> None:
        self.world = World.__new__(World)
        self.world.database = folder / "latchgate.db"
        self.world.usage_database = folder / "latchgate-usage.db"
        self.world._databases = None  # noqa: SLF001 - as World.beside does
        self.world._attach(time.time)  # noqa: SLF001 - as World.beside does
        self._kind = _kind()
        engine = self.world.engine()
        assert isinstance(engine, BellEngine)
        self.engine = engine
        self.reads = 0
        read = engine._read  # noqa: SLF001 - counted where it is asked

        def counted(keys: tuple[Key, ...], cache: Cache) -> Records | Fetch:
            self.reads += 1
            return read(keys, cache)

        engine._read = counted  # type: ignore[method-assign] # noqa: SLF001

    def request(self, number: int) -> Request:
        """Return a request with the key of a number."""
        made = issued(self._kind, number)
        return asking(MadeKey(made.id, made.secret.reveal(), self.world.owner))

    def all(self, numbers: Iterable[int], reason: Reason = Reason.ALLOWED) -> None:
        """Decide a request with each key."""
        for number in numbers:
            decision = self.engine.attempt(self.request(number))
            assert isinstance(decision, Decision)
            assert decision.reason is reason, (number, decision.reason)

    def took(self, requests: Sequence[Request]) -> float:
        """Return the µs of CPU of a decision."""
        begun = time.thread_time()
        for request in requests:
            self.engine.attempt(request)
        return (time.thread_time() - begun) / len(requests) * 1e6


def resident() -> float:
    """Return what this process holds, in MiB."""
    gc.collect()
    return memory(os.getpid()).rss


def measure(folder: Path, keys: int, rounds: int) -> Measured:
    """Measure one engine over the database."""
    deciding = Deciding(folder)
    engine = deciding.engine
    deciding.all(range(FEW))
    few = [deciding.request(number) for number in range(FEW)]
    draw = random.Random(1)
    fewer = [draw.choice(few) for _ in range(_DECISIONS)]
    alone = [deciding.took(fewer) for _ in range(rounds)]  # with nothing else remembered
    gc.collect()
    gc.freeze()  # as a worker does once it serves
    before = resident()
    deciding.all(range(keys))
    after = resident()
    pauses = [_paused() for _ in range(5)]
    used = [deciding.request(number) for number in range(min(keys, WORKING_SET))]
    for request in used:
        engine.attempt(request)
    set_of = [draw.choice(used) for _ in range(_DECISIONS)]
    within = [deciding.took(set_of) for _ in range(rounds)]
    accepted = min(within)
    strangers = [deciding.request(_OTHER + number) for number in range(LEARN_AFTER - 1)]
    unknown_before = deciding.took(strangers)
    begun = time.monotonic()
    deciding.all([_OTHER - 1], Reason.CREDENTIAL_UNKNOWN)
    cache = engine._cache  # noqa: SLF001 - measured from inside
    until(lambda: cache.known is not None, seconds=600, what="ids")
    learnt = time.monotonic() - begun
    deciding.reads = 0
    flood = [deciding.request(2 * _OTHER + number) for number in range(_DECISIONS)]
    unknown = min(deciding.took(flood) for _ in range(rounds))
    deciding.reads = 0
    deciding.all(range(3 * _OTHER, 3 * _OTHER + FLOOD), Reason.CREDENTIAL_UNKNOWN)
    read_for = deciding.reads
    deciding.reads = 0
    known_facts = set(cache.facts)
    for request in used:
        engine.attempt(request)
    read_after = deciding.reads
    derived = len(set(cache.facts) - known_facts)
    deciding.reads = 0
    for request in used:  # keys used once each, ten for each that is in use
        engine.attempt(request)
    for number in range(len(used), min(keys, 10 * len(used))):
        engine.attempt(deciding.request(number))
    deciding.reads = 0
    for request in used:
        engine.attempt(request)
    assert cache.known is not None
    return Measured(
        before,
        after,
        len(cache._credentials),  # noqa: SLF001 - measured from inside
        cache.known.__sizeof__(),
        learnt,
        pauses,
        alone,
        within,
        accepted,
        unknown_before,
        unknown,
        read_for,
        read_after,
        derived,
        deciding.reads,
    )


def _paused() -> float:
    begun = time.thread_time()
    gc.collect()
    return (time.thread_time() - begun) * 1_000


def report(keys: int, rounds: int) -> Iterator[str]:
    """Measure, and tell it as Markdown."""
    busy, about, sha256 = os.getloadavg()[0], facts(beside={}), calibrate()["sha256_us"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, __file__, "--make", name, "--keys", str(keys)]
        subprocess.run(command, check=True)
        found = measure(folder, keys, rounds)
    yield f"## Remembered credentials, {about.pop('date')}\n"
    yield from (f"- {what}: {value}" for what, value in about.items())
    yield f"- calibration: SHA-256 of 64 bytes takes {sha256:.3f} µs ({REFERENCE_SHA256_US} there)"
    yield f"- others: {busy:.1f} processes wanted a core in the minute before"
    yield f"\n    python benchmarks/remembered.py --keys {keys} --rounds {rounds}\n"
    grown = found.after - found.before
    kept = found.known >= keys
    yield _figure(f"{found.known:,} remembered credentials", f"≤ {WANTED_MIB:g} MiB",
                  f"{grown:.0f} MiB", reached=kept and grown <= WANTED_MIB)  # fmt: skip
    ratio = min(found.few) / min(found.many)
    yield _figure(f"a working set of {WORKING_SET:,} among {keys:,} to {FEW:,} alone",
                  f"≥ {1 - WITHIN:g}", f"{ratio:.3f}", reached=ratio >= 1 - WITHIN)  # fmt: skip
    yield _figure("an unknown key to an accepted one", "≤ 1",
                  f"{found.unknown / found.accepted:.2f}",
                  reached=found.unknown <= found.accepted)  # fmt: skip
    yield _figure(f"reads for the working set after {FLOOD:,} unknown keys", "0",
                  f"{found.read_after_floods}", reached=not found.read_after_floods)  # fmt: skip
    yield (
        f"\n- CPU of a decision: {FEW:,} keys {min(found.few):.1f} µs, working set"
        f" {found.accepted:.1f} µs; an unknown key {found.unknown:.1f} µs,"
        f" {found.unknown_before:.1f} µs before the ids were known"
    )
    yield (
        f"- ids of all credentials: read in {found.learnt_seconds:.1f} s beside other work,"
        f" {found.known_bytes / keys:.2f} bytes each; of {FLOOD:,} unknown keys"
        f" {found.read_for_unknown:,} took a read; facts made anew after them:"
        f" {found.derived_after_floods}"
    )
    yield (
        f"- reads for the working set after {9 * WORKING_SET:,} other good keys, used once each:"
        f" {found.reads_after_once}"
    )
    yield (
        "- CPU of a whole collection of cycles with all of it remembered:"
        f" {statistics.median(found.pauses):.1f} ms, at most {max(found.pauses):.1f} ms"
    )


def _figure(name: str, wanted: str, measured: str, *, reached: bool) -> str:
    told = "reached" if reached else "MISSED"
    return f"- figure: {name}: wanted {wanted}, measured {measured}, {told}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.make is not None:
        make(told.make, told.keys)
        return
    text = "\n".join(report(told.keys, told.rounds))
    print(text)
    if told.write:
        results.write(text)


if __name__ == "__main__":
    main()
