"""What the recorders wrote: refusals, last use, sources, and counts by any of their columns.

Rule of this file: it only reads. Statements are put together from the words of enums alone; what
a caller gave is always a parameter.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

import msgspec

from latchgate.core.location import Location
from latchgate.store.batch import DAY, HOUR
from latchgate.store.tally import MINUTE
from latchgate.store.usage_database import usage_database

SOURCES_KEPT = 100
REFUSALS_SEEN = 20_000
_decode = msgspec.json.Decoder().decode

_FIND = "SELECT ring, decision FROM refusal WHERE id = ?"
_NEWEST = "SELECT decision FROM refusal"
_BEYOND = "(at, id) < (SELECT at, id FROM refusal WHERE id = ?)"
_LATEST = " ORDER BY at DESC, id DESC LIMIT ?"
_LAST_OF = "SELECT credential_id, at, address, agent FROM last_use WHERE credential_id {among}"
_SOURCES_OF = (
    "SELECT NULLIF(address, ''), agent, area, NULLIF(application_id, ''),"  # noqa: S608 - words of this program
    " count, first_at, last_at, refused FROM use_source"
    " WHERE credential_id = ? AND last_at >= ?"
    f" ORDER BY last_at DESC, address, agent, area, application_id LIMIT {SOURCES_KEPT}"
)
_NEWCOMERS = (
    "SELECT DISTINCT credential_id FROM use_source{by_first}"
    " WHERE last_at >= ? AND first_at >= ? AND credential_id > ? ORDER BY credential_id LIMIT ?"
)
_OF_TENANT = "SELECT at, reason, count FROM use_tenant WHERE at {among} AND tenant_id = ?"
_FIRST_DAY = "SELECT MIN(at) FROM use_day"
_EVER = "SELECT counted, area, reason, count FROM use_total ORDER BY counted, area, reason"


class Column(StrEnum):
    """What counts are told apart by."""

    TENANT = "tenant_id"
    PROJECT = "project_id"
    CREDENTIAL = "credential_id"
    APPLICATION = "application_id"
    AREA = "area"
    SCOPE = "scope"
    REASON = "reason"
    AT = "at"  # the first second of the period, Unix seconds
    PRICE = "price"  # of days alone: millionths of the currency for one request
    CURRENCY = "currency"


_NUMBERS = frozenset({Column.AT, Column.PRICE})


class Period(Enum):
    """How finely counts are kept; the value is its length in seconds."""

    MINUTE = MINUTE
    HOUR = HOUR
    DAY = DAY

    @property
    def table(self) -> str:
        """The table of it."""
        return f"use_{self.name.lower()}"

    def start(self, at: float) -> int:
        """Return the first second of the period that holds a time (Unix seconds)."""
        return int(at // self.value) * int(self.value)


@dataclass(frozen=True, slots=True)
class LastUse:
    """When a credential was last accepted, from where, and by which program (`user-agent`)."""

    at: float
    address: str | None
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """One place that a credential is used from, whether accepted or, `refused` times, not.

    Times are Unix seconds; address and agent are empty where they were not told.
    """

    address: str | None
    agent: str
    area: str
    application_id: str | None
    count: int
    first_at: float
    last_at: float
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Total:
    """How many decisions share these values."""

    by: Mapping[Column, Any]
    count: int


@dataclass(frozen=True, slots=True)
class Hour:
    """How many decisions of an hour (its first second, Unix seconds) had a reason."""

    at: int
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Ever:
    """How many since the beginning: of a `decision`, of what was `dropped` or `turned_away`.

    What was turned away has its listener for an area.
    """

    counted: str
    area: str
    reason: str
    count: int


class UsageReader:
    """What was recorded, by any process."""

    def __init__(self, database: Location) -> None:
        self._database = usage_database(database, read_only=True)
        self._lock = threading.Lock()

    def refusal(self, decision_id: str) -> tuple[str, dict[str, Any]] | None:
        """Return a refusal's ring (tenant id, or empty) and what was kept; None if not kept."""
        found = self._rows(_FIND, (decision_id,))
        return (found[0][0], _decode(found[0][1])) if found else None

    def refusals(
        self,
        ring: str | None,
        *,
        limit: int,
        credential_id: str | None = None,
        after: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return what was kept of the newest refusals of a ring, or of every one, newest first.

        `credential_id` is of those that named it, looked for among the newest 20,000; `after` is
        the id of one, and none of it on.
        """
        clauses = {"ring = ?": ring, _BEYOND: after}
        told = {clause: value for clause, value in clauses.items() if value is not None}
        where = f" WHERE {' AND '.join(told)}" if told else ""
        values: tuple[object, ...] = (*told.values(), limit)
        if credential_id is not None:
            # No index of credentials is paid for by each refusal.
            seen = f"SELECT id, credential_id FROM refusal{where}{_LATEST}"  # noqa: S608 - words of this program
            where = f" WHERE id IN (SELECT id FROM ({seen}) AS seen WHERE credential_id = ?)"  # noqa: S608 - of ours
            values = (*told.values(), REFUSALS_SEEN, credential_id, limit)
        found = self._rows(f"{_NEWEST}{where}{_LATEST}", values)
        return [_decode(row[0]) for row in found]

    def last_uses(self, credential_ids: Iterable[str]) -> dict[str, LastUse]:
        """Return the last use of each credential that was ever accepted.

        Applications and their keys have one too, under their own ids.
        """
        statement = _LAST_OF.format(among=self._database.among)
        found = self._rows(statement, (self._database.several(list(credential_ids)),))
        return {row[0]: LastUse(at=row[1], address=row[2], agent=row[3] or "") for row in found}

    def sources(self, credential_id: str, *, since: float) -> list[Source]:
        """Return where a credential (or an application's key) came from since then, newest first.

        100 at most: no more are kept.
        """
        return [Source(*row) for row in self._rows(_SOURCES_OF, (credential_id, since))]

    def newcomers(self, *, since: float, limit: int, after: str = "") -> list[str]:
        """Return credentials (and applications' keys) with a source first seen since then.

        They are ordered by their ids; `after` is the last one of the page before.
        """
        statement = _NEWCOMERS.format(by_first=self._database.by_first)
        return [row[0] for row in self._rows(statement, (since, since, after, limit))]

    def totals(
        self,
        by: Sequence[Column],
        *,
        period: Period,
        since: float,
        until: float,
        only: Mapping[Column, Collection[str]] | None = None,
        limit: int | None = None,
    ) -> list[Total]:
        """Sum the counts of the periods that begin in `since <= at < until`, by some columns.

        The period that holds `since` counts whole. `only` keeps rows whose column holds one of
        some values; ordered by the columns, `limit` rows at most.
        """
        columns, database = tuple(dict.fromkeys(by)), self._database
        wanted = only or {}
        listed = ", ".join(columns)
        where = ["at >= ?", "at < ?"]
        where += [f"{column} {database.among}" for column in wanted]
        values: list[Any] = [period.start(since), math.ceil(until)]
        values += [database.several(several) for several in wanted.values()]
        statement = (
            f"SELECT {f'{listed}, ' if columns else ''}CAST(COALESCE(SUM(count), 0) AS BIGINT)"  # noqa: S608 - words of enums
            f" FROM {period.table} WHERE {' AND '.join(where)}"
        )
        if columns:
            ordered = ", ".join(
                one if one in _NUMBERS else database.alphabetic(one) for one in columns
            )
            statement += f" GROUP BY {listed} ORDER BY {ordered}"
        if limit is not None:
            statement += " LIMIT ?"
            values.append(limit)
        found = self._rows(statement, tuple(values))
        return [Total(dict(zip(columns, row, strict=False)), row[-1]) for row in found]

    def of_tenant(self, tenant_id: str, *, since: float, until: float) -> list[Hour]:
        """Return the hours that begin in `since <= at < until`, of one tenant or `EVERYBODY`.

        The hour that holds `since` is one of them. Reads a few rows an hour, however many
        credentials there are; ordered by time and reason.
        """
        hours = list(range(Period.HOUR.start(since), math.ceil(until), HOUR))
        statement = _OF_TENANT.format(among=self._database.among)
        values = (self._database.several(hours), tenant_id)
        return [Hour(*row) for row in sorted(self._rows(statement, values))]

    def first_day(self) -> int | None:
        """Return when the first day begins of which counts are kept; None when there is none."""
        day: int | None = self._rows(_FIRST_DAY, ())[0][0]
        return day

    def ever(self) -> list[Ever]:
        """Return the sums since the beginning, of every process."""
        return [Ever(*row) for row in self._rows(_EVER, ())]

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.rows(statement, values)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._database.close()
