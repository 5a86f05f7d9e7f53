"""The files of the access log: their names, which there are, and which of them go.

Rule of this file: whoever writes a file holds a shared lock on it for as long as they do, and a
file goes only under an exclusive one: none is taken away from under its writer.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DAY = 86_400
_NAME = re.compile(r"access-([0-9]{8})-([0-9]{1,10})(?:-([0-9]{1,9}))?\.jsonl")


@dataclass(frozen=True, slots=True, order=True)
class AccessFile:
    """One file: the day (days since 1970, UTC) of its lines, who wrote it, its number, its size."""

    day: int
    number: int
    process: int
    path: Path
    size: int


def name_of(day: int, process: int, number: int) -> str:
    """Return the name of a process's file of a day; its first has no number."""
    more = f"-{number}" if number else ""
    return f"access-{datetime.fromtimestamp(day * DAY, UTC):%Y%m%d}-{process}{more}.jsonl"


def listed(directory: Path) -> list[AccessFile]:
    """Return the files of a folder, oldest first; none where there is no such folder."""
    found: list[AccessFile] = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            named = _NAME.fullmatch(entry.name)
            if named is None or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(ValueError, FileNotFoundError):  # no such day; gone meanwhile
                began = datetime.strptime(named[1], "%Y%m%d").replace(tzinfo=UTC)
                size = entry.stat(follow_symlinks=False).st_size
                day, number = int(began.timestamp()) // DAY, int(named[3] or 0)
                found.append(AccessFile(day, number, int(named[2]), Path(entry.path), size))
    return sorted(found)


def open_to_append(path: Path) -> int:
    """Open or make a file (mode 0600) that stays as long as it is open; OSError when it can't."""
    while True:
        told = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        opened = os.open(path, told, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_SH)
        except BaseException:
            os.close(opened)
            raise
        if os.fstat(opened).st_nlink:
            return opened
        os.close(opened)  # it went between the two steps


def trim(directory: Path, *, days: int, max_bytes: int, now: float) -> None:
    """Delete files past their days, and the oldest while all together are too large.

    A file that somebody writes to stays. OSError when the folder can't be read or changed.
    """
    held = listed(directory)
    total = sum(one.size for one in held)
    for one in held:
        old = (one.day + 1) * DAY <= now - days * DAY
        if (old or total > max_bytes) and _deleted(one.path):
            total -= one.size


def _deleted(path: Path) -> bool:
    with _opened(path) as opened:
        if opened is None:
            return True
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink(missing_ok=True)
        return True


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        yield None
        return
    try:
        yield opened
    finally:
        os.close(opened)
