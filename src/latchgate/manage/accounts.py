"""Accounts as UpCloud's API shows them: a tenant's main users and their subaccounts.

Rule of this file: whoever is not a main user sees nobody but themselves, and is not told whether
anybody else exists. Source: the provider's account calls, as recorded.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import canonical_login
from latchgate.core.network import range_networks
from latchgate.manage import logins, targets
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, NotFoundError
from latchgate.manage.targets import Targets
from latchgate.store import schema
from latchgate.store.journal import Store, stored

NAMESPACE = "upcloud"
TABLE = schema.user


class NotMainError(ForbiddenError):
    """A subaccount asked for what is a main account's to see or to do."""


class StoredAccount(msgspec.Struct, frozen=True):
    """An account as stored; `main_account` is the tenant's first main user."""

    id: str
    username: str
    sort: str
    allow_api: bool
    ip_filters: list[str]
    email: str | None
    contact: dict[str, Any]
    main_account: str
    targets: dict[str, Targets]


def own(store: Store, caller: Caller) -> StoredAccount:
    """Return the caller's own account."""
    with store.reading() as connection:
        main = first_main(connection, caller.tenant_id)
        return as_account(connection, main, self_of(connection, caller))


def shown(store: Store, caller: Caller, username: str) -> StoredAccount:
    """Return an account of the caller's tenant; NotFoundError, or NotMainError for a stranger's."""
    with store.reading() as connection:
        main = first_main(connection, caller.tenant_id)
        return as_account(connection, main, meant(connection, caller, username))


def listed(store: Store, caller: Caller) -> list[StoredAccount]:
    """Return every account of the caller's tenant, oldest first; NotMainError unless main."""
    with store.reading() as connection:
        check_main(connection, caller)
        main = first_main(connection, caller.tenant_id)
        return [as_account(connection, main, row) for row in accounts(connection, caller.tenant_id)]


def check_main(connection: sa.Connection, caller: Caller) -> None:
    """Raise NotMainError unless the caller is a main user."""
    if self_of(connection, caller)["sort"] != "main":
        raise NotMainError("only a main account may do this")


def accounts(
    connection: sa.Connection, tenant_id: str, user_id: str | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a tenant's accounts, oldest first, each with its `username` and `login`.

    Service users are none of the provider's accounts: they are listed for themselves alone.
    """
    login = schema.login
    here = sa.and_(login.c.user_id == TABLE.c.id, login.c.id.startswith(f"{NAMESPACE}:"))
    which = TABLE.c.id == user_id if user_id is not None else TABLE.c.sort != "service"
    wanted = (
        sa.select(TABLE, login.c.id.label("login"))
        .join(login, here, isouter=True)
        .where(TABLE.c.tenant_id == tenant_id, TABLE.c.deleted_at.is_(None), which)
        .order_by(TABLE.c.created_at, TABLE.c.id)
    )
    found = [stored(row) for row in connection.execute(wanted).mappings()]
    for row in found:
        login_name = row["login"].partition(":")[2] if row["login"] is not None else None
        same = login_name is None or login_name == canonical_login(row["name"])
        row["username"] = row["name"] if same else login_name
    return found


def self_of(connection: sa.Connection, caller: Caller) -> dict[str, Any]:
    """Return the row of the caller's own account."""
    found = accounts(connection, caller.tenant_id, caller.owner.id)
    if not found:
        raise NotFoundError("your own account is gone")
    return found[0]


def named(connection: sa.Connection, tenant_id: str, username: str) -> dict[str, Any]:
    """Return an account by its login name, or by its user's name where it has none."""
    called = [row for row in accounts(connection, tenant_id) if _is_called(row, username)]
    if not called:
        raise NotFoundError(f"there is no account {username[:64]!r}")
    # A login goes before the name of a user who has none.
    return min(called, key=lambda row: row["login"] is None)


def meant(connection: sa.Connection, caller: Caller, username: str) -> dict[str, Any]:
    """Return the account that is meant, if the caller may look at it.

    Whether a stranger's exists is not told to a subaccount.
    """
    mine = self_of(connection, caller)
    if mine["sort"] == "main":
        return named(connection, caller.tenant_id, username)
    if _is_called(mine, username):
        return mine
    raise NotMainError("a subaccount sees and changes its own account only")


def _is_called(row: dict[str, Any], username: str) -> bool:
    if row["login"] is None:
        return bool(row["name"] == username)
    return bool(row["login"] == logins.login_id(NAMESPACE, username))


def first_main(connection: sa.Connection, tenant_id: str) -> str | None:
    """Return the username of a tenant's first main user."""
    mains = (row for row in accounts(connection, tenant_id) if row["sort"] == "main")
    return next((row["username"] for row in mains), None)


def as_account(connection: sa.Connection, main: str | None, row: dict[str, Any]) -> StoredAccount:
    """Return a row of `accounts` as it is shown."""
    username: str = row["username"]
    return StoredAccount(
        id=row["id"],
        username=username,
        sort="main" if row["sort"] == "main" else "sub",
        allow_api=bool(row["api"]),
        ip_filters=_spelled(row),
        email=row["email"],
        contact=row["contact"] or {},
        main_account=username if row["sort"] == "main" or main is None else main,
        targets=targets.targets_of(connection, row["id"]),
    )


def _spelled(row: dict[str, Any]) -> list[str]:
    """Return IP filters as they were told, or as they are where they were changed elsewhere."""
    told: list[str] = (row["contact"] or {}).get("ip_filters", [])
    if expanded(told) == row["networks"]:
        return told
    return list(row["networks"] or [])


def expanded(filters: list[str]) -> list[str] | None:
    """Return IP filters as networks, None for everywhere; ValueError names one that is none."""
    return list(dict.fromkeys(one for told in filters for one in range_networks(told))) or None
