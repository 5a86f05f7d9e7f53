"""`latchgate load`: a new database from an export, whole before it gets its name.

Rule of this file: a file is somebody's word: each line is read strictly, tables and columns are
those of the schema it names, and every fault is told with its line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec
import sqlalchemy as sa

from latchgate.config import Config
from latchgate.core.location import Location
from latchgate.core.model import Noun
from latchgate.manage import signing_keys
from latchgate.manage.chain import LOADED, verify_database
from latchgate.manage.export_form import FORMAT, End, Header
from latchgate.serve.backup import BackupError
from latchgate.serve.files import placed, private_folder
from latchgate.serve.upgrade import parts_of
from latchgate.store import schema
from latchgate.store.copies import check
from latchgate.store.found import is_used
from latchgate.store.journal import Actor, Store
from latchgate.store.migrate import migrate
from latchgate.store.pour import pour
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import Connection, connect, driver, faults

_FIRST_SCHEMA = "0001"
_MAX_LINE = 64 * 1_048_576
_DIGITS = 4
_OWN = {"alembic_version", "journal_head", "schema_window"}
_Value = str | int | float | bool | None


class _Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    table: str
    row: dict[str, _Value]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded: the export's header, rows by table, the new epoch and its first number.

    `unsigned` says why the signing keys that came along can't be opened; None when they can.
    """

    header: Header
    rows: dict[str, int]
    epoch: str
    n: int
    unsigned: str | None


def load_export(config: Config, file: Path, *, who: str) -> Loaded:
    """Make the configured database, which must not be there yet, from an export.

    One of PostgreSQL must be empty: all of it is made and checked in a file, and then put there.
    FileExistsError when there is one, BackupError when the file is no sound export, StoreError when
    PostgreSQL fails, OSError when something can't be read or written: no database appears then.
    """
    database = config.database
    _refuse_existing(database)
    beside = database if isinstance(database, Path) else config.file
    with private_folder(beside.parent) as folder:
        stage = folder / "latchgate.db"
        with file.open("rb") as opened:
            lines = _Lines(file, opened)
            header = lines.header()
            migrate(stage, "main", revision=header.schema)
            _fill(stage, header, lines)
        if header.schema != SCHEMA_HEAD:
            migrate(stage, "main")
        epoch, n = _begin(stage, header, who)
        _look(stage, file)
        if isinstance(database, Path):
            placed(stage, database)
        else:
            migrate(database, *parts_of(config)[database])
            pour(stage, database)
    _usage(config)
    return Loaded(header, lines.counts, epoch, n, unsigned(config))


def _refuse_existing(database: Location) -> None:
    if isinstance(database, Path):
        if database.exists():
            raise FileExistsError(17, "already exists", str(database))
    elif is_used(database):
        msg = f"{database} holds a Latchgate already; load makes a new one, in an empty database."
        msg += " Nothing was changed"
        raise BackupError(msg)


def _usage(config: Config) -> None:
    """Make the database of usage where there is none."""
    usage = config.usage_database
    if usage != config.database and (not isinstance(usage, Path) or not usage.exists()):
        migrate(usage, "usage")


