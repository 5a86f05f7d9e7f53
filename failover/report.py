"""What runs found, as figures, Markdown, JSON and pictures below benchmarks/failover/."""

from __future__ import annotations

import fcntl
import os
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from benchmarks.machine import ROOT
from failover import chart
from failover.records import (
    BIN_SECONDS,
    Action,
    Change,
    Event,
    Outcome,
    Record,
    Verdict,
    Violation,
    judge,
    over_time,
)

FOLDER = ROOT / "benchmarks" / "failover"
_INTRODUCTION = """\
# Failure tests on a real cluster

What `make failover` found: three nodes over PostgreSQL under Patroni, each on a host of its own in
network namespaces of one machine, in use all the time. How it is done and what is judged:
[docs/explanation/failure-tests.md](../../docs/explanation/failure-tests.md).
"""
_LEGEND = (
    "*Kept* are acknowledged creations, revocations and rotations, all of which were there in the",
    "end. *Longest* are the worst of all runs; receipts: median of medians, longest of all. A node",
    "that can't tell answers 503.",
)


class Figures(msgspec.Struct, frozen=True):
    """What one run of one scenario measured; times in seconds.

    `blind` is, for each node, the longest time in which no request to it was decided, and for
    `changes` the longest in which none was acknowledged. `receipts` are the median, the 99th
    percentile and the longest from asking for an end to its receipt.
    """

    scenario: str
    run: int
    seconds: float
    violations: list[str]
    looked_at: dict[str, int]
    outcomes: dict[str, dict[str, int]]
    blind: dict[str, float]
    receipts: tuple[float, float, float] | None
    lapsed: int


class Part(msgspec.Struct, frozen=True):
    """Runs that one process made: from which number on, how many failed, and where it was."""

    first: int
    done: int
    failed: int
    about: dict[str, str]

    @property
    def numbers(self) -> range:
        """The numbers of its runs."""
        return range(self.first, self.first + self.done)


class Stored(msgspec.Struct):
    """What benchmarks/failover/results.json holds; `series` are of each scenario's last run."""

    parts: list[Part] = []
    runs: list[Figures] = []
    bin_seconds: float = BIN_SECONDS
    outcomes: tuple[str, ...] = tuple(which.value for which in Outcome)
    series: dict[str, dict[str, list[str]]] = {}


@dataclass(frozen=True, slots=True)
class Told:
    """One run of one scenario: its figures, how requests went over time, and what was done."""

    figures: Figures
    series: dict[str, list[Counter[Outcome]]]
    events: list[Event]
    begun: float
    violations: list[Violation]


def told(scenario: str, run: int, records: Sequence[Record]) -> Told:
    """Judge the records of one run, and count what they tell."""
    verdict: Verdict = judge(records)
    events = sorted((one for one in records if isinstance(one, Event)), key=lambda one: one.at)
    changes = [one for one in records if isinstance(one, Change)]
    begun = min(one.start for one in changes)
    ended = events[-1].at
    series = over_time(records, begun, ended)
    waited = sorted(one.end - one.start for one in changes if one.done and _ends(one))
    figures = Figures(
        scenario=scenario,
        run=run,
        seconds=round(ended - begun, 1),
        violations=[str(one) for one in verdict.violations],
        looked_at=dict(verdict.looked_at),
        outcomes={
            name: {which.value: n for which, n in sorted(_sum(one).items())}
            for name, one in series.items()
        },
        blind={name: _longest(one) for name, one in series.items()},
        receipts=_spread(waited),
        lapsed=sum(one.lapsed > 0 for one in changes),
    )
    return Told(figures, series, events, begun, verdict.violations)


def words(figures: Figures) -> str:
    """Return one line about one run."""
    looked = figures.looked_at
    blind = ", ".join(f"{name} {seconds:.1f}" for name, seconds in figures.blind.items())
    return (
        f"{figures.scenario} (run {figures.run}, {figures.seconds:.0f} s):"
        f" {looked.get('requests', 0):,} requests,"
        f" {looked.get('requests after a receipt', 0):,} after a receipt;"
        f" {looked.get('creations', 0)} creations, {looked.get('revokes', 0)} revocations,"
        f" {looked.get('rotates', 0)} rotations kept; longest without a decision (s): {blind};"
        f" receipts {_receipts(figures)};"
        f" {len(figures.violations) or 'no'} violations"
    )


