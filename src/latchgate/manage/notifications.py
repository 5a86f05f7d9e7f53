"""Notifications: written in the transaction of what they tell of, so that none is lost or made up.

Rule of this file: never a secret. Who hears of one, and how, is decided later (jobs/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.timestamp import rfc3339
from latchgate.store import schema
from latchgate.store.journal import Change

_encode = msgspec.json.Encoder(order="sorted").encode


def notify(
    change: Change,
    event: Event,
    record: str,
    *,
    tenant_id: str | None,
    user_id: str | None,
    data: Mapping[str, Any],
    entropy: Callable[[int], bytes],
) -> str:
    """Write down what happened to a record, inside the change that made it happen; returns its id.

    `tenant_id` None tells the operator, `user_id` whose record it is. Ids sort by time.
    """
    event_id = f"evt-{round(change.at * 1000):012x}-{entropy(8).hex()}"
    row = {
        "id": event_id,
        "at": change.at,
        "event": str(event),
        "tenant_id": tenant_id,
        "user_id": user_id,
        "record": record,
        "data": _encode(dict(data)).decode(),
        "routed": False,
    }
    change.execute(sa.insert(schema.notification).values(row))
    return event_id


def about(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event tells of a credential: which it is and whose, not what it opens."""
    return {
        "credential_id": row["id"],
        "kind": row["kind"],
        "name": row["name"],
        "hint": row["hint"] or None,
        "owner_id": row["owner_id"],
        "project_id": row["project_id"],
        "created_at": rfc3339(row["created_at"]),
    }