class _Lines:
    """The lines of an export: a header, rows, an end that is compared with what was read."""

    def __init__(self, name: Path, file: IO[bytes]) -> None:
        self._name = name
        self._file = file
        self._digest = hashlib.sha256()
        self.at = 0
        self.counts: dict[str, int] = {}

    def fault(self, why: object) -> BackupError:
        """Return what to raise about the line read last."""
        return BackupError(f"{self._name}:{self.at}: {why}")

    def header(self) -> Header:
        """Read the first line."""
        line = self._next()
        try:
            told = msgspec.json.decode(line)
            if not isinstance(told, dict) or told.get("format") != FORMAT:
                raise self.fault(f"is no export of the format {FORMAT}")
            header = msgspec.convert(told, Header)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.fault(f"is no header of an export: {error}") from error
        if len(header.schema) != _DIGITS or not header.schema.isdecimal():
            raise self.fault("its schema is no number of a migration")
        if not _FIRST_SCHEMA <= header.schema <= SCHEMA_HEAD:
            raise self.fault(f"has schema {header.schema}; this program knows {SCHEMA_HEAD}")
        self._digest.update(line)
        return header

    def rows(self) -> Iterator[_Line]:
        """Read the rows; BackupError unless the last line closes the file and agrees with it."""
        while line := self._next():
            if line.startswith(b'{"rows"'):
                self._end(line)
                return
            self._digest.update(line)
            try:
                read = msgspec.json.decode(line, type=_Line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise self.fault(f"is neither a row nor the end: {error}") from error
            self.counts[read.table] = self.counts.get(read.table, 0) + 1
            yield read
        raise self.fault("the export does not end in its count: it was cut, or never finished")

    def _end(self, line: bytes) -> None:
        try:
            end = msgspec.json.decode(line, type=End)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self.fault(f"is no end of an export: {error}") from error
        if end != End(sum(self.counts.values()), self._digest.hexdigest()):
            raise self.fault("the export is not what was written: count or SHA-256 is another")
        if self._file.read(1):
            self.at += 1
            raise self.fault("comes after the end")

    def _next(self) -> bytes:
        self.at += 1
        line = self._file.readline(_MAX_LINE)
        if line and not line.endswith(b"\n"):
            raise self.fault("is cut, or longer than any line that is written")
        return line


def _fill(stage: Path, header: Header, lines: _Lines) -> None:
    """Insert the rows; references are looked at when all are in."""
    with closing(connect(stage, durable=True)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        with faults():
            known = {
                name: _columns(connection, name) for name in _wanted(connection, header, lines)
            }
            connection.execute("BEGIN IMMEDIATE")
        for line in lines.rows():
            if line.table not in known:
                raise lines.fault(f"{line.table[:40]!r} is none of the tables of its header")
            values = _values(line.row, known[line.table], lines)
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" * len(values))
            statement = f'INSERT INTO "{line.table}" ({names}) VALUES ({marks})'  # noqa: S608 - known
            try:
                connection.execute(statement, list(values.values()))
            except driver.Error as error:
                raise lines.fault(error) from error
        with faults():
            connection.execute("COMMIT")


def _wanted(connection: Connection, header: Header, lines: _Lines) -> list[str]:
    asked = "SELECT name FROM sqlite_master WHERE type = 'table'"
    there = {name for (name,) in connection.execute(asked)} - _OWN
    unknown = sorted({*header.tables} - there)
    if unknown:
        raise lines.fault(f"{unknown[0][:40]!r} is no table of schema {header.schema}")
    return header.tables


def _columns(connection: Connection, table: str) -> dict[str, str]:
    """Return the type of each column of a table, which is one of ours."""
    told = connection.execute(f'PRAGMA table_info("{table}")')
    return {row[1]: row[2] for row in told}


def _values(row: dict[str, _Value], columns: dict[str, str], lines: _Lines) -> dict[str, Any]:
    if set(row) != set(columns):
        odd = min(set(row) ^ set(columns))
        raise lines.fault(f"the row must have the columns of its table; {odd[:40]!r} is not right")
    values: dict[str, Any] = dict(row)
    for name, kind in columns.items():
        if kind == "BLOB" and values[name] is not None:
            try:
                values[name] = base64.b64decode(values[name], validate=True)
            except (binascii.Error, TypeError, ValueError) as error:
                raise lines.fault(f"{name} is no base64") from error
    return values


def _begin(stage: Path, header: Header, who: str) -> tuple[str, int]:
    """Begin a new epoch after the journal that came along, or from the first number."""
    epoch = str(uuid.uuid4())
    with closing(connect(stage, durable=True)) as connection, faults():
        last = connection.execute("SELECT n, hash FROM journal ORDER BY n DESC LIMIT 1").fetchone()
        if last is not None:
            connection.execute("UPDATE journal_head SET n = ?, hash = ?", last)
    if "journal" in header.tables and (last is None or bytes(last[1]).hex() != header.hash):
        msg = "the journal in the export does not end where its header says"
        raise BackupError(msg)
    store = Store(stage, clock=time.time)
    try:
        with store.change(Actor(name=f"local:{who}", tenant_id=None)) as change:
            told = {"epoch": header.epoch, "n": header.n, "hash": header.hash, "at": header.at}
            detail = {"epoch": {"before": header.epoch, "after": epoch}, "export": told}
            n = change.note(LOADED, Noun.DATABASE, epoch, tenant_id=None, detail=detail)
            change.execute(sa.update(schema.journal_head).values(epoch=epoch))
            if last is None:
                # No number of the old journal may be met again as that of another change.
                for table in schema.main.tables.values():
                    if "version" in table.c and not table.c.version.primary_key:
                        change.execute(sa.update(table).values(version=n))
    finally:
        store.close()
    with closing(connect(stage, durable=True)) as connection, faults():
        connection.execute("PRAGMA journal_mode=DELETE")
    return epoch, n


def _look(stage: Path, file: Path) -> None:
    check(stage)
    report = verify_database(stage)
    if not report.sound:
        first = report.faults[0]
        where = f"at number {first.n}: " if first.n is not None else ""
        msg = f"{file}: the journal in it does not hold, {where}{first.problem}"
        raise BackupError(msg)


def unsigned(config: Config) -> str | None:
    """Say why the signing keys in the database can't be opened; None when they can."""
    with closing(Store(config.database, clock=time.time)) as store:
        return signing_keys.unusable(store, config.master_key)
