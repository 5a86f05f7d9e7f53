"""Keys of applications, of any kind: written, replaced with a grace, revoked.

Rule of this file: one key of a kind stands for a target, and those that it replaced stand beside it
until their grace ends. What an application proves itself with is of more than one kind (its
API-KEY, its OAuth2 client's secret), and one kind never ends another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import ApplicationKeyKind, Issued
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change

TABLE = schema.application_key


class StoredApplicationKey(msgspec.Struct, frozen=True):
    """The key of an application as stored, without its digest; times are Unix seconds."""

    id: str
    user_id: str | None
    created_at: float
    revoked_at: float | None
    expires_at: float | None
    superseded_by: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Which key is meant: of which application and kind, for one user or (None) for every one."""

    application_id: str
    kind: str
    user_id: str | None = None


def standing(now: float, place: Place) -> sa.ColumnElement[bool]:
    """Return the clause that keys of an application and kind meet which are not at their end."""
    ended = sa.func.coalesce(TABLE.c.expires_at <= now, sa.false())
    return sa.and_(
        TABLE.c.application_id == place.application_id,
        TABLE.c.kind == place.kind,
        TABLE.c.revoked_at.is_(None),
        sa.not_(ended),
    )


def listed(connection: sa.Connection, place: Place, *, now: float) -> list[StoredApplicationKey]:
    """Return the keys of an application and kind that stand, oldest first, for whomever."""
    wanted = sa.select(TABLE).where(standing(now, place))
    rows = connection.execute(wanted.order_by(TABLE.c.created_at, TABLE.c.id)).mappings()
    return [stored_key(row) for row in rows]


def of_application(
    connection: sa.Connection, policy: Policy, application_id: str, *, now: float
) -> list[StoredApplicationKey]:
    """Return the keys that an application names itself by and that stand; no client's secret."""
    names = [one.name for one in policy.kinds.values() if isinstance(one, ApplicationKeyKind)]
    places = (Place(application_id, name) for name in names)
    return [key for place in places for key in listed(connection, place, now=now)]


def insert(change: Change, place: Place, issued: Issued) -> tuple[StoredApplicationKey, int]:
    """Write a new key inside a change; returns it and the journal number."""
    row = {
        "id": issued.id,
        "kind": place.kind,
        "application_id": place.application_id,
        "user_id": place.user_id,
        "digest": issued.digest,
        "created_at": change.at,
        "created_by": change.actor.name,
        "revoked_at": None,
        "expires_at": None,
        "superseded_by": None,
    }
    n = change.add("application_key.create", Noun.APPLICATION_KEY, TABLE, row, tenant_id=None)
    return stored_key(row), n


def make_room(change: Change, place: Place, new_id: str, *, replace: int | None, most: int) -> None:
    """End the key that is there, or refuse to make a second one.

    With `replace` it works on for so many seconds, and with 0 all there are revoked at once; with
    None, ConflictError when there is one. ConflictError too where more than `most` would stand.
    """
    rows = change.execute(sa.select(TABLE).where(standing(change.at, place))).mappings().all()
    there = [row for row in rows if row["user_id"] == place.user_id]
    if there and replace is None:
        raise ConflictError("There is a key already; reissue replaces it.")
    if len(rows) - (0 if replace else len(there)) >= most:
        raise ConflictError(f"It has {most} keys, which is as many as there can be.")
    for row in there:
        newest = row["superseded_by"] is None
        after: dict[str, Any] = {}
        if newest:
            after = {"superseded_by": new_id, "superseded_at": change.at}
        if not replace:
            after["revoked_at"] = change.at
        elif newest:
            after["expires_at"] = change.at + replace
        if after:
            _alter(change, "rotate" if replace else "revoke", dict(row), after)


def revoke(change: Change, row: dict[str, Any]) -> int:
    """Revoke a key inside a change; returns the journal number."""
    return _alter(change, "revoke", row, {"revoked_at": change.at})


def _alter(change: Change, verb: str, row: dict[str, Any], after: dict[str, Any]) -> int:
    action, noun = f"application_key.{verb}", Noun.APPLICATION_KEY
    return change.alter(action, noun, TABLE, row, after, tenant_id=None)


def stored_key(row: sa.RowMapping | dict[str, Any]) -> StoredApplicationKey:
    """Return a row as the key that it is."""
    return StoredApplicationKey(
        **{name: row[name] for name in StoredApplicationKey.__struct_fields__}
    )
