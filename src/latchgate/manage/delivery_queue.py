"""What is on its way to somebody: one row for each notification and place, until it is settled.

Rule of this file: who may see a place is its noun's to say; what brings it there is a job's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.manage.listing import Listing, Query, by, equals, page
from latchgate.manage.records import new_id
from latchgate.store import schema
from latchgate.store.journal import Change

WEBHOOK = "webhook"  # how it goes
MAIL = "mail"
MAX_WAITING = 10_000  # on their way to one place; what happens beyond that it doesn't hear of
_DELIVERY = schema.delivery


class StoredDelivery(msgspec.Struct, frozen=True):
    """An event on its way to a webhook; times are Unix seconds."""

    id: str
    event_id: str
    event: str
    at: float
    state: str
    attempts: int
    next_attempt_at: float | None
    settled_at: float | None
    last_error: str | None


LISTING = Listing(
    table=_DELIVERY,
    searched=("id", "notification_id"),
    filters={"state": equals(_DELIVERY.c.state, "pending", "delivered", "failed")},
    sorts={"at": by(_DELIVERY.c.at)},
    default=("-at",),
)


def listed(
    connection: sa.Connection, webhook_id: str, query: Query, *, now: float
) -> tuple[list[StoredDelivery], str | None]:
    """Return a page of what was sent to a webhook, newest first unless told."""
    rows, following = page(connection, LISTING, query, to(webhook_id), now=now)
    table = schema.notification
    ids = [row["notification_id"] for row in rows]
    told = connection.execute(sa.select(table.c.id, table.c.event).where(table.c.id.in_(ids)))
    events = {one.id: one.event for one in told}
    return [shown(row, events[row["notification_id"]]) for row in rows], following


def waiting(change: Change) -> Counter[str]:
    """Return how much is on its way to each place."""
    column = _DELIVERY.c
    pending = sa.select(column.target).where(column.state == "pending")
    counted = pending.add_columns(sa.func.count().label("waiting")).group_by(column.target)
    return Counter({row.target: row.waiting for row in change.execute(counted)})


def add(
    change: Change,
    notification: str,
    channel: str,
    target: str,
    *,
    entropy: Callable[[int], bytes],
) -> dict[str, Any]:
    """Write down that a notification is to go somewhere, at once; returns the delivery."""
    row = {
        "id": new_id("dl", entropy),
        "notification_id": notification,
        "channel": channel,
        "target": target,
        "at": change.at,
        "attempts": 0,
        "next_at": change.at,
        "state": "pending",
        "last_error": None,
        "settled_at": None,
    }
    change.execute(sa.insert(_DELIVERY).values(row))
    return row


def to(webhook_id: str) -> sa.ColumnElement[bool]:
    """Return what is true of deliveries to a webhook."""
    return sa.and_(_DELIVERY.c.channel == WEBHOOK, _DELIVERY.c.target == webhook_id)


def shown(row: dict[str, Any], event: str) -> StoredDelivery:
    """Return a row as it is told, with the event that it tells of."""
    pending = row["state"] == "pending"
    return StoredDelivery(
        id=row["id"],
        event_id=row["notification_id"],
        event=event,
        at=row["at"],
        state=row["state"],
        attempts=row["attempts"],
        next_attempt_at=row["next_at"] if pending else None,
        settled_at=row["settled_at"],
        last_error=row["last_error"],
    )
