"""Roles as people read them: who holds which where by name, and which of them one may hand out.

Rule of this file: it offers, and decides nothing: whoever gives a role, or puts something into one,
is asked by `manage.gate` all the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import reached, usable
from latchgate.manage.users import Held
from latchgate.store import schema
from latchgate.store.journal import Store

_PROJECTS, _ROLES = "manage:projects.read", "manage:roles.read"


class Holding(msgspec.Struct, frozen=True):
    """A role held in a project, by ids and names; `active` is the project's."""

    project_id: str
    project: str
    active: bool
    role_id: str
    role: str


class Offered(msgspec.Struct, frozen=True):
    """A role as a choice: whether it may be handed out, and all that it holds by what it implies.

    `below` are the ids of every role that it implies, directly or not.
    """

    id: str
    name: str
    scopes: Scopes
    below: frozenset[str]
    handable: bool


def named(store: Store, caller: Caller, held: Iterable[Held]) -> list[Holding]:
    """Return roles that are held in the caller's tenant, by project and role.

    Names are told to who may list what has them; to others the ids stand in their place.
    """
    found = list(held)
    projects_told, roles_told = (scope in caller.rights for scope in (_PROJECTS, _ROLES))
    table = schema.project
    wanted = sa.select(table.c.id, table.c.name, table.c.active).where(
        table.c.tenant_id == caller.tenant_id, table.c.id.in_({one.project_id for one in found})
    )
    with store.reading() as connection:
        projects = {row.id: row for row in connection.execute(wanted)}
        roles = usable(connection, caller.tenant_id)
    told = [
        Holding(
            one.project_id,
            projects[one.project_id].name if projects_told else one.project_id,
            projects[one.project_id].active,
            one.role_id,
            roles[one.role_id]["name"] if roles_told else one.role_id,
        )
        for one in found
        if one.project_id in projects and one.role_id in roles
    ]
    return sorted(told, key=lambda one: (one.project, one.project_id, one.role, one.role_id))


def offered(store: Store, caller: Caller) -> list[Offered]:
    """Return every role that the caller's tenant may use, by name."""
    with store.reading() as connection:
        roles = usable(connection, caller.tenant_id)
    told = []
    for role_id, row in roles.items():
        scopes, below = reached(roles, role_id)
        told.append(Offered(role_id, row["name"], scopes, below, not caller.rights.lacking(scopes)))
    return sorted(told, key=lambda one: (one.name, one.id))


def scopes_to_hand_out(policy: Policy, caller: Caller) -> tuple[str, ...]:
    """Return what a caller may put into a role: scopes of the policy that they hold, in its order.

    `*`, which is none of these, goes into no role that somebody makes.
    """
    known = (scope for service in policy.services.values() for scope in service.scopes)
    return tuple(scope for scope in known if scope in caller.rights)


def spelled_out(policy: Policy, scopes: Scopes) -> tuple[str, ...]:
    """Return the scopes of the policy that a set holds, then those that no service has any more."""
    known = [scope for service in policy.services.values() for scope in service.scopes]
    if scopes == ALL:
        return tuple(known)
    left = sorted(scopes.names - set(known))
    return (*(scope for scope in known if scope in scopes), *left)
