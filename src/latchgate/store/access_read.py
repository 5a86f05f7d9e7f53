"""Reading the access log, newest first, in bounded time and bytes.

Rule of this file: lines of several processes are merged by their time; where the bound ends the
search, the answer says down to which time it is whole.
"""

from __future__ import annotations

import heapq
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec

from latchgate.core.timestamp import parse_rfc3339
from latchgate.store.access_files import DAY, AccessFile, listed
from latchgate.store.access_log import moment

MAX_BYTES = 64 << 20
MAX_SECONDS = 3.0
_FIRST_BLOCK, _BLOCK = 8 << 10, 256 << 10
_MAX_LINE = 64 << 10
_AT = slice(7, 31)  # of a line that begins {"at":"2026-11-22T06:20:00.123Z"
_PREFIX = b'{"at":"'
# Threads note out of order by a little, and clocks are set back by a little.
_SLACK_SECONDS = 1.0
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: from `since`, before `until` (Unix seconds), at most `limit` of them.

    `only` maps members of a line to the value that they must have.
    """

    since: float
    until: float
    limit: int
    only: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """Lines, newest first; `reached` is the time that they go back to, None for all there are."""

    lines: list[dict[str, Any]]
    reached: str | None


class _Spent(Exception):  # noqa: N818 - an end, no error
    """No more may be read."""


class _Budget:
    def __init__(self, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._left, self._ends = MAX_BYTES, ticks() + MAX_SECONDS

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0 or self._ticks() > self._ends:
            raise _Spent


class AccessReader:
    """Reads the files of a folder; each call opens what it needs."""

    def __init__(self, directory: Path, *, ticks: Callable[[], float]) -> None:
        self._directory = directory
        self._ticks = ticks

    def find(self, wanted: Wanted) -> Found:
        """Return the newest lines that are wanted; OSError when a file can't be read."""
        needles = [
            b'"%s":%s' % (name.encode(), _encode(value)) for name, value in wanted.only.items()
        ]
        since, until = moment(wanted.since).encode(), moment(wanted.until).encode()
        lines: list[dict[str, Any]] = []
        at = until
        try:
            for at, line in self._merged(wanted, _Budget(self._ticks)):
                if at >= until or at < since or any(needle not in line for needle in needles):
                    continue
                # Lines of one millisecond stay together, so that whoever goes on misses none.
                if len(lines) >= wanted.limit and lines[-1]["at"].encode() != at:
                    return Found(lines, lines[-1]["at"])
                told = _decoded(line)
                if told is not None and all(told.get(n) == v for n, v in wanted.only.items()):
                    lines.append(told)
        except _Spent:
            # Of that millisecond another process may have more: it belongs to the next answer.
            kept = [one for one in lines if one["at"].encode() > at]
            after = moment(parse_rfc3339(min(at, until).decode()) + 0.001)
            return Found(kept, min(after, until.decode()))
        return Found(lines, None)

    def _merged(self, wanted: Wanted, budget: _Budget) -> Iterator[tuple[bytes, bytes]]:
        """Return times and lines, newest first, day by day: no file holds two days."""
        days: dict[int, dict[int, list[AccessFile]]] = defaultdict(lambda: defaultdict(list))
        first, last = int(wanted.since // DAY), int(wanted.until // DAY)
        for file in listed(self._directory):
            if first <= file.day <= last:
                days[file.day][file.process].append(file)
        for day in sorted(days, reverse=True):
            each = [_of_process(files, wanted, budget) for files in days[day].values()]
            yield from heapq.merge(*each, key=lambda one: one[0], reverse=True)


def _of_process(
    files: list[AccessFile], wanted: Wanted, budget: _Budget
) -> Iterator[tuple[bytes, bytes]]:
    """Return what one process wrote in a day, newest first, down to `since`."""
    stop = moment(max(0.0, wanted.since - _SLACK_SECONDS)).encode()
    begin = moment(wanted.until + _SLACK_SECONDS).encode()
    for file in reversed(files):
        with suppress(FileNotFoundError), _opened(file.path) as opened:
            for line in _backwards(opened, _end(opened, begin, budget), budget):
                if not line.startswith(_PREFIX):
                    continue
                at = line[_AT]
                if at < stop:
                    return
                yield at, line


def _opened(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0)


def _end(opened: IO[bytes], begin: bytes, budget: _Budget) -> int:
    """Return an offset that only lines later than `begin` come after, by halving."""
    low, high = 0, opened.seek(0, os.SEEK_END)
    while high - low > 2 * _MAX_LINE:
        middle = (low + high) // 2
        opened.seek(middle)
        budget.spend(_MAX_LINE)
        _, _, rest = opened.read(_MAX_LINE).partition(b"\n" + _PREFIX)
        if not rest:  # no line of ours; whoever reads on passes over it
            break
        if (_PREFIX + rest)[_AT] < begin:
            low = middle
        else:
            high = middle
    return high


def _backwards(opened: IO[bytes], end: int, budget: _Budget) -> Iterator[bytes]:
    """Return the lines before an offset, last first; the one that it cuts may come in part."""
    block, rest = _FIRST_BLOCK, b""
    while end:
        size = min(block, end)
        budget.spend(size)
        end -= size
        opened.seek(end)
        first, *lines = (opened.read(size) + rest).split(b"\n")
        yield from reversed(lines)
        rest = first if len(first) < _MAX_LINE else b""
        block = _BLOCK
    yield rest


def _decoded(line: bytes) -> dict[str, Any] | None:
    try:
        told = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:  # cut off by a crash or a full disk
        return None
    return told
