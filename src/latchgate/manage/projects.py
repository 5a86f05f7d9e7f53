"""Projects of a tenant, in which roles are held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import kept
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Line
from latchgate.manage.listing import Listing, Query, by, equals, page, truth
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.store import schema
from latchgate.store.journal import Change, Store

TABLE = schema.project
LISTING = Listing(
    table=TABLE,
    searched=("id", "name"),
    filters={"name": equals(TABLE.c.name), "active": truth(TABLE.c.active)},
    sorts={"created_at": by(TABLE.c.created_at), "name": by(TABLE.c.name)},
)


class ProjectSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new project shall be."""

    name: Line


class ProjectPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a project; absent stays."""

    name: Line | msgspec.UnsetType = msgspec.UNSET


class StoredProject(msgspec.Struct, frozen=True):
    """A project as stored; times are Unix seconds."""

    id: str
    name: str
    active: bool
    created_at: float
    version: int


def add(change: Change, project_id: str, tenant_id: str, name: str) -> int:
    """Write a new project inside a change; returns the journal number."""
    row = {
        "id": project_id,
        "tenant_id": tenant_id,
        "name": name,
        "active": True,
        "created_at": change.at,
    }
    return change.add("project.create", Noun.PROJECT, TABLE, row, tenant_id=tenant_id)


def create(
    store: Store,
    caller: Caller,
    spec: ProjectSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredProject, bool]:
    """Make a project of the actor's tenant; returns it, and whether it is new.

    ConflictError when the tenant has one of this name.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, caller, before), False
    project_id = new_id("p", entropy)
    with store.change(caller.actor) as change:
        remember(change, caller, once, project_id)
        add(change, project_id, caller.tenant_id, spec.name)
        return _stored(own(change.connection, caller, project_id)), True


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredProject], str | None]:
    """Return a page of the tenant's projects, and the next cursor."""
    with store.reading() as connection:
        mine = TABLE.c.tenant_id == caller.tenant_id
        rows, following = page(connection, LISTING, query, mine, now=now)
    return [_stored(row) for row in rows], following


def shown(store: Store, caller: Caller, project_id: str) -> StoredProject:
    """Return one project of the actor's tenant; NotFoundError."""
    with store.reading() as connection:
        return _stored(own(connection, caller, project_id))


def change_project(
    store: Store, caller: Caller, project_id: str, patch: ProjectPatch, *, match: IfMatch = ANY
) -> StoredProject:
    """Rename a project. NotFoundError, StaleError; ConflictError when the name is taken."""
    with store.change(caller.actor) as change:
        row = own(change.connection, caller, project_id, match)
        _alter(change, caller, "project.change", row, asked(patch))
    return _stored(row)


def switch(
    store: Store, caller: Caller, project_id: str, *, active: bool, match: IfMatch = ANY
) -> tuple[StoredProject, int]:
    """Disable or enable a project; returns it and the number that verifiers must reach.

    NotFoundError, StaleError; ConflictError when nobody could manage the tenant any more.
    """
    with store.change(caller.actor) as change, kept(change, caller.tenant_id):
        row = own(change.connection, caller, project_id, match)
        action = "project.enable" if active else "project.disable"
        n = _alter(change, caller, action, row, {"active": active})
    return _stored(row), n


def _alter(
    change: Change, caller: Caller, action: str, row: dict[str, Any], new: dict[str, Any]
) -> int:
    return alter(change, action, Noun.PROJECT, TABLE, row, new, tenant_id=caller.tenant_id)


def own(
    connection: sa.Connection, caller: Caller, project_id: str, match: IfMatch = ANY
) -> dict[str, Any]:
    """Return the row of a project of the actor's tenant; NotFoundError, StaleError."""
    mine = TABLE.c.tenant_id == caller.tenant_id
    return find(connection, TABLE, project_id, mine, noun="project", match=match)


def _stored(row: dict[str, Any]) -> StoredProject:
    return StoredProject(**{name: row[name] for name in StoredProject.__struct_fields__})
