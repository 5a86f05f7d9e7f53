"""The end of a grace: brought about early, or told of on its day, once.

Rule of this file: what is told is remembered in the change that tells it, so neither a crash nor a
second look tells twice. Whoever ends one by hand is told by the answer, and nobody else is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.model import Noun
from latchgate.core.timestamp import rfc3339
from latchgate.manage.notifications import about, notify
from latchgate.manage.rotation import word_of
from latchgate.store import schema
from latchgate.store.journal import Change

_TABLE, _WARNED = schema.credential, schema.warned
_ONCE = 0  # the threshold of what is told once ever


def waiting(now: float) -> sa.Select[tuple[str, float, float]]:
    """Select those that end early if they are quiet: id, when they were rotated, quiet seconds."""
    column = _TABLE.c
    return sa.select(column.id, column.superseded_at, column.quiet_seconds).where(
        column.quiet_seconds.is_not(None),
        column.superseded_by.is_not(None),
        column.revoked_at.is_(None),
        column.expires_at > now,
        column.superseded_at + column.quiet_seconds <= now,
    )


def ended(since: float, now: float) -> sa.Select[tuple[str, float]]:
    """Select id and end of those whose grace ended by the clock since, and nobody was told of."""
    column = _TABLE.c
    told = sa.exists().where(
        _WARNED.c.credential_id == column.id,
        _WARNED.c.event == str(Event.CREDENTIAL_GRACE_ENDED),
    )
    return sa.select(column.id, column.expires_at).where(
        column.expires_at > since,
        column.expires_at <= now,
        column.superseded_by.is_not(None),
        column.revoked_at.is_(None),
        ~told,
    )


def retire(change: Change, credential_id: str, *, entropy: Callable[[int], bytes]) -> None:
    """End the grace of a rotated credential now, inside a change; nothing where it has ended."""
    row = _superseded(change, credential_id)
    if row is None or change.at >= row["expires_at"]:
        return
    action, after = f"{word_of(row)}.retire", {"revoked_at": change.at}
    tenant_id = row["tenant_id"]
    change.alter(action, Noun.CREDENTIAL, _TABLE, row, after, tenant_id=tenant_id)
    _tell(change, row, change.at, entropy)


def tell_ended(change: Change, credential_id: str, *, entropy: Callable[[int], bytes]) -> None:
    """Tell whose grace ended by the clock, inside a change; nothing where it has not, or again."""
    row = _superseded(change, credential_id)
    if row is not None and change.at >= row["expires_at"]:
        _tell(change, row, row["expires_at"], entropy)


def _superseded(change: Change, credential_id: str) -> dict[str, Any] | None:
    """Return the row of a credential that was rotated and that nobody revoked."""
    wanted = sa.select(_TABLE).where(
        _TABLE.c.id == credential_id,
        _TABLE.c.superseded_by.is_not(None),
        _TABLE.c.revoked_at.is_(None),
    )
    row = change.execute(wanted).mappings().one_or_none()
    return dict(row) if row is not None else None


def _tell(
    change: Change, row: dict[str, Any], ended_at: float, entropy: Callable[[int], bytes]
) -> None:
    event = Event.CREDENTIAL_GRACE_ENDED
    mine = (_WARNED.c.credential_id == row["id"], _WARNED.c.event == str(event))
    if change.execute(sa.select(_WARNED.c.at).where(*mine)).first() is not None:
        return
    kept = {"credential_id": row["id"], "event": str(event), "threshold": _ONCE, "at": change.at}
    change.execute(sa.insert(_WARNED).values(kept))
    notify(
        change,
        event,
        row["id"],
        tenant_id=row["tenant_id"],
        user_id=row["owner_id"],
        data=about(row) | {"successor": row["superseded_by"], "ended_at": rfc3339(ended_at)},
        entropy=entropy,
    )
