"""What is past its time goes, piece by piece, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.world import raw_rows, run

from latchgate.store import retention
from latchgate.store.errors import StoreError
from latchgate.store.retention import Retention, trim

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DAY = 86_400
KEPT = Retention(minutes=2, hours=35, days=400, sources=90)


@pytest.fixture
def world(usage_world):
    """In either database."""
    return usage_world


def fill(world, table, ages, *, credential="c"):
    """Write a row of each age, in days."""
    rows = []
    for number, age in enumerate(ages):
        at = NOON - age * DAY
        values: tuple[object, ...]
        if table == "use_source":
            values = (credential, f"192.0.2.{number}", "", "/a", "", 1, 0, at, at)
        elif table == "use_tenant":
            values = (int(at), "t", "allowed", 1)
        else:
            bill = (0, "") if table == "use_day" else ()
            values = (int(at), "t", "p", credential, "", "/a", "s", "allowed", *bill, 1)
        rows.append(str(values))
    run(world.usage_database, f"INSERT INTO {table} VALUES {', '.join(rows)}")  # noqa: S608


def ages(world, table, column="at"):
    found = raw_rows(world.usage_database, f"SELECT {column} FROM {table} ORDER BY 1 DESC")  # noqa: S608
    return [(NOON - at) / DAY for (at,) in found]


@pytest.mark.parametrize(
    ("table", "days"),
    [("use_minute", 2), ("use_hour", 35), ("use_day", 400), ("use_tenant", 35), ("use_source", 90)],
)
def test_each_table_keeps_its_days(world, table, days):
    fill(world, table, [0, days, days + 0.001, days + 1])
    trim(world.usage_database, KEPT, now=NOON)
    assert ages(world, table, "last_at" if table == "use_source" else "at") == [0, days]


def test_the_hours_of_tenants_reach_back_as_far_as_the_console_shows_them(world):
    fill(world, "use_tenant", [31, 31.001])
    trim(world.usage_database, Retention(minutes=1, hours=1, days=1, sources=1), now=NOON)
    assert ages(world, "use_tenant") == [31]


def test_what_does_not_fit_one_run_goes_with_the_next(world, monkeypatch):
    monkeypatch.setattr(retention, "PIECE", 3)
    monkeypatch.setattr(retention, "PIECES", 2)
    fill(world, "use_minute", [3 + number / DAY for number in range(10)])
    for left in (4, 0, 0):
        trim(world.usage_database, KEPT, now=NOON)
        assert len(ages(world, "use_minute")) == left


def test_a_credential_keeps_its_newest_sources_whatever_others_have(world):
    fill(world, "use_source", [number / DAY for number in range(130)])
    fill(world, "use_source", [50], credential="quiet")
    trim(world.usage_database, KEPT, now=NOON)
    kept = "SELECT address FROM use_source WHERE credential_id = 'c' ORDER BY last_at DESC"
    assert raw_rows(world.usage_database, kept) == [(f"192.0.2.{number}",) for number in range(100)]
    quiet = "SELECT COUNT(*) FROM use_source WHERE credential_id = 'quiet'"
    assert raw_rows(world.usage_database, quiet) == [(1,)]


def test_a_database_that_is_not_there_is_a_fault_of_the_store(tmp_path):
    with pytest.raises(StoreError):
        trim(tmp_path / "nothing" / "u.db", KEPT, now=NOON)
