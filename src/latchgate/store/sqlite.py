"""SQLite: which library, which settings, and plain connections for the hot statements.

The interpreter's own SQLite is often older than 3.51.3, whose WAL-reset fault can corrupt a
database that several processes write; the wheel bundles a newer one (ARCHITECTURE §8).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from latchgate.store.errors import StoreError

if TYPE_CHECKING:
    driver = sqlite3
else:
    try:
        import pysqlite3.dbapi2 as driver
    except ImportError:
        driver = sqlite3

Connection = sqlite3.Connection
MANY_PROCESSES = driver.sqlite_version_info >= (3, 51, 3)
BUSY_MS = 5_000
_AGAIN_SECONDS = 0.01


def connect(path: Path, *, durable: bool, read_only: bool = False) -> Connection:
    """Open a connection in autocommit, so that every transaction is begun by name.

    `durable` flushes the log on every commit (`synchronous=FULL`). Raises StoreError when the
    file can't be opened.
    """
    try:
        if read_only:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            connection = driver.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False
            )
        else:
            connection = driver.connect(str(path), isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        if not read_only:
            _write_ahead(connection)
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys=ON")
    except driver.Error as error:
        msg = f"cannot open the database {path}: {error}"
        raise StoreError(msg) from error
    return connection


def _write_ahead(connection: Connection) -> None:
    """Give a file a write-ahead log, if it has none yet.

    SQLite waits for nobody who does the same at once, whatever its `busy_timeout`: we do.
    """
    give_up = time.monotonic() + BUSY_MS / 1_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except driver.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() >= give_up:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return


@contextmanager
def faults() -> Iterator[None]:
    """Turn the driver's errors into StoreError."""
    try:
        yield
    except driver.Error as error:
        msg = f"the database failed: {error}"
        raise StoreError(msg) from error
