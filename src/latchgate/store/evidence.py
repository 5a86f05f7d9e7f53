"""A journal as an auditor reads it: on the driver, row by row, whatever somebody wrote into it.

Rule of this file: nothing is mended and nothing converted, so that an altered value is seen as it
is; one snapshot, and a bounded number of rows in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latchgate.store.reads import SCHEMA_HEAD, check_schema
from latchgate.store.sqlite import Connection, connect, faults

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
_ROWS = f"SELECT {', '.join(COLUMNS)} FROM journal ORDER BY n"  # noqa: S608 - names of ours
_HEADS = "SELECT n, hash, epoch FROM journal_head LIMIT 2"
_KEYS = "SELECT id, public FROM signing_key"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One snapshot: the head rows (n, hash, epoch), which should be one, and the known keys."""

    heads: list[tuple[Any, Any, Any]]
    keys: dict[str, bytes]
    _connection: Connection

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read the journal from its start, one row in memory; StoreError when it fails."""
        with faults():
            for row in self._connection.execute(_ROWS):
                yield dict(zip(COLUMNS, row, strict=True))


@contextmanager
def evidence(database: Path) -> Iterator[Evidence]:
    """Open one snapshot of a database file, with or without a server on it.

    StoreError when it can't be read, NotMigratedError when it has another schema.
    """
    with closing(connect(database, durable=True, read_only=True)) as connection:
        # Bytes that are no UTF-8 must show as an altered row, not end the reading; surrogates
        # stand for them, which no row of ours holds.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        check_schema(connection, SCHEMA_HEAD)
        with faults():
            connection.execute("BEGIN")
            heads = connection.execute(_HEADS).fetchall()
            keys = {str(name): _bytes(public) for name, public in connection.execute(_KEYS)}
        yield Evidence(heads, keys, connection)


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, (bytes, memoryview)) else b""
