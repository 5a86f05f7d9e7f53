"""Who and what is meant by a name in a tenant, for those who sign in.

Rule of this file: reads only, and always all of them: a name that isn't there costs as much as one
that is (ATTACKS D4.27).
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import sqlalchemy as sa

from latchgate.core.assertion import NAMESPACE as LINKED
from latchgate.manage import logins
from latchgate.store import schema
from latchgate.store.journal import Store

_USER, _TENANT = schema.user, schema.tenant


class LoginName(msgspec.Struct, frozen=True):
    """A login name of a user, and whether it has an account password that stands."""

    namespace: str
    name: str
    password: bool


def user_named(
    store: Store, namespace: str, name: str, *, tenant_id: str | None, tenant: str | None
) -> str | None:
    """Return the id of the user of a name, in the tenant of an id or a name.

    It is their login name in the namespace, or else their own; None when there is nobody.
    """
    within = _within(tenant_id, tenant)
    users = sa.select(_USER.c.id).join(_TENANT, _TENANT.c.id == _USER.c.tenant_id).where(within)
    login = schema.login
    by_login = users.join(login, login.c.user_id == _USER.c.id).where(
        login.c.id == logins.login_id(namespace, name)
    )
    by_name = users.where(_USER.c.name == name)
    with store.reading() as connection:
        found: list[str | None] = [
            connection.execute(statement).scalar_one_or_none() for statement in (by_login, by_name)
        ]
    return found[0] if found[0] is not None else found[1]


def login_name(store: Store, namespace: str, user_id: str) -> str | None:
    """Return the login name that a user has in a namespace."""
    with store.reading() as connection:
        found = logins.login_of(connection, user_id, namespace)
    return found.partition(":")[2] if found is not None else None


def login_names(store: Store, namespace: str, user_ids: Collection[str]) -> dict[str, str]:
    """Return the login names that users have in a namespace, by their ids."""
    table = schema.login
    wanted = sa.select(table.c.id, table.c.user_id).where(table.c.user_id.in_(user_ids))
    with store.reading() as connection:
        rows = connection.execute(wanted.order_by(table.c.created_at.desc())).all()
    parts = ((row.user_id, row.id.partition(":")) for row in rows)
    return {user_id: name for user_id, (space, _, name) in parts if space == namespace}


def logins_of(store: Store, user_id: str) -> list[LoginName]:
    """Return the login names that a user types anywhere, by where they are looked up."""
    login, link, held = schema.login, schema.login_credential, schema.credential
    stands = (
        sa.exists()
        .where(link.c.login_id == login.c.id, link.c.kind.like("%.account\\_password", escape="\\"))
        .where(held.c.id == link.c.credential_id, held.c.revoked_at.is_(None))
    )
    wanted = sa.select(login.c.id, stands.label("stands")).where(login.c.user_id == user_id)
    with store.reading() as connection:
        rows = connection.execute(wanted.order_by(login.c.id)).all()
    parts = ((row.id.partition(":"), row.stands) for row in rows)
    return [LoginName(space, name, bool(has)) for (space, _, name), has in parts if space != LINKED]


def tenant_of(store: Store, user_id: str) -> str:
    """Return the id of the tenant that a user is of."""
    with store.reading() as connection:
        wanted = sa.select(_USER.c.tenant_id).where(_USER.c.id == user_id)
        found: str = connection.execute(wanted).scalar_one()
    return found


def name_of(store: Store, user_id: str) -> str:
    """Return the name of a user."""
    with store.reading() as connection:
        found: str = connection.execute(
            sa.select(_USER.c.name).where(_USER.c.id == user_id)
        ).scalar_one()
    return found


def project_named(
    store: Store, name: str, *, tenant_id: str | None, tenant: str | None
) -> str | None:
    """Return the id of the project of a name, in the tenant of an id or a name."""
    table = schema.project
    wanted = (
        sa.select(table.c.id)
        .join(_TENANT, _TENANT.c.id == table.c.tenant_id)
        .where(_within(tenant_id, tenant), table.c.name == name)
    )
    with store.reading() as connection:
        found: str | None = connection.execute(wanted).scalar_one_or_none()
    return found


def _within(tenant_id: str | None, tenant: str | None) -> sa.ColumnElement[bool]:
    return _TENANT.c.id == tenant_id if tenant_id is not None else _TENANT.c.name == tenant
