"""Nobody locks a tenant out: who can still manage its users and roles after a change.

An administrator is whoever stands (active, with API access, from anywhere at all) and holds, in an
active project, one role that by itself or by what it implies lets them manage users and roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from latchgate.core.scope import NONE, Scopes
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, stored

MANAGES = Scopes.of({"manage:users.write", "manage:roles.write"})
Roles = Mapping[str, Mapping[str, Any]]


@contextmanager
def kept(change: Change, tenant_id: str) -> Iterator[None]:
    """Run part of a change; ConflictError when it leaves a tenant without an administrator.

    One that had none before may be changed all the same.
    """
    had = _stands(change.connection, tenant_id)
    yield
    if had and not _stands(change.connection, tenant_id):
        msg = "this would leave the tenant without an active user who can manage users and roles"
        raise ConflictError(msg)


def usable(connection: sa.Connection, tenant_id: str) -> dict[str, dict[str, Any]]:
    """Return by id the roles that a tenant may use: its own, and those that all share."""
    table = schema.role
    mine = sa.or_(table.c.tenant_id == tenant_id, table.c.tenant_id.is_(None))
    rows = connection.execute(sa.select(table).where(mine)).mappings()
    return {row["id"]: stored(row) for row in rows}


def reached(roles: Roles, role_id: str) -> tuple[Scopes, frozenset[str]]:
    """Return the scopes that a role holds, implied ones included, and the roles it implies."""
    scopes, seen, left = NONE, set[str](), [role_id]
    while left:
        found = roles.get(left.pop())
        if found is None or found["id"] in seen:
            continue
        seen.add(found["id"])
        scopes |= Scopes.of(found["scopes"])
        left += found["implies"]
    return scopes, frozenset(seen - {role_id})


def _stands(connection: sa.Connection, tenant_id: str) -> bool:
    roles = usable(connection, tenant_id)
    full = [one for one in roles if not reached(roles, one)[0].lacking(MANAGES)]
    user, project, held = schema.user, schema.project, schema.role_assignment
    somebody = (
        sa.select(user.c.id)
        .join(held, held.c.user_id == user.c.id)
        .join(project, project.c.id == held.c.project_id)
        .where(user.c.tenant_id == tenant_id, held.c.role_id.in_(full))
        .where(user.c.active, user.c.api, project.c.active)
        .where(sa.func.coalesce(user.c.networks, "*") != "[]")
        .limit(1)
    )
    return connection.execute(somebody).one_or_none() is not None
