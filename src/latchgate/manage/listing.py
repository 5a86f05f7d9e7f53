"""Lists: search, filters, sorting and stable paging, declared once for each noun.

Rule of this file: whatever a caller sends is a bound value or the name of something declared,
never SQL. A cursor is what anybody can forge, so it may only say where a page starts; whose
records are listed is a clause of the noun's own (ATTACKS D7.64).
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.manage.errors import InvalidError
from latchgate.store.journal import stored

MAX_PAGE = 1_000
MAX_SEARCH = 255
MAX_SORTS = 4
NEVER = 1e15  # sorts what has no time after everything that has one
_MAX_CURSOR = 8_192
_CURSOR = re.compile(r"[A-Za-z0-9_-]+")
_SORT = re.compile(r"-?[a-z][a-z_]*")


@dataclass(frozen=True, slots=True)
class Filter:
    """One exact filter: how OpenAPI describes its value, and what it means at a time.

    `clause` raises ValueError saying what would be right.
    """

    schema: Mapping[str, Any]
    clause: Callable[[str, float], sa.ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Sort:
    """What a list can be sorted by: never null, all of it text or all of it numbers."""

    expression: sa.ColumnElement[Any]
    number: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asked of a list; `sort` names fields, with `-` for descending."""

    limit: int = 100
    after: str | None = None
    q: str | None = None
    sort: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """How the records of one table are listed; ties are broken by their id."""

    table: sa.Table
    searched: tuple[str, ...]
    filters: Mapping[str, Filter]
    sorts: Mapping[str, Sort]
    default: tuple[str, ...] = ("created_at",)

    def parameters(self) -> dict[str, dict[str, Any]]:
        """Return every query parameter with its JSON schema."""
        names = "|".join(self.sorts)
        ordered = rf"^-?({names})(,-?({names})){{0,{MAX_SORTS - 1}}}$"
        told: dict[str, dict[str, Any]] = {
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100},
            "after": {"type": "string", "description": "the `next` of the page before"},
            "q": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_SEARCH,
                "description": f"text to look for in {', '.join(self.searched)}",
            },
            "sort": {
                "type": "string",
                "pattern": ordered,
                "default": ",".join(self.default),
                "description": f"of {', '.join(self.sorts)}; a comma between, - for descending",
            },
        }
        return told | {name: dict(one.schema) for name, one in self.filters.items()}


def equals(column: sa.ColumnElement[Any], *allowed: str) -> Filter:
    """Return a filter for one exact text, of `allowed` ones where they are given."""
    schema: dict[str, Any] = {"type": "string"} | ({"enum": list(allowed)} if allowed else {})

    def clause(text: str, _now: float) -> sa.ColumnElement[bool]:
        if allowed and text not in allowed:
            msg = f"must be {' or '.join(allowed)}"
            raise ValueError(msg)
        return column == text

    return Filter(schema, clause)


def truth(column: sa.ColumnElement[bool]) -> Filter:
    """Return a filter for `true` or `false`."""

    def clause(text: str, _now: float) -> sa.ColumnElement[bool]:
        if text not in {"true", "false"}:
            msg = "must be true or false"
            raise ValueError(msg)
        return column.is_(text == "true")

    return Filter({"type": "boolean"}, clause)


def holding(column: sa.ColumnElement[str]) -> Filter:
    """Return a filter for one member of a list that is kept as JSON."""

    def clause(text: str, _now: float) -> sa.ColumnElement[bool]:
        return column.contains(msgspec.json.encode(text).decode(), autoescape=True)

    return Filter({"type": "string"}, clause)


def by(column: sa.ColumnElement[Any]) -> Sort:
    """Sort by a column; times that are not there come last."""
    if isinstance(column.type, sa.Float):
        return Sort(sa.func.coalesce(column, NEVER) if _nullable(column) else column, number=True)
    return Sort(sa.func.coalesce(column, "") if _nullable(column) else column, number=False)


def _nullable(column: sa.ColumnElement[Any]) -> bool:
    return not isinstance(column, sa.Column) or bool(column.nullable)


