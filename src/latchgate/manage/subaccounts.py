"""Changes of UpCloud's accounts: subaccounts made, changed, deleted.

Rule of this file: whoever is not a main user changes nobody but themselves, and never what bounds
them. A subaccount gets what its maker holds and no more. Deleting one ends all it had and
gives its name free, in one transaction. Source: providers/upcloud, "HTTP Basic authentication".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import login_fault
from latchgate.core.kinds import Issued
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.manage import logins, roles, targets, users
from latchgate.manage.accounts import (
    NAMESPACE,
    StoredAccount,
    as_account,
    check_main,
    expanded,
    first_main,
    meant,
)
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import kept, reached, usable
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.gate import may_hand_out
from latchgate.manage.records import alter, new_id
from latchgate.manage.targets import Targets
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

# What a new subaccount may do: look, and manage its own account and tokens. A tenant that changes
# this role, or gives another, decides for itself.
ROLE = "UpCloud subaccount"
SCOPES = frozenset({"upcloud:read", "upcloud:account"})
MIN_USERNAME, MAX_USERNAME = 4, 64
MAX_NETWORKS = 512  # one range may take 254 of them
TABLE = schema.user


class AccountChange(msgspec.Struct, frozen=True):
    """What shall be of an account; what is UNSET stays.

    `contact` holds fields as they were told, `ip_filters` addresses, CIDRs and ranges, none of them
    for everywhere; `targets` what is permitted by type of target, which replaces what was.
    """

    contact: Mapping[str, Any]
    targets: Mapping[str, Targets]
    email: str | msgspec.UnsetType | None = msgspec.UNSET
    allow_api: bool | msgspec.UnsetType = msgspec.UNSET
    ip_filters: list[str] | msgspec.UnsetType = msgspec.UNSET


def check_new(store: Store, caller: Caller, username: str) -> None:
    """Refuse a subaccount before its password is worked on, by its name or by who asks.

    InvalidError when a name can't be one, NotMainError unless the caller is a main user.
    """
    with store.reading() as connection:
        check_main(connection, caller)
    fault = login_fault(username)
    if fault is None and not MIN_USERNAME <= len(username) <= MAX_USERNAME:
        fault = f"must have {MIN_USERNAME} to {MAX_USERNAME} characters"
    if fault is not None:
        raise InvalidError([("username", fault)])


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    username: str,
    told: AccountChange,
    *,
    issued: Issued,
    entropy: Callable[[int], bytes],
) -> int:
    """Make a subaccount that can log in with its password at once; returns the journal number.

    `issued` holds the hash of the password as its digest. InvalidError names the field,
    ConflictError tells of a taken name, NotMainError and ForbiddenError what the caller lacks.
    """
    check_new(store, caller, username)
    kind = logins.kind_of(policy, NAMESPACE, AccountPassword)
    networks, user_id = _networks(told), new_id("u", entropy)
    project_id = caller.credential.project_id
    with store.change(caller.actor) as change:
        check_main(change.connection, caller)
        role_id = _role(change, policy, caller, entropy)
        _check_free(change, caller, username)
        users.add(
            change,
            user_id,
            caller.tenant_id,
            username,
            "sub",
            email=told.email or None,
            api=told.allow_api is not False,
            networks=networks,
        )
        row = users.own(change.connection, caller, user_id)
        _write(change, caller, row, {"contact": _contact(row, told)}, told)
        roles.assign(change, caller.tenant_id, user_id, project_id, role_id)
        holder = logins.holder_of(change.connection, caller, user_id, project_id)
        scopes, limits = logins.check_gives(change.connection, caller, holder, ALL)
        return logins.give(
            change,
            kind=kind.name,
            issued=issued,
            login=logins.take_login(change, holder, NAMESPACE, None),
            scopes=scopes,
            networks=limits,
            owner=holder.owner,
            issues=True,
        )


def change_account(
    store: Store, caller: Caller, username: str, told: AccountChange, *, sub: bool
) -> tuple[StoredAccount, int]:
    """Change an account; returns it and the number that verifiers must reach.

    `sub` says that only a subaccount is meant. Raises as `shown` does; InvalidError,
    ForbiddenError for what bounds a subaccount, by itself; ConflictError when nobody could manage
    the tenant any more.
    """
    networks = _networks(told)
    with store.change(caller.actor) as change, kept(change, caller.tenant_id):
        row = meant(change.connection, caller, username)
        mine = row["id"] == caller.owner.id
        if row["sort"] != "sub" and (sub or not mine):
            msg = f"{row['username']!r} is a main account, which only it can change itself"
            raise ForbiddenError(msg)
        new: dict[str, Any] = {"contact": _contact(row, told)}
        if told.email is not msgspec.UNSET:
            new["email"] = told.email or None
        if told.allow_api is not msgspec.UNSET:
            new["api"] = told.allow_api
        if told.ip_filters is not msgspec.UNSET:
            new["networks"] = networks
        if not mine:
            _check_below(change.connection, caller, row)
        elif row["sort"] != "main":
            _check_bounds(change.connection, row, new, told)
        n = _write(change, caller, row, new, told)
        main = first_main(change.connection, caller.tenant_id)
        return as_account(change.connection, main, row), n


def delete(store: Store, caller: Caller, username: str) -> int:
    """End a subaccount with all it had, and give its name free; returns the journal number.

    NotFoundError, NotMainError; ForbiddenError for a main account; ConflictError when nobody could
    manage the tenant any more.
    """
    tenant_id = caller.tenant_id
    held, key = schema.role_assignment, schema.credential
    with store.change(caller.actor) as change, kept(change, tenant_id):
        check_main(change.connection, caller)
        row = meant(change.connection, caller, username)
        if row["sort"] != "sub":
            msg = f"{row['username']!r} is no subaccount"
            raise ForbiddenError(msg)
        _check_below(change.connection, caller, row)
        user_id = row["id"]
        logins.free(change, user_id, tenant_id)
        alive = sa.select(key.c.id).where(key.c.owner_id == user_id, key.c.revoked_at.is_(None))
        for one in change.execute(alive).scalars().all():
            before = {"id": one, "revoked_at": None}
            after = {"revoked_at": change.at}
            change.alter(
                "credential.revoke", Noun.CREDENTIAL, key, before, after, tenant_id=tenant_id
            )
        targets.clear(change, caller, user_id)
        for one in (
            change.execute(sa.select(held).where(held.c.user_id == user_id)).mappings().all()
        ):
            told = {"before": dict(one)}
            change.note("role.take", Noun.USER, user_id, tenant_id=tenant_id, detail=told)
        change.execute(sa.delete(held).where(held.c.user_id == user_id))
        gone = {
            "active": False,
            "name": f"{row['name']} (deleted, {user_id})",
            "email": None,
            "contact": None,
            "deleted_at": change.at,
        }
        return change.alter("user.delete", Noun.USER, TABLE, row, gone, tenant_id=tenant_id)


def _networks(told: AccountChange) -> list[str] | None:
    if told.ip_filters is msgspec.UNSET:
        return None
    try:
        found = expanded(told.ip_filters)
    except ValueError as error:
        raise InvalidError([("ip_filters", str(error))]) from error
    if found is not None and len(found) > MAX_NETWORKS:
        msg = f"come to {len(found)} networks; {MAX_NETWORKS} are taken at most"
        raise InvalidError([("ip_filters", msg)])
    return Networks.of(found).listed() if found is not None else None


def _contact(row: dict[str, Any], told: AccountChange) -> dict[str, Any]:
    new = {**(row["contact"] or {}), **told.contact}
    if told.ip_filters is not msgspec.UNSET:
        new["ip_filters"] = list(told.ip_filters)
    return new


def _check_below(connection: sa.Connection, caller: Caller, row: dict[str, Any]) -> None:
    """Refuse to change or end somebody who holds more than the caller does (ATTACKS D5.38)."""
    held = schema.role_assignment
    mine = sa.select(held.c.role_id).where(held.c.user_id == row["id"]).distinct()
    known, scopes = usable(connection, caller.tenant_id), NONE
    for role_id in connection.execute(mine).scalars():
        scopes |= reached(known, role_id)[0]
    lacking = caller.rights.lacking(scopes)
    if lacking:
        msg = f"{row['username']!r} holds {', '.join(lacking)}, which you don't"
        raise ForbiddenError(msg)


def _check_bounds(
    connection: sa.Connection, row: dict[str, Any], new: dict[str, Any], told: AccountChange
) -> None:
    """Refuse a subaccount that would change what bounds it; the same again is no change."""
    before, after = row["contact"] or {}, new["contact"]
    held = targets.targets_of(connection, row["id"])
    wider = [new[name] != row[name] for name in ("api", "networks") if name in new]
    wider += [before.get(name) != after.get(name) for name in ("roles", "allow_gui")]
    wider += [held.get(sort, {}) != wanted for sort, wanted in told.targets.items()]
    if any(wider):
        msg = "what a subaccount may do, and from where, only a main account can change"
        raise ForbiddenError(msg)


def _write(
    change: Change,
    caller: Caller,
    row: dict[str, Any],
    new: dict[str, Any],
    told: AccountChange,
) -> int:
    n = alter(change, "user.change", Noun.USER, TABLE, row, new, tenant_id=caller.tenant_id)
    for sort, wanted in told.targets.items():
        n = targets.replace(change, caller, row["id"], sort, wanted) or n
    return n


def _check_free(change: Change, caller: Caller, username: str) -> None:
    """Refuse a name that an account of the tenant has, or a login of the namespace."""
    login = schema.login.c.id
    taken = sa.select(login).where(login == logins.login_id(NAMESPACE, username))
    here = sa.select(TABLE.c.id).where(
        TABLE.c.tenant_id == caller.tenant_id, TABLE.c.name == username
    )
    if change.execute(taken).first() is not None or change.execute(here).first() is not None:
        raise ConflictError(f"The username {username!r} is taken; give another.")


def _role(change: Change, policy: Policy, caller: Caller, entropy: Callable[[int], bytes]) -> str:
    """Return the role of subaccounts, made if need be; the caller must hold all of it."""
    table = schema.role
    mine = sa.select(table.c.id).where(table.c.tenant_id == caller.tenant_id, table.c.name == ROLE)
    found: str | None = change.execute(mine.order_by(table.c.created_at).limit(1)).scalar()
    if found is not None:
        may_hand_out(caller, reached(usable(change.connection, caller.tenant_id), found)[0])
        return found
    scopes = Scopes.of(SCOPES & policy.scopes_of(NAMESPACE))
    may_hand_out(caller, scopes)
    role_id = new_id("r", entropy)
    roles.add(change, role_id, caller.tenant_id, ROLE, scopes, ())
    return role_id
