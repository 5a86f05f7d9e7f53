"""Times as the fields of a form tell them, always in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from latchgate.core.timestamp import parse_rfc3339
from latchgate.manage.errors import InvalidError

DAY = 86_400.0
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MINUTE = re.compile(rf"{_DAY.pattern}T[0-9]{{2}}:[0-9]{{2}}(?::[0-9]{{2}})?")


def read_moment(name: str, text: str, *, end: bool = False) -> float:
    """Read `2026-12-01`, `2026-12-01T08:30` or an RFC 3339 time as Unix seconds.

    A day is its first moment, or with `end` that of the next one. InvalidError names the field.
    """
    try:
        if _DAY.fullmatch(text):
            return parse_rfc3339(f"{text}T00:00:00Z") + (DAY if end else 0.0)
        if _MINUTE.fullmatch(text):
            seconds = "" if text.count(":") > 1 else ":00"
            return parse_rfc3339(f"{text}{seconds}Z")
        return parse_rfc3339(text)
    except ValueError as error:
        raise InvalidError([(name, str(error))]) from error


def minute_text(at: float) -> str:
    """Return a time as a field of the type `datetime-local` takes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M")
