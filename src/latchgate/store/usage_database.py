"""What keeping usage needs of a database, whichever it is: each has its own file beside this one.

Rule of this file: SQLite and PostgreSQL don't know each other. A statement that both read alike is
written once, where it is used, with `?` for each value; what they spell differently is asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from latchgate.core.location import Location

# A minute, what was seen in it, how often, and when last: `COLUMNS`.
Line = tuple[Any, ...]
COLUMNS = (
    "at",
    "tenant_id",
    "project_id",
    "credential_id",
    "application_id",
    "area",
    "scope",
    "reason",
    "price",
    "currency",
    "key_id",
    "address",
    "agent",
    "first",
    "count",
    "last",
)
OF_USE = COLUMNS[1:8]
OF_DAY = COLUMNS[1:10]


class Cursor(Protocol):
    """What a statement came to, as both drivers tell it."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:  # noqa: ANN401 - as the drivers have it
        """Return the next row; None when there is none."""

    def fetchall(self) -> list[Any]:
        """Return all that are left."""


class UsageDatabase(Protocol):
    """One connection to where usage is kept, of one thread at a time.

    `among` follows a column that has one of `several` values; `locking` a SELECT whose rows nobody
    else may delete before the transaction ends; `by_first` the table of sources where those first
    seen of late are wanted.
    """

    among: str
    locking: str
    by_first: str

    def several(self, values: Collection[Any]) -> Any:  # noqa: ANN401 - as the driver wants it
        """Return values as the one that `among` compares with."""

    def alphabetic(self, column: str) -> str:
        """Return what orders by a text as its code points do."""

    def transact(self, work: Callable[[], None]) -> None:
        """Run work in a transaction that writes: all of it is written, or nothing.

        `work` may be run more than once. Raises OutcomeUnknownError when the commit was not
        answered (`outcome` tells later), StoreError when nothing was written.
        """

    def outcome(self) -> bool:
        """Return whether what ended in OutcomeUnknownError was written.

        Raises OutcomeUnknownError for as long as nobody can tell.
        """

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement inside a transaction."""

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row of values, inside a transaction."""

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines (`COLUMNS`) to every table of counts, inside a transaction."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of one statement that reads, by itself; StoreError when it fails."""

    def close(self) -> None:
        """Close the connection."""


def usage_database(at: Location, *, read_only: bool = False) -> UsageDatabase:
    """Connect to where usage is kept.

    Raises StoreError when a file can't be opened, NotMigratedError where something is to be
    written into tables of another version. A PostgreSQL that can't be reached is waited for.
    """
    # By need: not everybody has both drivers.
    if isinstance(at, Path):
        from latchgate.store.usage_sqlite import SqliteUsage  # noqa: PLC0415

        return SqliteUsage(at, read_only=read_only)
    from latchgate.store.usage_postgres import PostgresUsage  # noqa: PLC0415

    return PostgresUsage(at, read_only=read_only)


def removed(database: UsageDatabase, statement: str, values: Sequence[Any]) -> int:
    """Run one statement that deletes, in a transaction of its own; how many rows it was."""
    gone = 0

    def work() -> None:
        nonlocal gone
        gone = database.execute(statement, values).rowcount

    database.transact(work)
    return gone
