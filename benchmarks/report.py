"""Figures in words: tables, what was wanted and what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from benchmarks import judgement, profiled
from benchmarks.judgement import NGINX, OURS, figure, spread
from benchmarks.load import CONNECTIONS, Round
from benchmarks.machine import REFERENCE_SHA256_US, Memory
from benchmarks.peers import CREDENTIALS, TOKENS
from benchmarks.picture import drawn
from benchmarks.tokens import Round as Peer

WANTED_DECISION_US = 10.0
WANTED_START_SECONDS = 1.5
WANTED_MEMORY_MIB = 90.0
DISTURBED = 0.05

_SECTION = """\
## {date}, commit {commit}

{about}

    {command}

{figures}

### The verify door on one core

{keys} keys in random order, {connections} kept connections, wrk on the other core; {rounds} rounds
of {seconds} s each, one server after the other. CPU is µs a request as the kernel counts the
process; medians, with the lowest and highest round.

{servers}

Where latchgate's CPU goes, in µs a request. A stage alone is run in process with the same
questions, its least of many rounds:

{parts}

CPU of latchgate over all its rounds, those of the other questions below included, and the pauses
between them, in which it writes what it noted: {whole_run} µs a request.

### One connection

The same questions one after the other, medians of the rounds' own p50 and p99.

{single}

### Beside others

Programs that answer whether a credential stands, each on the same core in the same rounds; the
verify door with {keys} keys, those that keep API keys with {credentials}, the others with {tokens}
tokens.

{peers}

### Behind nginx

nginx with deploy/nginx's own files before a constant 204 over TCP, with and without the question,
which goes over a unix socket; nothing is remembered by nginx. Both programs are on one core, in the
last row with Latchgate started by `chrt --batch 0` (docs/howto/nginx.md). CPU of all processes that
take part.

{gateway}

### Areas

