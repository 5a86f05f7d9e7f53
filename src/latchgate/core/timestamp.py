"""Unix seconds to RFC 3339 and back, and to HTTP's own form, always in UTC."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime

_LAST = 253_402_300_798  # a second before the last that can be shown again, in the year 9999
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def rfc3339(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC with microseconds, trailing zeros dropped."""
    moment = datetime.fromtimestamp(seconds, UTC)
    whole = moment.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{whole}{fraction}Z"


def maybe_rfc3339(seconds: float | None) -> str | None:
    """Return a time that may not have come as `rfc3339` does; None where there is none."""
    return None if seconds is None else rfc3339(seconds)


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def imf_fixdate(seconds: float) -> str:
    """Return a time as HTTP writes dates (RFC 9110 §5.6.7), whatever the process's language is."""
    moment = datetime.fromtimestamp(int(seconds), UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"


def parse_rfc3339(text: str) -> float:
    """Read an RFC 3339 time with its offset; ValueError shows what would be right.

    `fromisoformat` alone would take week dates, missing seconds and other ISO 8601 forms.
    """
    moment = None
    if _RFC3339.fullmatch(text):
        with suppress(ValueError):
            moment = datetime.fromisoformat(text.upper())
    if moment is None or moment.timestamp() > _LAST:
        msg = f"{text[:40]!r} is not a time such as 2026-12-01T00:00:00Z"
        raise ValueError(msg)
    return moment.timestamp()