def write(
    part: Part, scenarios: Mapping[str, str], runs: Sequence[Told], *, anew: bool = False
) -> None:
    """Write what a part has found so far: report, figures, each scenario's picture.

    It takes the place of what was written of the same part, beside the others, or with `anew` of
    everything. Programs that run at once may write at once.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _alone():
        stored = Stored() if anew else read()
        last = {one.figures.scenario: one for one in runs}
        for name, one in last.items():
            picture = chart.drawn(f"{name}: {scenarios[name]}", one.series, one.events, one.begun)
            (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
            stored.series[name] = _counts(one)
        others = [one for one in stored.parts if one.first != part.first]
        stored.parts = sorted([*others, part], key=lambda one: one.first)
        found = {(one.run, one.scenario): one for one in stored.runs}
        found |= {(one.figures.run, one.figures.scenario): one.figures for one in runs}
        stored.runs = [found[which] for which in sorted(found)]
        _write_json(_results(), stored)
        report = _markdown(stored.parts, scenarios, stored.runs)
        (FOLDER / "README.md").write_text(report, encoding="utf-8")


def read() -> Stored:
    """Return what is written; nothing where nothing is."""
    try:
        return msgspec.json.decode(_results().read_bytes(), type=Stored)
    except FileNotFoundError:
        return Stored()


def _results() -> Path:
    return FOLDER / "results.json"


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other programs from writing until the block ends."""
    held = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _markdown(parts: Sequence[Part], scenarios: Mapping[str, str], runs: Sequence[Figures]) -> str:
    lines = [_INTRODUCTION, *_parts(parts), ""]
    head = "scenario | runs | requests | after a receipt | kept | violations"
    head += " | longest without a decision, s | … without a change, s | receipts, s"
    lines += [f"| {head} |", f"|{'|'.join('---' for _ in head.split('|'))}|"]
    for name in scenarios:
        if of_it := [one for one in runs if one.scenario == name]:
            lines.append(f"| {' | '.join(_row(name, of_it))} |")
    lines += ["", *_LEGEND, ""]
    for name, what in scenarios.items():
        if any(one.scenario == name for one in runs):
            lines += [f"## {name}", "", f"{what[0].upper()}{what[1:]}.", "", f"![]({name}.svg)", ""]
    return "\n".join(lines)


def _parts(parts: Sequence[Part]) -> Iterator[str]:
    """Word what is true of all parts once, and then what each was."""
    same = dict(set.intersection(*(set(part.about.items()) for part in parts)))
    yield from (f"- {name}: {same[name]}" for name in parts[0].about if name in same)
    yield ""
    for part in parts:
        first, last = part.numbers[0], part.numbers[-1]
        which = f"run {first}" if first == last else f"runs {first} to {last}"
        own = [f"{name} {value}" for name, value in part.about.items() if name not in same]
        yield f"- {which}: {part.failed} failed; {', '.join(own)}"


def _row(name: str, runs: Sequence[Figures]) -> list[str]:
    def total(what: str) -> int:
        return sum(one.looked_at.get(what, 0) for one in runs)

    blind: dict[str, float] = {}
    for one in runs:
        for node, seconds in one.blind.items():
            blind[node] = max(seconds, blind.get(node, 0.0))
    changes = blind.pop("changes", 0.0)
    spread = [one.receipts for one in runs if one.receipts is not None]
    receipts = "none"
    if spread:
        median = statistics.median(one[0] for one in spread)
        receipts = f"{median:.2f}, longest {max(one[2] for one in spread):.1f}"
    kept = sum(total(what) for what in ("creations", "revokes", "rotates"))
    return [
        f"[{name}](#{name})",
        str(len(runs)),
        f"{total('requests'):,}",
        f"{total('requests after a receipt'):,}",
        f"{kept:,}",
        str(sum(len(one.violations) for one in runs)),
        ", ".join(f"{node} {seconds:.1f}" for node, seconds in blind.items()),
        f"{changes:.1f}",
        receipts,
    ]


def _receipts(figures: Figures) -> str:
    if figures.receipts is None:
        return "none"
    median, most, longest = figures.receipts
    return f"median {median:.2f} s, 99 % {most:.2f}, longest {longest:.1f}, {figures.lapsed} lapsed"


def _ends(change: Change) -> bool:
    return change.action is not Action.CREATE


def _spread(ordered: Sequence[float]) -> tuple[float, float, float] | None:
    if not ordered:
        return None
    at = (len(ordered) // 2, min(len(ordered) - 1, int(len(ordered) * 0.99)), len(ordered) - 1)
    median, most, longest = (round(ordered[one], 3) for one in at)
    return median, most, longest


def _longest(counts: Iterable[Counter[Outcome]]) -> float:
    """Return the longest time in which requests started and none of them was decided."""
    longest = current = 0
    for one in counts:
        if one[Outcome.DECIDED]:
            current = 0
        else:
            current += 1  # bins without any lie between those that failed, or are quiet
            longest = max(longest, current)
    return round(longest * BIN_SECONDS, 1)


def _sum(counts: Iterable[Counter[Outcome]]) -> Counter[Outcome]:
    return sum(counts, Counter[Outcome]())


def _counts(one: Told) -> dict[str, list[str]]:
    """Return the counts of each bin in the order of `Outcome`, as short text."""
    return {
        name: [" ".join(str(found[which]) for which in Outcome) for found in counts]
        for name, counts in one.series.items()
    }


def _write_json(file: Path, value: object) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
