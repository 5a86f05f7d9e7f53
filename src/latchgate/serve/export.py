"""`latchgate export` and `load`: every record as JSON lines, and a database made from them.

Rule of this file: which tables there are is asked of the schema, so that a new one is exported by
being there; values are as they are stored, so that what is loaded opens the same doors. The form is
told in docs/reference/export-format.md.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import msgspec
import sqlalchemy as sa

from latchgate.config import Config
from latchgate.core.timestamp import rfc3339
from latchgate.serve.files import appear, private_folder
from latchgate.serve.upgrade import UpgradeError, schema_of
from latchgate.store import schema
from latchgate.store.reads import SCHEMA_HEAD
from latchgate.store.sqlite import Connection, connect, faults

FORMAT = "latchgate-export-1"
# Told by the header, or only when they are asked for.
APART = frozenset({"journal_head", "journal"})
# What means nothing elsewhere, and why.
LEFT_OUT = {
    "ceremony": "sign-ins half done, for ten minutes, in browsers at the old address",
    "idempotency": "answers to repeated requests, for a day, of clients of the old address",
    "session": "people sign in anew at the new address: their cookies are of the old one",
}
_HEAD = "SELECT n, hash, epoch FROM journal_head"
_encode = msgspec.json.Encoder(order="sorted").encode


class Header(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The first line: the form, what wrote it, and where the journal stood; `hash` is hexadecimal.

    `tables` names every table whose rows follow, in their order; `journal` is among them when it
    was asked for.
    """

    format: str
    program: str
    schema: str
    at: str
    epoch: str
    n: int
    hash: str
    tables: list[str]


class End(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The last line: how many rows there were, and the SHA-256 of every byte before this line."""

    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the header, and how many rows of which table."""

    header: Header
    rows: dict[str, int]


def tables(*, journal: bool) -> list[sa.Table]:
    """Return the tables to export, what others refer to first."""
    left = {*LEFT_OUT, *APART} - ({"journal"} if journal else set())
    return [table for table in schema.main.sorted_tables if table.name not in left]


def export(config: Config, target: Path, *, journal: bool) -> Exported:
    """Write every record into a new file of mode 0600, in one snapshot, with servers or without.

    FileExistsError when the file is there, UpgradeError for a database of another schema,
    StoreError when it fails, OSError when the file can't be written: none leaves a file.
    """
    if target.exists() or target.is_symlink():
        raise FileExistsError(17, "already exists", str(target))
    found = schema_of(config.database)
    if found != SCHEMA_HEAD:
        msg = f"{config.database} has schema {found}; run latchgate migrate first"
        raise UpgradeError(msg)
    chosen = tables(journal=journal)
    with (
        private_folder(target.absolute().parent) as folder,
        closing(connect(config.database, durable=True, read_only=True)) as connection,
        faults(),
    ):
        connection.execute("BEGIN")
        n, digest, epoch = connection.execute(_HEAD).fetchone()
        header = Header(
            format=FORMAT,
            program=version("latchgate"),
            schema=found,
            at=rfc3339(time.time()),
            epoch=epoch,
            n=n,
            hash=bytes(digest).hex(),
            tables=[str(table.name) for table in chosen],
        )
        written = folder / "written"
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            counts = _write(_Lines(file), connection, header, chosen)
            file.flush()
            os.fsync(descriptor)
        appear(written, target)
    return Exported(header, counts)


class _Lines:
    """Lines written so far, under one digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def add(self, told: object) -> None:
        line = _encode(told) + b"\n"
        self.digest.update(line)
        self._file.write(line)


def _write(
    lines: _Lines, connection: Connection, header: Header, chosen: list[sa.Table]
) -> dict[str, int]:
    lines.add(header)
    counts = {str(table.name): 0 for table in chosen}
    for table in chosen:
        name = str(table.name)
        for row in _rows(connection, table):
            lines.add({"table": name, "row": row})
            counts[name] += 1
    lines.add(End(sum(counts.values()), lines.digest.hexdigest()))
    return counts


def _rows(connection: Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    """Read a table in the order of its key, a value as JSON can hold it."""
    names = [str(column.name) for column in table.c]
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    listed = ", ".join(f'"{name}"' for name in names)
    asked = f'SELECT {listed} FROM "{table.name}" ORDER BY {key}'  # noqa: S608 - names of ours
    truths = {column.name for column in table.c if isinstance(column.type, sa.Boolean)}
    for row in connection.execute(asked):
        yield {
            name: bool(value) if name in truths and value is not None else _told(value)
            for name, value in zip(names, row, strict=True)
        }


def _told(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
