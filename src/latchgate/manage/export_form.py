"""The form of an export: a header, rows of tables, an end that counts and covers them.

Rule of this file: values are as they are stored, so that what is loaded opens the same doors. The
form is told in docs/reference/export-format.md.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import IO, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.timestamp import rfc3339
from latchgate.store.found import Ask
from latchgate.store.schema_window import SCHEMA_HEAD

FORMAT = "latchgate-export-1"
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


def write_export(
    file: IO[bytes],
    ask: Ask,
    chosen: Sequence[sa.Table],
    *,
    now: float,
    only: Mapping[str, str] | None = None,
) -> tuple[Header, dict[str, int]]:
    """Write tables as they are in one snapshot, which `ask` reads; returns each table's rows.

    `only` is the condition that a table's rows must meet, in SQL; what `ask` raises is raised.
    """
    ((n, digest, epoch),) = ask(_HEAD)
    header = Header(
        format=FORMAT,
        program=version("latchgate"),
        schema=SCHEMA_HEAD,
        at=rfc3339(now),
        epoch=epoch,
        n=n,
        hash=bytes(digest).hex(),
        tables=[str(table.name) for table in chosen],
    )
    lines = _Lines(file)
    lines.add(header)
    counts = dict.fromkeys(header.tables, 0)
    for table in chosen:
        name = str(table.name)
        condition = only[name] if only is not None else "TRUE"
        for row in _rows(ask, table, condition):
            lines.add({"table": name, "row": row})
            counts[name] += 1
    lines.add(End(sum(counts.values()), lines.digest.hexdigest()))
    return header, counts


class _Lines:
    """Lines written so far, under one digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def add(self, told: object) -> None:
        line = _encode(told) + b"\n"
        self.digest.update(line)
        self._file.write(line)


def _rows(ask: Ask, table: sa.Table, condition: str) -> Iterator[dict[str, Any]]:
    """Read a table in the order of its key, a value as JSON can hold it."""
    names = [str(column.name) for column in table.c]
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    listed = ", ".join(f'"{name}"' for name in names)
    asked = f'SELECT {listed} FROM "{table.name}" WHERE {condition} ORDER BY {key}'  # noqa: S608 - names and conditions of ours
    truths = {column.name for column in table.c if isinstance(column.type, sa.Boolean)}
    for row in ask(asked):
        yield {
            name: bool(value) if name in truths and value is not None else _told(value)
            for name, value in zip(names, row, strict=True)
        }


def _told(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
