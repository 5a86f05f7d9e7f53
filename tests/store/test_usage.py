"""What is read of usage: sums by any column, between two times, of those asked for alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.world import asking

from latchgate.core.redact import redactor
from latchgate.store.errors import StoreError
from latchgate.store.recorder import Usage
from latchgate.store.usage import Column, Period, Total, UsageReader

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3_600, 86_400


@pytest.fixture
def world(usage_world):
    """In either database."""
    return usage_world


@pytest.fixture
def reader(world):
    made = UsageReader(world.usage_database)
    yield made
    made.close()


@pytest.fixture
def use(world):
    """Decide at a time, and write it down."""
    now = NOON
    recorder = Usage(world.usage_database, redact=redactor(), ticks=lambda: 0.0, clock=lambda: now)
    engine = world.engine(clock=lambda: now, on_decision=recorder.note)

    def at(time, key, **how):
        nonlocal now
        now = time
        engine.decide(asking(key, **how))
        recorder.flush()

    yield at
    recorder.close()


def counts(totals, column):
    return {one.by[column]: one.count for one in totals}


def test_counts_are_summed_by_the_columns_asked_for(world, reader, use):
    one, other = world.key(scopes=["storage:read"]), world.key(owner=world.somebody())
    use(NOON, one)
    use(NOON + HOUR, one)
    use(NOON, one, method="PUT")
    use(NOON, other)
    span = {"period": Period.HOUR, "since": NOON, "until": NOON + DAY}
    assert counts(reader.totals([Column.CREDENTIAL], **span), Column.CREDENTIAL) == {
        one.id: 3,
        other.id: 1,
    }
    assert reader.totals([Column.REASON, Column.SCOPE], **span) == [
        Total({Column.REASON: "allowed", Column.SCOPE: "storage:read"}, 3),
        Total({Column.REASON: "scope_not_granted", Column.SCOPE: "storage:write"}, 1),
    ]
    assert counts(reader.totals([Column.TENANT], **span), Column.TENANT) == {
        one.owner.tenant_id: 3,
        other.owner.tenant_id: 1,
    }
    assert reader.totals([], **span) == [Total({}, 4)]


def test_only_those_asked_for_are_counted(world, reader, use):
    keys = [world.key() for _ in range(3)]
    for key in keys:
        use(NOON, key)
    span = {"period": Period.DAY, "since": NOON, "until": NOON + DAY}
    only = {Column.CREDENTIAL: [keys[0].id, keys[2].id], Column.REASON: ["allowed"]}
    found = reader.totals([Column.CREDENTIAL], only=only, **span)
    assert counts(found, Column.CREDENTIAL) == {keys[0].id: 1, keys[2].id: 1}
    assert reader.totals([], only={Column.CREDENTIAL: ()}, **span) == [Total({}, 0)]
    quoted = {Column.CREDENTIAL: ["' OR 1 = 1 --"]}
    assert reader.totals([Column.AREA], only=quoted, **span) == []


@pytest.mark.parametrize("period", Period)
def test_a_period_counts_whole_from_since_and_not_at_all_from_until(world, reader, use, period):
    key, length = world.key(), period.value
    begins = period.start(NOON)
    for at in (begins - 1, begins, begins + length - 1, begins + length):
        use(at, key)
    found = reader.totals(
        [Column.AT], period=period, since=begins + length / 2, until=begins + length
    )
    assert found == [Total({Column.AT: begins}, 2)]


def test_no_more_rows_than_wanted_come_in_their_order(world, reader, use):
    for _ in range(4):
        use(NOON, world.key())
    span = {"period": Period.MINUTE, "since": NOON, "until": NOON + DAY}
    every = reader.totals([Column.CREDENTIAL], **span)
    assert [one.by for one in every] == sorted((one.by for one in every), key=str)
    assert reader.totals([Column.CREDENTIAL], limit=2, **span) == every[:2]


def test_a_reader_whose_file_fails_is_a_fault_of_the_store(world):
    reader = UsageReader(world.usage_database)
    reader.close()
    for read in (
        lambda: reader.sources("x", since=0),
        lambda: reader.totals([], period=Period.DAY, since=0, until=1),
        reader.ever,
    ):
        with pytest.raises(StoreError):
            read()


def test_refusals_of_a_credential_come_newest_first_and_of_its_tenant_alone(world, reader, use):
    key, other = world.key(scopes=["storage:read"]), world.key(scopes=[])
    for hour, method in enumerate(("PUT", "DELETE", "POST")):
        use(NOON + hour * HOUR, key, method=method)
    use(NOON, other)
    tenant = key.owner.tenant_id
    found = reader.refusals(tenant, limit=2, credential_id=key.id)
    assert [(one["method"], one["credential"]) for one in found] == [
        ("POST", key.id),
        ("DELETE", key.id),
    ]
    assert reader.refusals("t-other", limit=2, credential_id=key.id) == []
    assert key.text not in repr(found)
