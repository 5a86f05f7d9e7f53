"""A journal as an auditor reads it: on the driver, row by row, whatever somebody wrote into it.

Rule of this file: nothing is mended and nothing converted, so that an altered value is seen as it
is; one snapshot, and a bounded number of rows in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latchgate.core.location import Location, Postgres
from latchgate.store import found
from latchgate.store.reads import check_schema
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.seal import BLANK, Told, encode
from latchgate.store.sqlite import Connection, connect, driver, faults

if TYPE_CHECKING:
    from latchgate.store import postgres

COLUMNS = (
    "n",
    "at",
    "actor",
    "action",
    "noun",
    "record",
    "tenant_id",
    "detail",
    "credential_id",
    "address",
    "previous",
    "hash",
)
Row = tuple[Any, ...]  # the values of COLUMNS, in their order
_ROWS = f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY n LIMIT -1 OFFSET ?"  # noqa: S608 - names of ours
_PAGE = 500
_ALL = f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY n"  # noqa: S608 - names of ours
_FETCH = 5_000  # by the network
_HEADS = "SELECT n, hash, epoch FROM journal_head LIMIT 2"
_KEYS = "SELECT id, public FROM signing_key"


def whole(page: Sequence[Row], n: int, digest: bytes) -> int:
    """Count the rows from the start of a page that follow, unaltered, number `n` with that hash.

    Each has the next number, the hash before it, and a hash of its own as `journal.chain` works it
    out, in a third of its time; values of a type, or text, that no row of ours holds end the count.
    """
    sha256, last = hashlib.sha256, n
    for row in page:
        (
            number,
            at,
            actor,
            action,
            noun,
            record,
            tenant,
            detail,
            credential,
            address,
            before,
            seal,
        ) = row
        # Types one by one: what they were written as, compared in a third of isinstance's time.
        if not (
            number == n + 1
            and before == digest
            and type(number) is int
            and type(at) is float
            and type(actor) is str
            and type(action) is str
            and type(noun) is str
            and type(record) is str
            and type(detail) is str
            and (tenant is None or type(tenant) is str)
            and (credential is None or type(credential) is str)
            and (address is None or type(address) is str)
        ):
            break
        told = Told(
            action,
            actor,
            BLANK if address is None else address,
            at,
            BLANK if credential is None else credential,
            detail,
            number,
            noun,
            record,
            tenant,
        )
        try:
            if sha256(before + encode(told)).digest() != seal:
                break
        except (UnicodeEncodeError, OverflowError):
            break
        n, digest = number, seal
    return n - last


@dataclass(frozen=True, slots=True)
class Evidence:
    """One snapshot: the head rows (n, hash, epoch), which should be one, and the known keys."""

    heads: list[tuple[Any, Any, Any]]
    keys: dict[str, bytes]
    pages: Callable[[], Iterator[list[Row]]]
    """Read the journal from its start, a page in memory; StoreError when it fails."""


@contextmanager
def evidence(database: Location) -> Iterator[Evidence]:
    """Open one snapshot of a database, with or without a server on it.

    StoreError when it can't be read, NotMigratedError when it has another schema.
    """
    with _of_postgres(database) if isinstance(database, Postgres) else _of_file(database) as one:
        yield one


@contextmanager
def _of_postgres(database: Postgres) -> Iterator[Evidence]:
    with found.snapshot_of_postgres(database) as connection:
        heads = connection.execute(_HEADS).fetchall()
        keys = {str(name): _bytes(public) for name, public in connection.execute(_KEYS)}
        yield Evidence(heads, keys, lambda: _fetched(connection))


def _fetched(connection: postgres.Connection) -> Iterator[list[Row]]:
    with connection.cursor(name="journal") as cursor:
        cursor.execute(_ALL)
        while page := cursor.fetchmany(_FETCH):
            yield page


@contextmanager
def _of_file(database: Path) -> Iterator[Evidence]:
    with closing(connect(database, durable=True, read_only=True)) as connection:
        check_schema(connection, SCHEMA_HEAD)
        connection.text_factory = _text
        with faults():
            connection.execute("BEGIN")
            heads = connection.execute(_HEADS).fetchall()
            keys = {str(name): _bytes(public) for name, public in connection.execute(_KEYS)}
        connection.text_factory = str
        yield Evidence(heads, keys, lambda: _pages(connection))


def _pages(connection: Connection) -> Iterator[list[Row]]:
    read = 0
    try:
        for page in _from(connection, read):
            yield page
            read += len(page)
    except driver.Error:
        # Bytes that are no UTF-8 must show as an altered row, not end the reading. What it
        # really was fails again.
        connection.text_factory = _text
        with faults():
            yield from _from(connection, read)


def _from(connection: Connection, after: int) -> Iterator[list[Row]]:
    cursor = connection.execute(_ROWS, (after,))
    while page := cursor.fetchmany(_PAGE):
        yield page


def _text(raw: bytes) -> str:
    """Read what may be no UTF-8; surrogates stand for it, which no row of ours holds."""
    return raw.decode("utf-8", "surrogateescape")


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, (bytes, memoryview)) else b""
