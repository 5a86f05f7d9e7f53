"""A notification stands or falls with what it tells of."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.manage.notifications import notify
from latchgate.store import schema
from latchgate.store.journal import Actor, stored

pytestmark = pytest.mark.both_databases

JOBS = Actor(name="latchgate", tenant_id=None)


def told(world):
    table = schema.notification
    with world.store.reading() as connection:
        found = connection.execute(sa.select(table).order_by(table.c.id)).mappings().all()
    return [stored(row) for row in found]


def say(change, record, **data):
    return notify(
        change,
        Event.CREDENTIAL_EXPIRING,
        record,
        tenant_id="t-1",
        user_id="u-1",
        data=data,
        entropy=lambda n: bytes(range(n)),
    )


def change_that_fails(world):
    with world.store.change(JOBS) as change:
        say(change, "key-1")
        raise ZeroDivisionError


def test_what_is_told_is_written_with_the_change(world):
    with world.store.change(JOBS) as change:
        event_id = say(change, "key-1", days=7)
    (row,) = told(world)
    assert row == {
        "id": event_id,
        "at": row["at"],
        "event": "credential.expiring",
        "tenant_id": "t-1",
        "user_id": "u-1",
        "record": "key-1",
        "data": {"days": 7},
        "routed": False,
    }


def test_what_did_not_happen_is_not_told(world):
    with pytest.raises(ZeroDivisionError):
        change_that_fails(world)
    assert told(world) == []
