"""Usage and amounts as they are told: of the own tenant, or of every one to the operator.

Rule of this file: a report is whole or refused. Amounts are sums of whole millionths, never
floating point, at the price that held when each request was made.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.price import amount_text
from latchgate.core.reason import Reason
from latchgate.core.timestamp import rfc3339
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.store import schema
from latchgate.store.journal import Store
from latchgate.store.usage import Column, Period, Total, UsageReader

EVERY_TENANT = "operator:usage.read"
MAX_ROWS = 100_000
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_DECEMBER = 12

_COLUMNS = {
    "tenant": Column.TENANT,
    "project": Column.PROJECT,
    "credential": Column.CREDENTIAL,
    "application": Column.APPLICATION,
    "area": Column.AREA,
    "scope": Column.SCOPE,
    "reason": Column.REASON,
    "outcome": Column.REASON,
    **{period.name.lower(): Column.AT for period in Period},
}
Only = Mapping[Column, Collection[str]]
WORDS = tuple(_COLUMNS)
FILTERS = ("tenant", "project", "credential", "application", "area", "scope", "reason")


class Asked(msgspec.Struct, frozen=True):
    """What a report is wanted of: by which words, how fine, from when until when (Unix seconds).

    `only` maps a word of FILTERS to the value that counts.
    """

    by: tuple[str, ...]
    period: Period
    since: float
    until: float
    only: Mapping[str, str] = {}


class BillBy(StrEnum):
    """Whom amounts are told apart by."""

    CREDENTIAL = "credential"
    PROJECT = "project"
    TENANT = "tenant"


_BILLED = {
    BillBy.CREDENTIAL: (Column.TENANT, Column.PROJECT, Column.CREDENTIAL),
    BillBy.PROJECT: (Column.TENANT, Column.PROJECT),
    BillBy.TENANT: (Column.TENANT,),
}

_NAMED = {
    Column.TENANT: schema.tenant,
    Column.PROJECT: schema.project,
    Column.CREDENTIAL: schema.credential,
}


@dataclass(frozen=True, slots=True)
class Table:
    """A report: the names of its columns, and its rows in order."""

    columns: tuple[str, ...]
    rows: list[dict[str, Any]]


def report(reader: UsageReader, caller: Caller, asked: Asked) -> Table:
    """Return the counts that were asked for.

    InvalidError when there are more rows than fit one report, ForbiddenError when they are
    another tenant's.
    """
    only: Only = {_COLUMNS[word]: [value] for word, value in asked.only.items()}
    found = reader.totals(
        [_COLUMNS[word] for word in asked.by],
        period=asked.period,
        since=asked.since,
        until=asked.until,
        only=_bounded(caller, only),
        limit=MAX_ROWS + 1,
    )
    if len(found) > MAX_ROWS:
        msg = f"this is more than {MAX_ROWS} rows; ask for a shorter time or fewer columns"
        raise InvalidError([("by", msg)])
    names = tuple(_named(word) for word in asked.by)
    counts: dict[tuple[Any, ...], int] = {}
    for one in found:
        row = tuple(_shown(word, one) for word in asked.by)
        counts[row] = counts.get(row, 0) + one.count
    rows = [dict(zip(names, row, strict=True)) | {"count": n} for row, n in counts.items()]
    return Table((*names, "count"), rows)


def names(store: Store, caller: Caller, column: Column, ids: Collection[str]) -> dict[str, str]:
    """Return what people call some records that counts are told apart by: those they may see."""
    table = _NAMED.get(column)
    if table is None:
        return {}
    wanted = sa.select(table.c.id, table.c.name).where(table.c.id.in_(list(ids)))
    if EVERY_TENANT not in caller.rights:
        whose = table.c.id if table is schema.tenant else table.c.tenant_id
        wanted = wanted.where(whose == caller.tenant_id)
    with store.reading() as connection:
        return {one.id: one.name for one in connection.execute(wanted) if one.name}


def _bounded(caller: Caller, only: Only) -> Only:
    """Keep everyone but the operator to their own tenant."""
    if EVERY_TENANT in caller.rights:
        return only
    if any(tenant != caller.tenant_id for tenant in only.get(Column.TENANT, ())):
        msg = f"another tenant's usage takes the scope {EVERY_TENANT}"
        raise ForbiddenError(msg)
    return {**only, Column.TENANT: [caller.tenant_id]}


def _named(word: str) -> str:
    return "outcome" if word == "outcome" else str(_COLUMNS[word])


def _shown(word: str, one: Total) -> Any:  # noqa: ANN401 - text or time
    value = one.by[_COLUMNS[word]]
    if word == "outcome":
        return "allowed" if value == Reason.ALLOWED else "refused"
    return rfc3339(value) if _COLUMNS[word] is Column.AT else value


def bill(
    reader: UsageReader, caller: Caller, month: str, by: BillBy, only: Mapping[str, str]
) -> Table:
    """Return what allowed requests of a month (`2026-11`, UTC) cost, in each currency.

    InvalidError when that is no month, ForbiddenError when it is another tenant's.
    """
    since, until = month_span(month)
    kept: Only = {_COLUMNS[name]: [told] for name, told in only.items()}
    columns = _BILLED[by]
    found = reader.totals(
        [*columns, Column.CURRENCY, Column.PRICE],
        period=Period.DAY,
        since=since,
        until=until,
        only={**_bounded(caller, kept), Column.REASON: [str(Reason.ALLOWED)]},
        limit=MAX_ROWS + 1,
    )
    if len(found) > MAX_ROWS:
        raise InvalidError([("by", f"this is more than {MAX_ROWS} rows; bill fewer at once")])
    names = (*map(str, columns), str(Column.CURRENCY))
    rows = [
        {**dict(zip(names, key, strict=True)), "count": count, "amount": amount_text(amount)}
        for key, (count, amount) in _summed(found, (*columns, Column.CURRENCY)).items()
    ]
    return Table((*names, "count", "amount"), rows)


def _summed(
    found: Iterable[Total], columns: tuple[Column, ...]
) -> dict[tuple[str, ...], tuple[int, int]]:
    """Return how many requests and millionths each has; what costs nothing is not billed."""
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for one in found:
        price = one.by[Column.PRICE]
        if price:
            key = tuple(one.by[column] for column in columns)
            count, amount = sums.get(key, (0, 0))
            sums[key] = count + one.count, amount + one.count * price
    return sums


def month_span(month: str) -> tuple[int, int]:
    """Return the first second of a month and of the next (UTC); InvalidError when it is none."""
    read = _MONTH.fullmatch(month)
    if read is None or int(read[1]) < 1:
        raise InvalidError([("month", f"{month[:20]!r} is no month; write it 2026-11")])
    year, number = int(read[1]), int(read[2])
    following = (year + 1, 1) if number == _DECEMBER else (year, number + 1)
    since, until = (calendar.timegm((*first, 1, 0, 0, 0)) for first in ((year, number), following))
    return since, until
