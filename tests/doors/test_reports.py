"""What a report is asked for by: read strictly, each wrong parameter named."""

from __future__ import annotations

import pytest

from latchgate.doors.reports import read_bill, read_only, read_time, read_usage
from latchgate.manage.errors import InvalidError
from latchgate.manage.usage import BillBy
from latchgate.store.usage import Period

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC


def test_a_time_is_one_or_so_long_ago():
    assert read_time("since", "2027-01-01T00:00:00Z", NOW) == NOW - 14 * 86_400 - 8 * 3_600
    assert read_time("since", "7d", NOW) == NOW - 7 * 86_400


def test_what_is_not_told_is_the_last_week_by_reason_and_hour():
    asked = read_usage({}, NOW)
    assert (asked.by, asked.period) == (("reason",), Period.HOUR)
    assert (asked.since, asked.until) == (NOW - 7 * 86_400, NOW + 1)
    assert read_usage({"by": "day,scope,day"}, NOW).by == ("day", "scope")
    assert read_usage({"by": "day"}, NOW).period is Period.DAY


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"by": "weather"}, "by"),
        ({"by": "day", "period": "hour"}, "by"),
        ({"period": "year"}, "period"),
        ({"since": "soon"}, "since"),
        ({"since": "1d", "until": "2027-01-01T00:00:00Z"}, "since"),
        ({"until": "2027-02-30T00:00:00Z"}, "until"),
    ],
)
def test_what_cannot_be_asked_is_named(told, field):
    with pytest.raises(InvalidError) as refused:
        read_usage(told, NOW)
    assert field in dict(refused.value.faults)


def test_a_bill_is_of_this_month_unless_told():
    assert read_bill({}, NOW) == ("2027-01", BillBy.CREDENTIAL)
    assert read_bill({"month": "2026-11", "by": "project"}, NOW) == ("2026-11", BillBy.PROJECT)
    with pytest.raises(InvalidError, match="by"):
        read_bill({"by": "area"}, NOW)


def test_filters_are_those_of_a_report_alone():
    told = {"tenant_id": "t-1", "scope": "s", "by": "reason", "month": "2026-11"}
    assert read_only(told) == {"tenant": "t-1", "scope": "s"}
