"""Users of a tenant: people, subaccounts and service users.

A row is never deleted: credentials and the journal refer to it. A disabled user can do nothing with
any credential, and stays nameable; a deleted subaccount (manage/subaccounts) is seen no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import kept
from latchgate.manage.errors import InvalidError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Line, Name
from latchgate.manage.listing import Filter, Listing, Query, by, equals, page, truth
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.journal import Change, Store

Sort = Literal["main", "sub", "service"]
# As much as a mailer needs: the address is proven by mail that arrives, not by a pattern.
Email = Annotated[str, msgspec.Meta(max_length=254, pattern=r"^[!-?A-~]+@[0-9A-Za-z.-]+(?![\s\S])")]
Ranges = Annotated[list[Name], msgspec.Meta(max_length=100)]
TABLE = schema.user
_HELD = schema.role_assignment


def _with(column: sa.ColumnElement[str]) -> Filter:
    """Return a filter for those who hold a role in a project, or one role anywhere."""

    def clause(text: str, _now: float) -> sa.ColumnElement[bool]:
        return sa.exists().where(_HELD.c.user_id == TABLE.c.id, column == text)

    return Filter({"type": "string"}, clause)


LISTING = Listing(
    table=TABLE,
    searched=("id", "name", "email"),
    filters={
        "name": equals(TABLE.c.name),
        "email": equals(TABLE.c.email),
        "user_sort": equals(TABLE.c.sort, "main", "sub", "service"),
        "active": truth(TABLE.c.active),
        "allow_api": truth(TABLE.c.api),
        "project_id": _with(_HELD.c.project_id),
        "role_id": _with(_HELD.c.role_id),
    },
    sorts={
        "created_at": by(TABLE.c.created_at),
        "name": by(TABLE.c.name),
        "email": by(TABLE.c.email),
    },
)


class UserSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new user shall be; they hold no role until one is given to them.

    `ip_filters` absent or null means everywhere, an empty list nowhere.
    """

    name: Line
    sort: Sort = "sub"
    email: Email | None = None
    allow_api: bool = True
    ip_filters: Ranges | None = None


class UserPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a user; absent stays, null takes away (RFC 7396)."""

    name: Line | msgspec.UnsetType = msgspec.UNSET
    email: Email | msgspec.UnsetType | None = msgspec.UNSET
    allow_api: bool | msgspec.UnsetType = msgspec.UNSET
    ip_filters: Ranges | msgspec.UnsetType | None = msgspec.UNSET


class Held(msgspec.Struct, frozen=True):
    """A role that a user holds in a project."""

    project_id: str
    role_id: str


class StoredUser(msgspec.Struct, frozen=True):
    """A user as stored; times are Unix seconds."""

    id: str
    name: str
    sort: str
    active: bool
    allow_api: bool
    ip_filters: list[str] | None
    email: str | None
    roles: list[Held]
    created_at: float
    version: int


def add(
    change: Change,
    user_id: str,
    tenant_id: str,
    name: str,
    sort: Sort,
    *,
    email: str | None = None,
    api: bool = True,
    networks: list[str] | None = None,
) -> int:
    """Write a new user inside a change; returns the journal number."""
    row = {
        "id": user_id,
        "tenant_id": tenant_id,
        "name": name,
        "active": True,
        "sort": sort,
        "api": api,
        "networks": networks,
        "email": email,
        "created_at": change.at,
    }
    return change.add("user.create", Noun.USER, TABLE, row, tenant_id=tenant_id)


def create(
    store: Store,
    caller: Caller,
    spec: UserSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredUser, bool]:
    """Make a user of the actor's tenant; returns them, and whether they are new.

    InvalidError names the field; ConflictError when the tenant has a user of this name.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, caller, before), False
    user_id, networks = new_id("u", entropy), _networks(spec.ip_filters)
    with store.change(caller.actor) as change:
        remember(change, caller, once, user_id)
        n = add(
            change,
            user_id,
            caller.tenant_id,
            spec.name,
            spec.sort,
            email=spec.email,
            api=spec.allow_api,
            networks=networks,
        )
        made = StoredUser(
            id=user_id,
            name=spec.name,
            sort=spec.sort,
            active=True,
            allow_api=spec.allow_api,
            ip_filters=networks,
            email=spec.email,
            roles=[],
            created_at=change.at,
            version=n,
        )
    return made, True


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredUser], str | None]:
    """Return a page of the tenant's users with the roles they hold, and the next cursor."""
    with store.reading() as connection:
        mine = (TABLE.c.tenant_id == caller.tenant_id, TABLE.c.deleted_at.is_(None))
        rows, following = page(connection, LISTING, query, *mine, now=now)
        return _with_roles(connection, rows), following


