"""Which applications a user has blocked for themselves.

Rule of this file: a user blocks and unblocks for nobody else, and never lifts what a developer
withdrew.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.manage.actor import Caller
from latchgate.manage.applications import found
from latchgate.store import schema
from latchgate.store.journal import Change, Store

_BY_USER = "user"


class StoredBlock(msgspec.Struct, frozen=True):
    """An application that may not act for a user, by whose wish; times are Unix seconds."""

    application_id: str
    name: str
    vendor: str
    blocked_by: list[str]
    at: float


def listed(store: Store, caller: Caller) -> list[StoredBlock]:
    """Return the applications that may not act for the caller, by name."""
    with store.reading() as connection:
        return _blocks(connection, caller.owner.id)


def block(store: Store, caller: Caller, application_id: str) -> int:
    """Keep an application from acting for the caller, at once; returns the journal number.

    A repeated one has its receipt waited for again. NotFoundError for no such application.
    """
    with store.change(caller.actor) as change:
        found(change.connection, application_id)
        row = _row(caller, application_id)
        if _there(change, row):
            return _head(change)
        change.execute(sa.insert(schema.application_block).values(**row, at=change.at))
        return _note(change, caller, "application.block", {"after": row})


def unblock(store: Store, caller: Caller, application_id: str) -> tuple[bool, int]:
    """Lift the caller's own block; returns whether the developer's stands still, and the number.

    NotFoundError for no such application.
    """
    table = schema.application_block
    with store.change(caller.actor) as change:
        found(change.connection, application_id)
        row = _row(caller, application_id)
        by_developer = _there(change, row | {"blocked_by": "developer"})
        if not _there(change, row):
            return by_developer, _head(change)
        mine = (table.c[name] == value for name, value in row.items())
        change.execute(sa.delete(table).where(*mine))
        return by_developer, _note(change, caller, "application.unblock", {"before": row})


def _blocks(connection: sa.Connection, user_id: str) -> list[StoredBlock]:
    table, application = schema.application_block, schema.application
    rows = connection.execute(
        sa.select(table, application.c.name, application.c.vendor)
        .join(application, application.c.id == table.c.application_id)
        .where(table.c.user_id == user_id)
        .order_by(application.c.name, application.c.id, table.c.blocked_by)
    ).all()
    told: dict[str, StoredBlock] = {}
    for row in rows:
        before = told.get(row.application_id)
        blocked_by = [*(before.blocked_by if before is not None else ()), row.blocked_by]
        at = min(row.at, before.at) if before is not None else row.at
        told[row.application_id] = StoredBlock(
            row.application_id, row.name, row.vendor, blocked_by, at
        )
    return list(told.values())


def _row(caller: Caller, application_id: str) -> dict[str, str]:
    return {
        "user_id": caller.owner.id,
        "application_id": application_id,
        "blocked_by": _BY_USER,
    }


def _there(change: Change, row: dict[str, str]) -> bool:
    table = schema.application_block
    wanted = sa.select(table.c.at).where(*(table.c[name] == value for name, value in row.items()))
    return change.execute(wanted).one_or_none() is not None


def _note(change: Change, caller: Caller, action: str, detail: dict[str, object]) -> int:
    # Their user record is what verifiers keep the blocks in.
    return change.note(
        action, Noun.USER, caller.owner.id, tenant_id=caller.tenant_id, detail=detail
    )


def _head(change: Change) -> int:
    n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return n
