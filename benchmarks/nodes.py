"""What many nodes over one PostgreSQL cost: revocation to receipt, decisions, cold credentials.

    python benchmarks/nodes.py [--revocations 200] [--rounds 15] [--credentials 100000] [--write]

A PostgreSQL that flushes to disk, with a synchronous standby, both on this machine, and three real
`latchgate serve` before it: revocations through the management API, each with its receipt; the same
by way of PgBouncer in transaction mode; then with one node suspended. Decisions are timed in one
process on one core, an engine over PostgreSQL and one over SQLite in turn, as are engines over few
credentials and over many. `--credentials 10000000` is the issue's own size: its rows take about
ten minutes and 8 GB. Prints what it measured with machine, date and commit; `--write` adds it to
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).absolute().parent.parent))

import psycopg
from benchmarks import results
from benchmarks.machine import REFERENCE_SHA256_US, calibrate, facts
from tests.e2e.stack import Latchgate
from tests.pgbouncer import PgBouncer
from tests.postgres import Postgres as Server
from tests.postgres import shared
from tests.postgres_world import Databases
from tests.world import FILES, MadeKey, World, asking, compiled

from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.kinds.spec import Spec
from latchgate.core.location import Postgres
from latchgate.core.model import Decision, Request
from latchgate.signin.jwks import fetch
from latchgate.store import schema
from latchgate.store.postgres_feed import PostgresFeed, Standing
from latchgate.store.source import Source
from latchgate.verify.engine import Engine
from latchgate.verify.lease_engine import Lease, LeaseEngine

WANTED_MEDIAN_MS, WANTED_P99_MS, WANTED_POOLED_MS = 60.0, 350.0, 200.0
LEASE, CUT_OFF_MARGIN = 2.0, 0.5
WITHIN, MANY_WITHIN = 0.05, 0.10
WORKING_SET = 50_000
FEW = 1_000
_CUT_OFF_TIMES = 5
_COLD = 200
_DECISIONS = 20_000
_AT_ONCE = 500_000


class Took(NamedTuple):
    """Milliseconds that receipts say, and that the whole calls took."""

    receipts: list[float]
    calls: list[float]


class Caller:
    """The management API of one node, on one connection."""

    def __init__(self, node: Latchgate) -> None:
        self._connection = http.client.HTTPConnection(*node.api, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {node.token}",
            "Content-Type": "application/json",
        }

    def call(self, method: str, path: str, sent: object = None) -> dict[str, object]:
        """Ask, and return the JSON of what must be a success."""
        body = json.dumps(sent) if sent is not None else None
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        told: dict[str, object] = json.loads(answer.read())
        assert answer.status < 300, told
        return told

    def key(self) -> object:
        """Make a key and return its id."""
        return self.call("POST", "/manage/v1/keys", {"name": "b", "services": ["storage"]})["id"]


def revocations(node: Latchgate, count: int) -> Took:
    """Revoke keys one after the other."""
    caller, took = Caller(node), Took([], [])
    for _ in range(count):
        key = caller.key()
        begun = time.perf_counter()
        told = caller.call("DELETE", f"/manage/v1/keys/{key}")
        took.calls.append((time.perf_counter() - begun) * 1_000)
        receipt = told["receipt"]
        assert isinstance(receipt, dict)
        took.receipts.append(receipt["elapsed_ms"])
    return took


@contextlib.contextmanager
def nodes(folder: Path, first: str, all_by: str) -> Iterator[list[Latchgate]]:
    """Run three nodes that reach one database, initialised by the URI `first`, by another."""
    made = Latchgate(folder / "first", database=first)
    running = [made.another(folder / f"n{n}", f"node{n}", all_by) for n in range(3)]
    with contextlib.ExitStack() as ending:
        for one in running:
            ending.callback(one.stop)
            one.serve(workers=1)
        yield running


@contextlib.contextmanager
def durable(server: Server) -> Iterator[None]:
    """Have a server flush its commits, and wait for a standby to have done so too."""
    server.configure(fsync="on")
    standby = server.standby("standby")
    with standby:
        server.configure(synchronous_standby_names="standby")
        yield
        server.configure(synchronous_standby_names="")


def receipts(server: Server, folder: Path, count: int) -> tuple[Took, Took, list[float]]:
    """Measure revocations: directly, by way of a pooler, and with one of three nodes suspended."""
    with durable(server), PgBouncer(server, size=20) as pooler:
        with server.database() as database, nodes(folder / "a", database.uri, database.uri) as up:
            revocations(up[0], 20)  # what begins slowly
            direct = revocations(up[0], count)
            os.kill(up[2].pid, signal.SIGSTOP)
            try:
                alone = revocations(up[0], 1).receipts  # others would meet it being removed
            finally:
                os.kill(up[2].pid, signal.SIGCONT)
            for _ in range(_CUT_OFF_TIMES - 1):
                time.sleep(3 * LEASE)
                os.kill(up[2].pid, signal.SIGSTOP)
                try:
                    alone += revocations(up[0], 1).receipts
                finally:
                    os.kill(up[2].pid, signal.SIGCONT)
        with server.database() as database:
            by = pooler.uri(database.name)
            with nodes(folder / "b", database.uri, by) as up:
                revocations(up[0], 20)
                pooled = revocations(up[0], count)
    return direct, pooled, alone


class Counted:
    """Stands before a source and counts its reads: each is one round trip."""

    def __init__(self, feed: Source) -> None:
        self._read, self.reads = feed.read, 0
        feed.read = self  # type: ignore[method-assign,assignment] # counted where it is asked

    def __call__(self, keys: Sequence[tuple[object, str]]) -> object:
        """Read."""
        self.reads += 1
        return self._read(keys)  # type: ignore[arg-type] # as given


def lease_engine(world: World) -> tuple[LeaseEngine, PostgresFeed]:
    """Return an engine over the PostgreSQL database of a world."""
    assert isinstance(world.database, Postgres)
    feed = PostgresFeed(world.database, Standing("here", 1, "0", 60.0, stale=False), limit=30.0)
    engine = LeaseEngine(
        Lease(feed, 60.0),
        clock=time.time,
        ticks=time.monotonic,
        entropy=secrets.token_bytes,
        compile_policy=compiled,
        passwords=world.passwords(),
        assertions=world.assertions(fetch),
        on_decision=lambda *_: None,
    )
    return engine, feed


def turns(engine: Engine, requests: Sequence[Request]) -> float:
    """Return decisions a second of CPU time of this thread."""
    begun = time.thread_time()
    for request in requests:
        engine.attempt(request)
    return len(requests) / (time.thread_time() - begun)


def compared(
    first: tuple[Engine, Sequence[Request]],
    second: tuple[Engine, Sequence[Request]],
    rounds: int,
) -> tuple[list[float], list[float]]:
    """Decide in turn by two engines; returns the rates of each."""
    rates: tuple[list[float], list[float]] = ([], [])
    for at in range(rounds):
        order = (0, 1) if at % 2 else (1, 0)
        for which in order:
            rates[which].append(turns(*(first, second)[which]))
    return rates


def warm(engine: Engine, requests: Sequence[Request]) -> None:
    """Have everything remembered."""
    for request in requests:
        decision = engine.decide(request)
        assert decision.allowed, decision.reason


def copies(world: World, like: MadeKey, count: int) -> list[MadeKey]:
    """Make keys as rows, without journal: what decisions read is there, and it takes seconds."""
    columns = [column.name for column in schema.credential.c]
    told = ", ".join("n.id" if name == "id" else "n.digest" if name == "digest" else f"c.{name}"
                     for name in columns)  # fmt: skip
    statement = (
        f"INSERT INTO credential ({', '.join(columns)}) SELECT {told} FROM credential c,"  # noqa: S608 - columns of our own
        " unnest(%s::text[], %s::bytea[]) AS n(id, digest) WHERE c.id = %s"
    )
    policy = compiled(FILES, 1)
    kind = policy.issued(f"{policy.services['storage'].provider}.service_key")
    made = [kind.issue(Spec(service="storage"), secrets.token_bytes(ENTROPY_BYTES))
            for _ in range(count)]  # fmt: skip
    assert isinstance(world.database, Postgres)
    with psycopg.connect(world.database.uri.reveal()) as connection:
        ids, digests = [one.id for one in made], [one.digest for one in made]
        connection.execute(statement.encode(), (ids, digests, like.id))
    return [MadeKey(one.id, one.secret.reveal(), like.owner) for one in made]


def fill(world: World, like: MadeKey, count: int) -> float:
    """Add rows that nobody asks for; returns bytes of the table and its indices per row."""
    assert isinstance(world.database, Postgres)
    columns = [column.name for column in schema.credential.c]
    told = ", ".join(
        "'z' || g"
        if name == "id"
        else "sha256(g::text::bytea)"
        if name == "digest"
        else f"c.{name}"
        for name in columns
    )
    with psycopg.connect(world.database.uri.reveal(), autocommit=True) as connection:
        for begin in range(0, count, _AT_ONCE):
            end = min(count, begin + _AT_ONCE)
            connection.execute(
                f"INSERT INTO credential ({', '.join(columns)}) SELECT {told} FROM credential c,"  # noqa: S608 - columns of our own
                f" generate_series({begin + 1}, {end}) AS g WHERE c.id = '{like.id}'".encode()
            )
        connection.execute("ANALYZE credential")
        row = connection.execute(
            "SELECT pg_total_relation_size('credential')::float8 / count(*) FROM credential"
        ).fetchone()
    assert row is not None
    return float(row[0])


def emptied(world: World) -> None:
    """Throw all credentials away at once: row by row it takes minutes."""
    assert isinstance(world.database, Postgres)
    with psycopg.connect(world.database.uri.reveal(), autocommit=True) as connection:
        connection.execute("TRUNCATE credential CASCADE")


async def cold(engine: LeaseEngine, requests: Sequence[Request]) -> tuple[list[float], float]:
    """Decide what nobody remembers; returns milliseconds of each, and the loop's longest gap."""
    gaps: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gaps.append((now - last) * 1_000)
            last = now

    ticking = asyncio.create_task(tick())
    took = []
    for request in requests:
        begun = time.perf_counter()
        found = engine.attempt(request)
        if not isinstance(found, Decision):
            found = await engine.decide_later(request, found)
        took.append((time.perf_counter() - begun) * 1_000)
        assert found.allowed, found.reason
    ticking.cancel()
    return took, max(gaps)


