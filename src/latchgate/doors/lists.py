"""What a list is asked for by query, read strictly: page, search, sort and declared filters."""

from __future__ import annotations

import re
from collections.abc import Iterable

from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import MAX_PAGE, Listing, Query

_WHOLE = re.compile(r"[0-9]{1,6}")


def read_query(items: Iterable[tuple[str, str]], listing: Listing, *, limit: int = 100) -> Query:
    """Read the query of a list; `limit` is how many a page holds unless told.

    InvalidError names the parameter that can't be taken.
    """
    pairs = list(items)
    told = dict(pairs)
    if len(told) < len(pairs):
        raise InvalidError([("query", "a parameter is given twice")])
    unknown = sorted(set(told) - set(listing.parameters()))
    if unknown:
        known = ", ".join(listing.parameters())
        raise InvalidError([(unknown[0], f"there is no such parameter; use {known}")])
    asked = told.get("limit", str(limit))
    if not _WHOLE.fullmatch(asked) or not 1 <= int(asked) <= MAX_PAGE:
        raise InvalidError([("limit", f"must be a whole number from 1 to {MAX_PAGE}")])
    return Query(
        limit=int(asked),
        after=told.get("after"),
        q=told.get("q"),
        sort=tuple(told["sort"].split(",")) if "sort" in told else (),
        filters={name: text for name, text in told.items() if name in listing.filters},
    )