def page(
    connection: sa.Connection,
    listing: Listing,
    query: Query,
    *whose: sa.ColumnElement[bool],
    now: float,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return up to `query.limit` rows that meet every clause of `whose`, and the next cursor.

    InvalidError names the parameter that can't be taken.
    """
    ordered = _ordered(listing, query)
    labelled = [one.expression.label(f"sort_{at}") for at, (one, _) in enumerate(ordered)]
    wanted = sa.select(listing.table, *labelled).where(*whose, *_clauses(listing, query, now))
    if query.after is not None:
        wanted = wanted.where(_beyond(listing, ordered, _read_cursor(listing, query, ordered)))
    down = ordered[-1][1]
    identity = listing.table.c.id
    wanted = wanted.order_by(
        *(one.expression.desc() if falls else one.expression for one, falls in ordered),
        identity.desc() if down else identity,
    ).limit(query.limit + 1)
    rows = connection.execute(wanted).mappings().all()
    following = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        values = [last[f"sort_{at}"] for at in range(len(ordered))]
        following = _cursor(_sort_text(listing, query), values, last["id"])
    return [stored(row) for row in rows[: query.limit]], following


def _clauses(listing: Listing, query: Query, now: float) -> list[sa.ColumnElement[bool]]:
    clauses: list[sa.ColumnElement[bool]] = []
    faults: list[tuple[str, str]] = []
    for name, text in query.filters.items():
        if name not in listing.filters:
            faults.append((name, f"can't be filtered by; use {', '.join(listing.filters)}"))
            continue
        try:
            clauses.append(listing.filters[name].clause(text, now))
        except ValueError as error:
            faults.append((name, str(error)))
    if query.q is not None:
        if not 1 <= len(query.q) <= MAX_SEARCH:
            faults.append(("q", f"must be 1 to {MAX_SEARCH} characters"))
        columns = [listing.table.c[name] for name in listing.searched]
        clauses.append(sa.or_(*(column.icontains(query.q, autoescape=True) for column in columns)))
    if faults:
        raise InvalidError(faults)
    return clauses


def _ordered(listing: Listing, query: Query) -> list[tuple[Sort, bool]]:
    """Return what to sort by and whether it falls."""
    told = query.sort or listing.default
    names = [one.removeprefix("-") for one in told]
    good = all(_SORT.fullmatch(one) for one in told) and set(names) <= set(listing.sorts)
    if not good or len(set(names)) < len(names) or len(names) > MAX_SORTS:
        known = ", ".join(listing.sorts)
        msg = f"must be up to {MAX_SORTS} of {known}, each once; - before one for descending"
        raise InvalidError([("sort", msg)])
    return [(listing.sorts[one.removeprefix("-")], one.startswith("-")) for one in told]


def _beyond(
    listing: Listing, ordered: list[tuple[Sort, bool]], mark: tuple[list[str | float], str]
) -> sa.ColumnElement[bool]:
    """Return the clause for what comes after a mark."""
    values, last_id = mark
    parts = [(one.expression, falls) for one, falls in ordered]
    parts.append((listing.table.c.id, ordered[-1][1]))
    marks: list[str | float] = [*values, last_id]
    if len({falls for _, falls in parts}) == 1:
        # One comparison of rows, which an index on the same columns answers by itself.
        left = sa.tuple_(*(expression for expression, _ in parts))
        right = sa.tuple_(*(sa.literal(value) for value in marks))
        return left < right if parts[0][1] else left > right
    alternatives: list[sa.ColumnElement[bool]] = []
    for at, (expression, falls) in enumerate(parts):
        equal = [parts[before][0] == marks[before] for before in range(at)]
        further = expression < marks[at] if falls else expression > marks[at]
        alternatives.append(sa.and_(*equal, further))
    return sa.or_(*alternatives)


def _sort_text(listing: Listing, query: Query) -> str:
    return ",".join(query.sort or listing.default)


def _cursor(sort: str, values: Iterable[str | float], last_id: str) -> str:
    told = msgspec.json.encode([sort, list(values), last_id])
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _read_cursor(
    listing: Listing, query: Query, ordered: list[tuple[Sort, bool]]
) -> tuple[list[str | float], str]:
    """Read a cursor that may be anything; InvalidError unless it could be one of ours."""
    text = query.after or ""
    wrong = InvalidError([("after", f"{text[:64]!r} is not the `next` of a page of this list")])
    if len(text) > _MAX_CURSOR or not _CURSOR.fullmatch(text):
        raise wrong
    try:
        held = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        sort, values, last_id = msgspec.json.decode(held, type=tuple[str, list[str | float], str])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wrong from None
    if sort != _sort_text(listing, query):
        msg = f"belongs to a list with sort={sort[:64]!r}; start again without it"
        raise InvalidError([("after", msg)])
    fits = len(values) == len(ordered) and all(
        isinstance(value, float) and math.isfinite(value)
        if one.number
        else isinstance(value, str) and "\0" not in value
        for value, (one, _) in zip(values, ordered, strict=False)
    )
    if not fits or "\0" in last_id:
        raise wrong
    return values, last_id
