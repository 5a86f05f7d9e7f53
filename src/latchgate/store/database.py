"""What a Store needs of a database, whichever it is: each has its own file beside this one.

Rule of this file: SQLite and PostgreSQL don't know each other; the Store knows neither's words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import sqlalchemy as sa

from latchgate.store import schema
from latchgate.store.bell import Bell
from latchgate.store.errors import ConflictError, StoreError

Head = tuple[int, bytes]  # the last number of the journal, and the hash of its row
HEAD = sa.select(schema.journal_head.c.n, schema.journal_head.c.hash)
# The pool's own time-out is no database error to SQLAlchemy.
FAULTS = (sa.exc.DBAPIError, sa.exc.TimeoutError)
TAKEN = "another record already has this id or name"
UNCHANGED = "the change could not be written; nothing was changed"
UNKNOWN = "the commit failed; whether the change happened is not known"


class Database(Protocol):
    """One database's own ways; connections come from its two pools and go back to them."""

    @property
    def bell(self) -> Bell | None:
        """What is rung for the caches of this machine; None where they follow otherwise."""

    def changing(self) -> AbstractContextManager[tuple[sa.Connection, Head]]:
        """Begin a transaction that alone writes, rolled back at the end unless it was committed.

        StoreError when none can be begun; what fails within it is raised as `failed` says.
        """

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """Begin reads in one snapshot; StoreError when they can't be begun, or fail."""

    def commit(self, connection: sa.Connection) -> None:
        """Commit; OutcomeUnknownError where that leaves open whether it happened or will last."""

    def announce(self, connection: sa.Connection) -> None:
        """Tell whoever follows the journal to look, after a commit; whether it lasts or not."""

    def ring(self) -> None:
        """Tell whoever follows the journal to look anew, though nothing changed."""

    def note(self, connection: sa.Connection, row: Mapping[str, Any]) -> None:
        """Write one row of the journal, and its number and hash as the head."""

    def seal(self, connection: sa.Connection, head: Head) -> None:
        """Write the head alone, after many rows."""

    def write_many(
        self, connection: sa.Connection, table: sa.Table, columns: Mapping[str, Sequence[Any]]
    ) -> None:
        """Insert many rows, given as columns of one length."""

    def close(self) -> None:
        """Close every connection."""


@contextmanager
def failing(words: str) -> Iterator[None]:
    """Turn what a statement failed with into the errors of a Store, where nothing was committed."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise ConflictError(TAKEN) from error
    except FAULTS as error:
        raise StoreError(words) from error
