"""Who and what stands behind ids that are shown: names beside them, one query for a page.

Rule of this file: an id of another tenant has no name here, unless the caller holds the operator's
scope for the page that shows it (`everywhere`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from latchgate.manage.actor import Caller
from latchgate.store import schema
from latchgate.store.journal import Store


class Named(msgspec.Struct, frozen=True):
    """A credential as it is called: its kind, its name if it has one, whose it is and where."""

    id: str
    kind: str
    name: str
    tenant_id: str
    owner_id: str
    project_id: str


def users(
    store: Store, caller: Caller, ids: Iterable[str | None], *, everywhere: bool
) -> dict[str, str]:
    """Return the names of users by their ids; those that the caller may not see are left out."""
    table = schema.user
    with store.reading() as connection:
        wanted = sa.select(table.c.id, table.c.name).where(*_of(table, caller, ids, everywhere))
        return {row.id: row.name for row in connection.execute(wanted)}


def credentials(
    store: Store, caller: Caller, ids: Iterable[str | None], *, everywhere: bool
) -> dict[str, Named]:
    """Return credentials by their ids; those that the caller may not see are left out."""
    table = schema.credential
    columns = [table.c[name] for name in Named.__struct_fields__]
    with store.reading() as connection:
        wanted = sa.select(*columns).where(*_of(table, caller, ids, everywhere))
        return {row.id: Named(*row) for row in connection.execute(wanted)}


def _of(
    table: sa.Table,
    caller: Caller,
    ids: Iterable[str | None],
    everywhere: bool,  # noqa: FBT001 - passed on
) -> list[sa.ColumnElement[bool]]:
    clauses: list[sa.ColumnElement[bool]] = [
        table.c.id.in_({one for one in ids if one is not None})
    ]
    return clauses if everywhere else [*clauses, table.c.tenant_id == caller.tenant_id]
