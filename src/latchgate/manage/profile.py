"""Who somebody is, as they see it themselves: their account, and what their roles let them do.

Rule of this file: it tells a person of nobody but themselves, and takes no scope for that.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from latchgate.manage.actor import Person
from latchgate.manage.administrators import Roles, reached, usable
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Store, stored


class HeldRole(msgspec.Struct, frozen=True):
    """A role that somebody holds: `scopes` are all of it, `implies` the names of roles within."""

    id: str
    name: str
    scopes: list[str]
    implies: list[str]


class HeldProject(msgspec.Struct, frozen=True):
    """A project in which somebody holds roles."""

    id: str
    name: str
    active: bool
    roles: list[HeldRole]


class Profile(msgspec.Struct, frozen=True):
    """Somebody's account; `logins` are their login names by namespace, times are Unix seconds."""

    id: str
    name: str
    email: str | None
    sort: str
    allow_api: bool
    ip_filters: list[str] | None
    created_at: float
    tenant_id: str
    tenant: str
    logins: dict[str, str]
    projects: list[HeldProject]


def shown(store: Store, person: Person) -> Profile:
    """Return the account of somebody; NotFoundError where it is gone."""
    user, tenant = schema.user, schema.tenant
    wanted = (
        sa.select(user, tenant.c.name.label("tenant"))
        .join(tenant, tenant.c.id == user.c.tenant_id)
        .where(user.c.id == person.user_id, tenant.c.id == person.tenant_id)
        .where(user.c.deleted_at.is_(None))
    )
    with store.reading() as connection:
        found = connection.execute(wanted).mappings().one_or_none()
        if found is None:
            raise NotFoundError("your own account is gone")
        row = stored(found)
        return Profile(
            id=row["id"],
            name=row["name"],
            email=row["email"],
            sort=row["sort"],
            allow_api=bool(row["api"]),
            ip_filters=row["networks"],
            created_at=row["created_at"],
            tenant_id=row["tenant_id"],
            tenant=row["tenant"],
            logins=_logins(connection, person.user_id),
            projects=_projects(connection, person),
        )


def held_role(known: Roles, role_id: str) -> HeldRole:
    """Return a role of `known` with everything that it implies."""
    scopes, implied = reached(known, role_id)
    within = sorted(known[one]["name"] for one in implied)
    return HeldRole(role_id, known[role_id]["name"], scopes.listed(), within)


def _logins(connection: sa.Connection, user_id: str) -> dict[str, str]:
    """Return the login names of a user; those that their access keys go by are none of them."""
    table = schema.login
    rows = connection.execute(sa.select(table.c.id).where(table.c.user_id == user_id)).scalars()
    named = (one.partition(":") for one in sorted(rows))
    return {namespace: name for namespace, _, name in named if "/" not in namespace}


def _projects(connection: sa.Connection, person: Person) -> list[HeldProject]:
    project, held = schema.project, schema.role_assignment
    wanted = (
        sa.select(project.c.id, project.c.name, project.c.active, held.c.role_id)
        .join(held, held.c.project_id == project.c.id)
        .where(held.c.user_id == person.user_id, project.c.tenant_id == person.tenant_id)
        .order_by(project.c.name, project.c.id, held.c.role_id)
    )
    known = usable(connection, person.tenant_id)
    found: dict[str, HeldProject] = {}
    for row in connection.execute(wanted):
        empty = HeldProject(row.id, row.name, bool(row.active), [])
        found.setdefault(row.id, empty).roles.extend(_known(known, row.role_id))
    return list(found.values())


def _known(known: Roles, role_id: str) -> list[HeldRole]:
    return [held_role(known, role_id)] if role_id in known else []
