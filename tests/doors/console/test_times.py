"""Times of forms: days, minutes and RFC 3339, in UTC, or the field that is wrong."""

from __future__ import annotations

import pytest

from latchgate.core.timestamp import rfc3339
from latchgate.doors.console.times import minute_text, read_moment
from latchgate.manage.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "end", "moment"),
    [
        ("2026-12-01", False, "2026-12-01T00:00:00Z"),
        ("2026-12-31", True, "2027-01-01T00:00:00Z"),
        ("2026-12-01T08:30", False, "2026-12-01T08:30:00Z"),
        ("2026-12-01T08:30:15", True, "2026-12-01T08:30:15Z"),
        ("2026-12-01T08:30:00+02:00", False, "2026-12-01T06:30:00Z"),
    ],
)
def test_a_moment_is_read_in_utc(text, end, moment):
    read = read_moment("since", text, end=end)
    assert rfc3339(read) == moment
    assert minute_text(read) == moment[:16]


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-02-30T00:00", "9999-12-31T23:59:59Z"]
)
def test_what_is_no_moment_names_its_field(text):
    with pytest.raises(InvalidError) as refused:
        read_moment("since", text)
    assert [field for field, _ in refused.value.faults] == ["since"]