The same questions with a policy of so many areas (and Latchgate's own), 1,000 keys.

{areas}

### Other questions to the same server

{others}

### In process

One decision timed by itself, every key in random order; the CPU is that of the whole process, its
writer of usage included.

{in_process}

### Start and memory

From starting `latchgate serve` on the existing database to the first accepted key, {starts} starts:
{start} s.

{memory}
"""


@dataclass(frozen=True, slots=True)
class Results:
    """Everything one run measured."""

    arguments: dict[str, int]
    rounds: dict[str, list[Round]]
    whole_run_cpu: float
    stages: dict[str, float]
    cold: list[Round]
    others: dict[str, list[Round]]
    refused: list[str]  # the names of those that are refusals
    single: dict[str, list[Round]]
    gateway: dict[str, list[Round]]
    areas: dict[str, list[Round]]
    peers: dict[str, list[Peer]]
    absent: dict[str, str]
    in_process: dict[str, dict[str, float]]
    calibration: dict[str, float]
    starts: list[float]
    memory: dict[str, Memory]


def text(about: dict[str, str], results: Results) -> str:
    """Return one run's section, as Markdown."""
    return _SECTION.format(
        date=about["date"],
        commit=about["commit"],
        command=about["command"],
        about="\n".join(_about(about, results)),
        figures="\n".join(_figures(results)),
        connections=CONNECTIONS,
        **results.arguments,
        servers=_table(
            "server | requests/s | CPU | user | kernel | threads but the first"
            " | core: its own | core: others | p50 ms | nginx's CPU ÷ its own",
            (_row(results, name) for name in results.rounds),
        ),
        parts=_table("part | CPU | share | measured", _part_rows(results)),
        single=_table(
            "server | requests/s | p50 µs | p99 µs | CPU",
            (_row_of_one(name, rounds) for name, rounds in results.single.items()),
        ),
        peers=_table(
            "program | requests/s | CPU | so on a core of its own | its CPU ÷ the verify door's",
            _peer_rows(results),
        ),
        tokens=TOKENS,
        credentials=f"{CREDENTIALS:,}",
        gateway=_table(
            "nginx | requests/s | CPU | p50 ms | of it nginx's | of it Latchgate's",
            (_gateway_row(name, rounds) for name, rounds in results.gateway.items()),
        ),
        areas=_table(
            "policy | requests/s | CPU | p50 ms",
            (_short_row(name, rounds) for name, rounds in results.areas.items()),
        ),
        whole_run=f"{results.whole_run_cpu:.2f}",
        others=_table(
            "question | requests/s | CPU | user | kernel | threads but the first | CPU ÷ accepted",
            _other_rows(results),
        ),
        in_process=_table(
            "call | median µs | p99 µs | CPU µs",
            (
                f"{name} | {one['median']:.2f} | {one['p99']:.2f} | {one['cpu']:.2f}"
                for name, one in results.in_process.items()
            ),
        ),
        starts=len(results.starts),
        start=spread(results.starts, ".2f"),
        memory=_table(
            "memory of the server | RSS MiB | PSS MiB",
            (f"{name} | {one.rss:.1f} | {one.pss:.1f}" for name, one in results.memory.items()),
        ),
    )


def _about(about: dict[str, str], results: Results) -> Iterator[str]:
    for name, value in about.items():
        if name not in {"date", "commit", "command"}:
            yield f"- {name}: {value}"
    yield (
        f"- calibration: SHA-256 of 64 bytes takes {results.calibration['sha256_us']:.3f} µs"
        f" ({REFERENCE_SHA256_US} on the machine that the wanted figures were set on),"
        f" a turn of a small Python loop {results.calibration['python_ns']:.0f} ns"
    )
    others = _median([one for rounds in results.rounds.values() for one in rounds], _disturbed)
    if others >= DISTURBED:
        yield f"- not quiet: other programs used {others:.0%} of the measured core; run it again"


def _disturbed(one: Round) -> float:
    return one.disturbed


def _figures(results: Results) -> list[str]:
    machine = results.calibration["sha256_us"] / REFERENCE_SHA256_US
    rest = results.memory["at rest"].rss
    start = statistics.median(results.starts)
    lines = [
        *judgement.doors(results.rounds),
        *judgement.peers(results.rounds[OURS], results.peers, _absent_peers(results)),
        *judgement.refusals(results.others, results.refused),
        *judgement.areas(results.areas),
        *judgement.single(results.single),
        *judgement.gateway(results.gateway),
    ]
    for name in ("Verifier.decide", "engine.decide"):
        took = results.in_process[name]["median"]
        lines.append(
            figure(
                f"{name}, median",
                f"≤ {WANTED_DECISION_US:g} µs",
                f"{took:.2f} µs ({took / machine:.2f} at the reference's SHA-256)",
                reached=took <= WANTED_DECISION_US,
            )
        )
    return [
        *lines,
        figure(
            "first verified answer after start, median",
            f"≤ {WANTED_START_SECONDS} s",
            f"{start:.2f} s",
            reached=start <= WANTED_START_SECONDS,
        ),
        figure(
            "server at rest, RSS",
            f"≤ {WANTED_MEMORY_MIB:g} MiB",
            f"{rest:.1f} MiB",
            reached=rest <= WANTED_MEMORY_MIB,
        ),
    ]


def _absent_peers(results: Results) -> dict[str, str]:
    return {name: why for name, why in results.absent.items() if name != judgement.GO}


def _ratios(results: Results, name: str) -> list[float]:
    """Return nginx's CPU through a server's, round by round."""
    return judgement.ratios(results.rounds[NGINX], results.rounds[name])


def picture(about: dict[str, str], results: Results) -> str:
    """Return what a request costs as SVG: the verify door among all that ran beside it."""
    spent = {
        name: statistics.median(one.cpu for one in rounds)
        for name, rounds in (results.rounds | results.peers).items()
        if name != judgement.CONSTANT
    }
    title = f"What one answer costs, {about['date']}, commit {about['commit']}"
    return drawn(title, spent, ours=OURS)


def _row(results: Results, name: str) -> str:
    rounds = results.rounds[name]
    return " | ".join(
        [
            *_measured(name, rounds),
            f"{_median(rounds, lambda one: one.busy):.0%}",
            f"{_median(rounds, _disturbed):.0%}",
            f"{_median(rounds, lambda one: one.p50) / 1_000:.2f}",
            spread(_ratios(results, name), ".3f"),
        ]
    )


def _other_rows(results: Results) -> Iterator[str]:
    base = _median(results.others["accepted"], lambda one: one.cpu)
    first = {"accepted, first use of each key": results.cold} if results.cold else {}
    for name, rounds in (first | results.others).items():
        ratio = _median(rounds, lambda one: one.cpu) / base
        yield " | ".join([*_measured(name, rounds), f"{ratio:.2f}"])


def _measured(name: str, rounds: list[Round]) -> list[str]:
    return [
        name,
        spread([one.per_second for one in rounds], ",.0f"),
        spread([one.cpu for one in rounds], ".2f"),
        f"{_median(rounds, lambda one: one.user):.1f}",
        f"{_median(rounds, lambda one: one.kernel):.1f}",
        f"{_median(rounds, lambda one: one.other_threads):.1f}",
    ]


def _median(rounds: list[Round], part: Callable[[Round], float]) -> float:
    return statistics.median(part(one) for one in rounds)


def _row_of_one(name: str, rounds: list[Round]) -> str:
    parts = [name, spread([one.per_second for one in rounds], ",.0f")]
    parts += [spread([one.p50 for one in rounds], ",.0f")]
    parts += [spread([one.p99 for one in rounds], ",.0f")]
    return " | ".join([*parts, spread([one.cpu for one in rounds], ".2f")])


def _short_row(name: str, rounds: list[Round]) -> str:
    parts = [name, spread([one.per_second for one in rounds], ",.0f")]
    parts += [spread([one.cpu for one in rounds], ".2f")]
    return " | ".join([*parts, f"{_median(rounds, lambda one: one.p50) / 1_000:.2f}"])


def _gateway_row(name: str, rounds: list[Round]) -> str:
    ours = _median(rounds, lambda one: one.beside)
    nginx = _median(rounds, lambda one: one.cpu - one.beside)
    return f"{_short_row(name, rounds)} | {nginx:.2f} | {ours:.2f}"


def _part_rows(results: Results) -> Iterator[str]:
    door, constant = results.rounds[OURS], results.rounds[judgement.CONSTANT]
    total = _median(door, lambda one: one.cpu)
    for one in profiled.parts(door, constant, results.stages):
        yield f"{one.name} | {one.spent:.2f} | {one.spent / total:.0%} | {one.measured}"
    yield f"in all | {total:.2f} | 100% | rounds"


def _peer_rows(results: Results) -> Iterator[str]:
    for name, rounds in results.peers.items():
        cpu = [one.cpu for one in rounds]
        parts = [name, spread([one.per_second for one in rounds], ",.0f"), spread(cpu, ",.1f")]
        parts += [f"{1e6 / statistics.median(cpu):,.0f}"]
        times = judgement.ratios(rounds, results.rounds[OURS])
        yield " | ".join([*parts, spread(times, ".1f")])
    for name, why in results.absent.items():
        yield f"{name} | not measured: {why} | | |"


def _table(head: str, rows: Iterable[str]) -> str:
    bars = "|".join("---" for _ in head.split("|"))
    return "\n".join([f"| {head} |", f"|{bars}|", *(f"| {row} |" for row in rows)])
