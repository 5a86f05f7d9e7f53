"""How long usage is kept, and what lets go of the rest, a bounded piece at a time.

Rule of this file: a recorder that waits for the database waits for one piece at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from latchgate.core.location import Location
from latchgate.store import schema
from latchgate.store.batch import DAY
from latchgate.store.usage import SOURCES_KEPT
from latchgate.store.usage_database import removed, usage_database

PIECE = 5_000
PIECES = 100  # for each table, each time
TENANT_DAYS = 31  # of tenants' hours at least: the console shows 30 days of them

_MANY_SOURCES = "SELECT credential_id FROM use_source GROUP BY credential_id HAVING COUNT(*) > ?"
_PLACE = "address, agent, area, application_id"
_SURPLUS = (
    f"DELETE FROM use_source WHERE credential_id = ? AND ({_PLACE}) IN"  # noqa: S608 - words of this program
    f" (SELECT {_PLACE} FROM use_source WHERE credential_id = ?"
    f" ORDER BY last_at DESC, {_PLACE} LIMIT {PIECE} OFFSET {SOURCES_KEPT})"
)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days counts by minute, hour and day are kept, and sources."""

    minutes: int
    hours: int
    days: int
    sources: int


def trim(at: Location, kept: Retention, *, now: float) -> None:
    """Drop what is past its time, and each credential's oldest sources beyond the number kept.

    StoreError when the database can't be written.
    """
    with closing(usage_database(at)) as database:
        for statement, before in _expired(kept, now):
            for _ in range(PIECES):
                if removed(database, statement, (before,)) < PIECE:
                    break
        for (credential_id,) in database.rows(_MANY_SOURCES, (SOURCES_KEPT,)):
            removed(database, _SURPLUS, (credential_id, credential_id))


def _expired(kept: Retention, now: float) -> Iterator[tuple[str, float]]:
    for name, column, days in (
        ("use_minute", "at", kept.minutes),
        ("use_hour", "at", kept.hours),
        ("use_day", "at", kept.days),
        ("use_tenant", "at", max(kept.hours, TENANT_DAYS)),
        ("use_source", "last_at", kept.sources),
    ):
        key = ", ".join(one.name for one in schema.usage.tables[name].primary_key)
        statement = (
            f"DELETE FROM {name} WHERE ({key}) IN"  # noqa: S608 - words of this program
            f" (SELECT {key} FROM {name} WHERE {column} < ? LIMIT {PIECE})"
        )
        before = now - days * DAY
        # Compared with what it is compared to: a number of another sort is not found by an index.
        yield statement, before if column == "last_at" else math.ceil(before)