def shown(store: Store, caller: Caller, user_id: str) -> StoredUser:
    """Return one user of the actor's tenant; NotFoundError."""
    with store.reading() as connection:
        return as_stored(connection, own(connection, caller, user_id))


def names(store: Store, caller: Caller, user_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of users of the actor's tenant by their ids; others are left out."""
    wanted = sa.select(TABLE.c.id, TABLE.c.name).where(
        TABLE.c.tenant_id == caller.tenant_id, TABLE.c.id.in_(set(user_ids))
    )
    with store.reading() as connection:
        return {row.id: row.name for row in connection.execute(wanted)}


def change_user(
    store: Store, caller: Caller, user_id: str, patch: UserPatch, *, match: IfMatch = ANY
) -> tuple[StoredUser, int]:
    """Change a user; returns them and the number that verifiers must reach.

    NotFoundError, StaleError, InvalidError; ConflictError when the name is taken, or when nobody
    could manage the tenant any more.
    """
    told = asked(patch)
    new: dict[str, Any] = {name: told[name] for name in ("name", "email") if name in told}
    if "allow_api" in told:
        new["api"] = told["allow_api"]
    if "ip_filters" in told:
        new["networks"] = _networks(told["ip_filters"])
    return _alter(store, caller, user_id, "user.change", new, match)


def switch(
    store: Store, caller: Caller, user_id: str, *, active: bool, match: IfMatch = ANY
) -> tuple[StoredUser, int]:
    """Disable or enable a user; returns them and the number that verifiers must reach.

    NotFoundError, StaleError; ConflictError when nobody could manage the tenant any more.
    """
    action = "user.enable" if active else "user.disable"
    return _alter(store, caller, user_id, action, {"active": active}, match)


def own(
    connection: sa.Connection, caller: Caller, user_id: str, match: IfMatch = ANY
) -> dict[str, Any]:
    """Return the row of a user of the actor's tenant; NotFoundError, StaleError."""
    mine = (TABLE.c.tenant_id == caller.tenant_id, TABLE.c.deleted_at.is_(None))
    return find(connection, TABLE, user_id, *mine, noun="user", match=match)


def as_stored(connection: sa.Connection, row: dict[str, Any]) -> StoredUser:
    """Return a row of a user with the roles they hold."""
    (user,) = _with_roles(connection, [row])
    return user


def _alter(
    store: Store, caller: Caller, user_id: str, action: str, new: dict[str, Any], match: IfMatch
) -> tuple[StoredUser, int]:
    tenant_id = caller.tenant_id
    with store.change(caller.actor) as change, kept(change, tenant_id):
        row = own(change.connection, caller, user_id, match)
        n = alter(change, action, Noun.USER, TABLE, row, new, tenant_id=tenant_id)
        if new.get("active") is False:
            session.end_all_in(change, user_id, why="user-disable")
        return as_stored(change.connection, row), n


def _networks(filters: list[str] | None) -> list[str] | None:
    try:
        return Networks.of(filters).listed() if filters is not None else None
    except ValueError as error:
        raise InvalidError([("ip_filters", str(error))]) from error


def _with_roles(connection: sa.Connection, rows: Iterable[dict[str, Any]]) -> list[StoredUser]:
    found = list(rows)
    held: dict[str, list[Held]] = {row["id"]: [] for row in found}
    wanted = sa.select(_HELD).where(_HELD.c.user_id.in_(held))
    for row in connection.execute(wanted.order_by(_HELD.c.project_id, _HELD.c.role_id)).mappings():
        held[row["user_id"]].append(Held(row["project_id"], row["role_id"]))
    return [
        StoredUser(
            id=row["id"],
            name=row["name"],
            sort=row["sort"],
            active=row["active"],
            allow_api=row["api"],
            ip_filters=row["networks"],
            email=row["email"],
            roles=held[row["id"]],
            created_at=row["created_at"],
            version=row["version"],
        )
        for row in found
    ]