class Decisions(NamedTuple):
    """What deciding costs: rates in turn, cold reads, and bytes a stored credential takes."""

    postgres: list[float]
    sqlite: list[float]
    few: list[float]
    many: list[float]
    round_trips: float
    cold_ms: list[float]
    gap_ms: float
    row_bytes: float


def decisions(server: Server, folder: Path, rounds: int, credentials: int) -> Decisions:
    """Measure decisions in this process."""
    databases, draw = Databases(server), random.Random(1)
    with contextlib.ExitStack() as ending:

        def world(name: str, *, there: bool) -> World:
            made = World(folder / name, databases=databases if there else None)
            ending.callback(made.close)
            return made

        def engine(over: World) -> tuple[LeaseEngine, PostgresFeed]:
            made, feed = lease_engine(over)
            ending.callback(made.close)
            return made, feed

        file, few, many = (
            world(name, there=name != "sqlite") for name in ("sqlite", "few", "many")
        )
        beside, over_few = file.engine(), engine(few)[0]
        at_file = [asking(file.key(owner=file.owner)) for _ in range(100)]
        kept = copies(few, few.key(owner=few.owner), FEW)
        at_few = [asking(one) for one in kept]
        warm(beside, at_file)
        warm(over_few, at_few)
        hundred = [draw.choice(at_file) for _ in range(_DECISIONS)]
        same = [draw.choice(at_few[:100]) for _ in range(_DECISIONS)]
        postgres, sqlite = compared((over_few, same), (beside, hundred), rounds)
        like = many.key(owner=many.owner)
        used = copies(many, like, min(WORKING_SET, credentials))
        row_bytes = fill(many, like, max(0, credentials - len(used)))
        over_many, _ = engine(many)
        at_many = [asking(one) for one in used]
        warm(over_many, at_many)
        few_rate, many_rate = compared(
            (over_few, [draw.choice(at_few) for _ in range(_DECISIONS)]),
            (over_many, [draw.choice(at_many) for _ in range(_DECISIONS)]),
            rounds,
        )
        counted_engine, feed = engine(many)
        counted = Counted(feed)
        some = [asking(one) for one in draw.sample(used, _COLD)]
        took, gap = asyncio.run(cold(counted_engine, some))
        emptied(many)
        return Decisions(
            postgres, sqlite, few_rate, many_rate, counted.reads / _COLD, took, gap, row_bytes
        )


