"""The journal in files, one segment after the other, each with a signed head beside it.

Rule of this file: a name stands in the folder only when its file is whole and on the disk, and the
folder itself says where to go on, so that a crash repeats a segment and never skips a row. Nothing
is ever written over; what doesn't fit the journal any more is told, not mended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import sqlalchemy as sa

from latchgate.core.timestamp import parse_rfc3339
from latchgate.keyring import master
from latchgate.keyring.signing import Purpose, unseal
from latchgate.manage import signing_keys
from latchgate.manage.audit import Head, signed_head, spelled
from latchgate.manage.chain import HeadError, parse_head
from latchgate.store import schema
from latchgate.store.journal import GENESIS, Store

SEGMENT_ROWS = 100_000
_BATCH = 1_000
_MAX_HEAD = 65_536
_NAME = re.compile(r"journal-([0-9]{12})-([0-9]{12})\.(jsonl|head\.json)")


class SegmentError(Exception):
    """A folder of segments does not fit the journal; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Name:
    """The numbers of a segment's first and last row, of which its files are named."""

    first: int
    last: int

    def rows(self, directory: Path) -> Path:
        """Return the file of its rows."""
        return directory / f"journal-{self.first:012d}-{self.last:012d}.jsonl"

    def head(self, directory: Path) -> Path:
        """Return the file of its signed head."""
        return directory / f"journal-{self.first:012d}-{self.last:012d}.head.json"


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished segment; `full` when more rows were there than one may hold."""

    name: Name
    head: Head

    @property
    def full(self) -> bool:
        """Whether it ended because it held as much as one may."""
        return self.name.last - self.name.first + 1 >= SEGMENT_ROWS


def names(directory: Path) -> tuple[list[Name], list[Name]]:
    """Return the names of rows and of heads in a folder, each in the order of their numbers."""
    found: dict[str, list[Name]] = {"jsonl": [], "head.json": []}
    for one in directory.iterdir():
        match = _NAME.fullmatch(one.name)
        if match:
            found[match[3]].append(Name(int(match[1]), int(match[2])))
    for listed in found.values():
        listed.sort(key=lambda name: (name.first, name.last))
    return found["jsonl"], found["head.json"]


def read_head(file: Path) -> Head:
    """Read the head of a segment; OSError, or HeadError when it is none."""
    with file.open("rb") as opened:
        return parse_head(opened.read(_MAX_HEAD))


def last(directory: Path) -> Segment | None:
    """Return the last finished segment of a folder, None when there is none.

    SegmentError when its head can't be read, OSError when the folder can't.
    """
    if not directory.exists():
        return None
    rows, heads = names(directory)
    finished = [name for name in rows if name in set(heads)]
    if not finished:
        return None
    try:
        return Segment(finished[-1], read_head(finished[-1].head(directory)))
    except HeadError as error:
        msg = f"{finished[-1].head(directory)} {error}; move the folder aside to begin anew"
        raise SegmentError(msg) from error


def write_next(store: Store, master_key: Path, directory: Path, *, now: float) -> Segment | None:
    """Write what the journal has beyond the last segment, as far as one holds; None when nothing.

    SegmentError when the journal is not the one that was exported, KeyringError when nothing can
    be signed, OSError when the disk is full or the folder not ours; half a file never stays.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = last(directory)
    _clear(directory, before)
    signer = unseal(signing_keys.current(store, Purpose.AUDIT), master.load(master_key))
    with store.reading() as connection:
        end = connection.execute(sa.select(schema.journal_head)).one()
    after = before.name.last if before is not None else 0
    if before is not None and (before.head.epoch != end.epoch or after > end.n):
        _refuse(directory, f"ends at {after} of another journal, this one stands at {end.n}")
    if after == end.n:
        return None
    name = Name(after + 1, min(end.n, after + SEGMENT_ROWS))
    expected = bytes.fromhex(before.head.hash) if before is not None else GENESIS
    digest = _write_rows(store, directory, name, expected)
    head = signed_head(signer, epoch=end.epoch, n=name.last, digest=digest, now=now)
    _write(name.head(directory), iter([msgspec.json.encode(head) + b"\n"]))
    return Segment(name, head)


def _write_rows(store: Store, directory: Path, name: Name, expected: bytes) -> bytes:
    """Write the rows of a segment; returns the hash of the last."""
    ended = [b""]

    def lines() -> Iterator[bytes]:
        for rows in _batches(store, name):
            if rows[0]["n"] == name.first and bytes(rows[0]["previous"]) != expected:
                _refuse(
                    directory, f"does not lead to row {name.first}: rows before it were altered"
                )
            ended[0] = bytes(rows[-1]["hash"])
            yield b"".join(map(spelled, rows))

    _write(name.rows(directory), lines())
    return ended[0]


def _batches(store: Store, name: Name) -> Iterator[list[sa.RowMapping]]:
    table, after = schema.journal, name.first - 1
    while after < name.last:
        batch = sa.select(table).where(table.c.n > after, table.c.n <= name.last)
        with store.reading() as connection:
            found = connection.execute(batch.order_by(table.c.n).limit(_BATCH)).mappings().all()
        if not found or found[0]["n"] != after + 1 or found[-1]["n"] != after + len(found):
            msg = f"the journal lacks rows after {after}; run latchgate audit verify"
            raise SegmentError(msg)
        yield list(found)
        after = found[-1]["n"]


def _write(target: Path, chunks: Iterator[bytes]) -> None:
    """Write a file of mode 0600 that is there whole or not at all, also after a power cut."""
    part = target.with_name(f".{target.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(descriptor)
        part.rename(target)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _sync(directory: Path) -> None:
    """Make what the folder lists last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(directory: Path, before: Segment | None) -> None:
    """Remove what a crash left: parts of files, and a last segment that has no head yet."""
    for part in directory.glob(".journal-*.part"):
        part.unlink(missing_ok=True)
    after = before.name.last if before is not None else 0
    rows, heads = names(directory)
    for name in rows:
        if name.first > after and name not in set(heads):
            name.rows(directory).unlink(missing_ok=True)


def prune(directory: Path, *, until: float) -> int:
    """Remove segments that were signed before a time, oldest first, never the last; how many."""
    _, heads = names(directory)
    removed = 0
    for name in heads[:-1]:
        if parse_rfc3339(read_head(name.head(directory)).at) >= until:
            break
        # The head goes last: a crash in between leaves it, to be found here again.
        name.rows(directory).unlink(missing_ok=True)
        name.head(directory).unlink(missing_ok=True)
        removed += 1
    return removed


def _refuse(directory: Path, problem: str) -> None:
    msg = f"the export in {directory} {problem}; keep that folder, and name another to begin anew"
    raise SegmentError(msg)
