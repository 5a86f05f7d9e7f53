"""Which programs may work with a database: judged alike whichever database it is."""

from __future__ import annotations

from collections.abc import Callable

from latchgate.store.errors import NotMigratedError
from latchgate.store.rows import Row

SCHEMA_HEAD = "0008"  # the newest migration; compared at start without loading Alembic
NOT_YET = "this is not a Latchgate database yet; run latchgate init"


def judge_schema(row: Row | None, oldest: Callable[[], str | None], expected: str) -> None:
    """Judge what `_SCHEMA` found; `oldest` is asked for where that is newer than expected."""
    found = row[0] if row is not None else None
    # Numbers of migrations are compared as text: all have four digits.
    if found is not None and found > expected:
        allowed = oldest()
        if allowed is not None and allowed <= expected:
            return
    if found != expected:
        told = found if found is not None else "none"
        msg = f"the database has schema {told}, this program needs {expected}"
        if found is None or found < expected:
            msg += "; stop what uses it and run latchgate migrate"
        else:
            msg += "; a newer latchgate wrote it, and this one can't read it"
        raise NotMigratedError(msg)