def ratio(of: Sequence[float], to: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of the rounds' ratios, and their quartiles."""
    found = sorted(one / other for one, other in zip(of, to, strict=True))
    quarter = statistics.quantiles(found, n=4)
    return statistics.median(found), quarter[0], quarter[2]


def _figure(name: str, wanted: str, measured: str, *, reached: bool) -> str:
    return (
        f"- figure: {name}: wanted {wanted}, measured {measured},"
        f" {'reached' if reached else 'MISSED'}"
    )


def _p99(of: Sequence[float]) -> float:
    return statistics.quantiles(of, n=100)[98]


def report(count: int, rounds: int, credentials: int) -> Iterator[str]:
    """Measure, and tell it as Markdown."""
    busy, about, sha256 = os.getloadavg()[0], facts(beside={}), calibrate()["sha256_us"]
    with tempfile.TemporaryDirectory() as name, shared(Path(name)) as server:
        folder = Path(name)
        version = server.execute(_VERSION)[0][0]
        made = decisions(server, folder, rounds, credentials)
        direct, pooled, alone = receipts(server, folder, count)
    yield f"## Nodes, {about.pop('date')}\n"
    yield from (f"- {what}: {value}" for what, value in about.items())
    yield f"- beside: PostgreSQL {version}, fsync on, one synchronous standby, all on this machine"
    yield f"- calibration: SHA-256 of 64 bytes takes {sha256:.3f} µs ({REFERENCE_SHA256_US} there)"
    yield f"- others: {busy:.1f} processes wanted a core in the minute before"
    yield (
        f"\n    python benchmarks/nodes.py --revocations {count} --rounds {rounds}"
        f" --credentials {credentials}\n"
    )
    median, worst = statistics.median(direct.receipts), _p99(direct.receipts)
    three = "revoke to receipt on three healthy nodes"
    yield _figure(f"{three}, median", f"≤ {WANTED_MEDIAN_MS:g} ms", f"{median:.1f} ms",
                  reached=median <= WANTED_MEDIAN_MS)  # fmt: skip
    yield _figure(f"{three}, p99", f"≤ {WANTED_P99_MS:g} ms", f"{worst:.1f} ms",
                  reached=worst <= WANTED_P99_MS)  # fmt: skip
    by = statistics.median(pooled.receipts)
    yield _figure(f"{three}, by way of PgBouncer without LISTEN, median",
                  f"≤ {WANTED_POOLED_MS:g} ms", f"{by:.1f} ms",
                  reached=by <= WANTED_POOLED_MS)  # fmt: skip
    longest, limit = max(alone) / 1_000, LEASE + CUT_OFF_MARGIN
    # The protocol's own wait is 1.25 leases, which is that limit: what a machine adds is above it.
    yield _figure(f"with one of three nodes suspended, the longest of {len(alone)}",
                  f"≤ {limit:g} s", f"{longest:.3f} s", reached=longest <= limit)  # fmt: skip
    rate, low, high = ratio(made.postgres, made.sqlite)
    yield _figure("warm decisions over PostgreSQL to those over SQLite", f"≥ {1 - WITHIN:g}",
                  f"{rate:.3f} ({low:.3f} to {high:.3f})", reached=rate >= 1 - WITHIN)  # fmt: skip
    rate, low, high = ratio(made.many, made.few)
    yield _figure(
        f"{credentials:,} stored with a working set of {min(WORKING_SET, credentials):,}"
        f" to {FEW:,} stored",
        f"≥ {1 - MANY_WITHIN:g}",
        f"{rate:.3f} ({low:.3f} to {high:.3f})",
        reached=rate >= 1 - MANY_WITHIN,
    )
    yield _figure("round trips of a cold credential", "1", f"{made.round_trips:.2f}",
                  reached=made.round_trips == 1)  # fmt: skip
    calls = statistics.median(direct.calls)
    yield f"\n- the whole call of a revocation, median: {calls:.1f} ms"
    yield f"- decisions a second, in memory, medians: {statistics.median(made.postgres):,.0f}"
    yield (
        f"- a cold credential, median: {statistics.median(made.cold_ms):.2f} ms,"
        f" p99 {_p99(made.cold_ms):.2f} ms; the event loop's longest gap meanwhile:"
        f" {made.gap_ms:.1f} ms"
    )
    yield f"- a stored credential takes {made.row_bytes:,.0f} bytes with its indices"


_VERSION = psycopg.sql.SQL("SHOW server_version")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--revocations", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--credentials", type=int, default=100_000)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    text = "\n".join(report(told.revocations, told.rounds, told.credentials))
    print(text)
    if told.write:
        results.write(text)


if __name__ == "__main__":
    main()
