"""Reports: what one is asked for by query, read strictly, and a table as a file of CSV.

Rule of this file: management API and console ask and answer alike; nothing is counted here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from latchgate.core.duration import parse_duration
from latchgate.core.timestamp import parse_rfc3339, rfc3339
from latchgate.manage import usage
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import BillBy, Table
from latchgate.store.usage import Period

SINCE = "7d"
PERIODS = {period.name.lower(): period for period in Period}
# A spreadsheet takes what begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def read_time(name: str, text: str, now: float) -> float:
    """Read an RFC 3339 time, or a duration before now."""
    try:
        if text[:4].isdigit() and text[4:5] == "-":
            return parse_rfc3339(text)
        return now - parse_duration(text)
    except ValueError as error:
        raise InvalidError([(name, f"{error}; or a time: 2026-12-01T00:00:00Z")]) from error


def read_usage(told: Mapping[str, str], now: float) -> usage.Asked:
    """Read which counts are wanted: `by`, `period`, `since`, `until` and filters; InvalidError."""
    faults: list[tuple[str, str]] = []
    by = tuple(dict.fromkeys(told.get("by", "reason").split(",")))
    unknown = [word for word in by if word not in usage.WORDS]
    if unknown:
        faults.append(("by", f"{unknown[0][:40]!r} is not one of {', '.join(usage.WORDS)}"))
    named = [word for word in by if word in PERIODS]
    period = told.get("period", named[0] if named else "hour")
    if period not in PERIODS:
        faults.append(("period", f"must be one of {', '.join(PERIODS)}"))
    elif any(word != period for word in named):
        faults.append(("by", f"tells apart by {period} where that is the period"))
    if faults:
        raise InvalidError(faults)
    since = read_time("since", told.get("since", SINCE), now)
    until = read_time("until", told["until"], now) if "until" in told else now + 1
    if since >= until:
        raise InvalidError([("since", "must be before until")])
    return usage.Asked(by, PERIODS[period], since, until, read_only(told))


def read_bill(told: Mapping[str, str], now: float) -> tuple[str, BillBy]:
    """Read of which month a bill is wanted, this one unless told, and by whom; InvalidError."""
    by = told.get("by", str(BillBy.CREDENTIAL))
    if by not in {str(one) for one in BillBy}:
        raise InvalidError([("by", f"must be one of {', '.join(BillBy)}")])
    return told.get("month", rfc3339(now)[:7]), BillBy(by)


def read_only(told: Mapping[str, str]) -> dict[str, str]:
    """Return the filters among parameters, each with the value that counts."""
    named = {"tenant" if name == "tenant_id" else name: text for name, text in told.items()}
    return {name: named[name] for name in usage.FILTERS if name in named}


def as_csv(table: Table) -> str:
    """Write RFC 4180: a head, CRLF, quotes where they are needed; no cell is a formula."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_cell(row[column]) for column in table.columns])
    return written.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
