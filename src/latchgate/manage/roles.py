"""Roles: named sets of scopes, which may imply lower roles; who holds which where.

Rule of this file: a role is given, or widened, only by someone whose own rights hold all of it,
implied roles included. A tenant's administrator manages the whole tenant: their rights count in
each of its projects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.manage import projects, users
from latchgate.manage.actor import Caller
from latchgate.manage.administrators import Roles, kept, reached, usable
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.gate import may_hand_out
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Line, Name
from latchgate.manage.listing import Listing, Query, by, equals, holding, page
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

TABLE = schema.role
MAX_IMPLIED = 32
MAX_HELD = 32  # a decision looks at 64 roles, implied ones included
ScopeNames = Annotated[list[Name], msgspec.Meta(max_length=256)]
RoleIds = Annotated[list[Name], msgspec.Meta(max_length=MAX_IMPLIED)]
LISTING = Listing(
    table=TABLE,
    searched=("id", "name"),
    filters={"name": equals(TABLE.c.name), "scope": holding(TABLE.c.scopes)},
    sorts={"created_at": by(TABLE.c.created_at), "name": by(TABLE.c.name)},
)


class RoleSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new role shall be: scopes of the published policy, and ids of roles it implies."""

    name: Line
    scopes: ScopeNames
    implies: RoleIds = []


class RolePatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a role; absent stays, a list replaces (RFC 7396)."""

    name: Line | msgspec.UnsetType = msgspec.UNSET
    scopes: ScopeNames | msgspec.UnsetType = msgspec.UNSET
    implies: RoleIds | msgspec.UnsetType = msgspec.UNSET


class StoredRole(msgspec.Struct, frozen=True):
    """A role as stored; `shared` says that every tenant may use it. Times are Unix seconds."""

    id: str
    name: str
    scopes: list[str]
    implies: list[str]
    shared: bool
    created_at: float
    version: int


def add(
    change: Change, role_id: str, tenant_id: str, name: str, scopes: Scopes, implies: Iterable[str]
) -> int:
    """Write a new role inside a change; returns the journal number."""
    row = {
        "id": role_id,
        "tenant_id": tenant_id,
        "name": name,
        "scopes": scopes.listed(),
        "implies": list(implies),
        "created_at": change.at,
    }
    return change.add("role.create", Noun.ROLE, TABLE, row, tenant_id=tenant_id)


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: RoleSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredRole, bool]:
    """Make a role of the actor's tenant; returns it, and whether it is new.

    InvalidError names the field, ForbiddenError what the actor lacks; ConflictError when the
    tenant has a role of this name.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, caller, before), False
    role_id = new_id("r", entropy)
    with store.change(caller.actor) as change:
        remember(change, caller, once, role_id)
        roles = usable(change.connection, caller.tenant_id)
        _check(policy, roles, role_id, spec.name, spec.scopes, spec.implies)
        row = {"id": role_id, "scopes": spec.scopes, "implies": spec.implies}
        may_hand_out(caller, reached({**roles, role_id: row}, role_id)[0])
        scopes = Scopes.of(spec.scopes)
        add(change, role_id, caller.tenant_id, spec.name, scopes, dict.fromkeys(spec.implies))
        return _stored(_usable(change.connection, caller, role_id)), True


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredRole], str | None]:
    """Return a page of the roles that the tenant may use, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, _mine(caller), now=now)
    return [_stored(row) for row in rows], following


def shown(store: Store, caller: Caller, role_id: str) -> StoredRole:
    """Return one role that the actor's tenant may use; NotFoundError."""
    with store.reading() as connection:
        return _stored(_usable(connection, caller, role_id))


def change_role(
    store: Store,
    policy: Policy,
    caller: Caller,
    role_id: str,
    patch: RolePatch,
    *,
    match: IfMatch = ANY,
) -> tuple[StoredRole, int]:
    """Change a role for everyone who holds it; returns it and the number verifiers must reach.

    NotFoundError, StaleError, InvalidError; ForbiddenError when it would grow by what the actor
    lacks; ConflictError when nobody could manage the tenant any more.
    """
    with store.change(caller.actor) as change, kept(change, caller.tenant_id):
        row = _changeable(change.connection, caller, role_id, match)
        new = asked(patch)
        if "implies" in new:
            new["implies"] = list(dict.fromkeys(new["implies"]))
        if "scopes" in new:
            new["scopes"] = Scopes.of(new["scopes"]).listed()
        roles = usable(change.connection, caller.tenant_id)
        before, _ = reached(roles, role_id)
        after = {**row, **new}
        kept_scopes = after["scopes"] if after["scopes"] != row["scopes"] else []
        _check(policy, roles, role_id, after["name"], kept_scopes, after["implies"])
        gained, _ = reached({**roles, role_id: after}, role_id)
        if before.lacking(gained):
            may_hand_out(caller, gained)
        n = alter(change, "role.change", Noun.ROLE, TABLE, row, new, tenant_id=caller.tenant_id)
    return _stored(row), n


def delete(store: Store, caller: Caller, role_id: str, *, match: IfMatch = ANY) -> StoredRole:
    """Delete a role that nobody holds and none implies; returns what it was.

    NotFoundError, StaleError; ConflictError says who still needs it.
    """
    held = schema.role_assignment
    with store.change(caller.actor) as change:
        row = _changeable(change.connection, caller, role_id, match)
        count = sa.select(sa.func.count()).select_from(held).where(held.c.role_id == role_id)
        holders = change.execute(count).scalar_one()
        if holders:
            msg = f"it is held {holders} times; take it away first"
            raise ConflictError(msg)
        roles = usable(change.connection, caller.tenant_id)
        above = sorted(one["name"] for one in roles.values() if role_id in one["implies"])
        if above:
            msg = f"it is implied by {', '.join(above)}; change that first"
            raise ConflictError(msg)
        told = {name: row[name] for name in ("name", "scopes", "implies")}
        change.execute(sa.delete(TABLE).where(TABLE.c.id == role_id))
        change.note(
            "role.delete",
            Noun.ROLE,
            role_id,
            tenant_id=caller.tenant_id,
            detail={"before": told},
        )
    return _stored(row)


def assign(change: Change, tenant_id: str, user_id: str, project_id: str, role_id: str) -> int:
    """Give a user a role in a project inside a change; returns the journal number."""
    told = {"user_id": user_id, "project_id": project_id, "role_id": role_id}
    change.execute(sa.insert(schema.role_assignment).values(**told))
    n = change.note("role.assign", Noun.USER, user_id, tenant_id=tenant_id, detail={"after": told})
    _touch(change, user_id, n)
    return n


def withdraw(change: Change, tenant_id: str, user_id: str, project_id: str, role_id: str) -> int:
    """Take a role from a user inside a change; returns the journal number. NotFoundError."""
    table = schema.role_assignment
    here = sa.and_(
        table.c.user_id == user_id,
        table.c.project_id == project_id,
        table.c.role_id == role_id,
    )
    if not change.execute(sa.delete(table).where(here)).rowcount:
        msg = "the user does not hold this role in this project"
        raise NotFoundError(msg)
    told = {"user_id": user_id, "project_id": project_id, "role_id": role_id}
    n = change.note("role.take", Noun.USER, user_id, tenant_id=tenant_id, detail={"before": told})
    _touch(change, user_id, n)
    return n


def give(
    store: Store, caller: Caller, user_id: str, held: users.Held, *, match: IfMatch = ANY
) -> tuple[users.StoredUser, int]:
    """Give a user a role in a project; one that they have is no change.

    NotFoundError, StaleError; ForbiddenError when the actor lacks any of it; ConflictError when
    the user holds as many roles as a decision looks at.
    """
    table = schema.role_assignment
    with store.change(caller.actor) as change:
        row = users.own(change.connection, caller, user_id, match)
        projects.own(change.connection, caller, held.project_id)
        _usable(change.connection, caller, held.role_id)
        roles = usable(change.connection, caller.tenant_id)
        may_hand_out(caller, reached(roles, held.role_id)[0])
        mine = sa.select(table.c.role_id, table.c.project_id).where(table.c.user_id == user_id)
        now_held = [(one.project_id, one.role_id) for one in change.execute(mine)]
        if (held.project_id, held.role_id) in now_held:
            n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        elif len(now_held) >= MAX_HELD:
            msg = f"a user holds at most {MAX_HELD} roles; make one that implies others"
            raise ConflictError(msg)
        else:
            n = assign(change, caller.tenant_id, user_id, held.project_id, held.role_id)
            row["version"] = n
        return users.as_stored(change.connection, row), n


def take(
    store: Store, caller: Caller, user_id: str, held: users.Held, *, match: IfMatch = ANY
) -> tuple[users.StoredUser, int]:
    """Take a role away from a user; returns them and the number that verifiers must reach.

    NotFoundError, StaleError; ConflictError when nobody could manage the tenant any more.
    """
    with store.change(caller.actor) as change, kept(change, caller.tenant_id):
        row = users.own(change.connection, caller, user_id, match)
        n = withdraw(change, caller.tenant_id, user_id, held.project_id, held.role_id)
        row["version"] = n
        return users.as_stored(change.connection, row), n


def _touch(change: Change, user_id: str, n: int) -> None:
    """Give a user the version of what they hold now."""
    user = schema.user
    change.execute(sa.update(user).where(user.c.id == user_id).values(version=n))


def _check(
    policy: Policy,
    roles: Roles,
    role_id: str,
    name: str,
    scopes: Iterable[str],
    implies: Iterable[str],
) -> None:
    faults: list[tuple[str, str]] = []
    known = frozenset[str]().union(*(service.scopes for service in policy.services.values()))
    foreign = sorted(set(scopes) - known)
    if foreign:
        faults.append(("scopes", f"{', '.join(foreign)} not among those of the published policy"))
    missing = sorted(set(implies) - set(roles))
    if missing:
        faults.append(("implies", f"there is no role {missing[0]!r} in this tenant"))
    circle = [one for one in implies if role_id in {one, *reached(roles, one)[1]}]
    if circle:
        faults.append(("implies", f"{circle[0]} implies this role already, or is it"))
    if faults:
        raise InvalidError(faults)
    taken = [one for one in roles.values() if one["name"] == name and one["id"] != role_id]
    if any(one["tenant_id"] is not None for one in taken):
        msg = f"there is a role {name!r} already"
        raise ConflictError(msg)


def _mine(caller: Caller) -> sa.ColumnElement[bool]:
    return sa.or_(TABLE.c.tenant_id == caller.tenant_id, TABLE.c.tenant_id.is_(None))


def _usable(
    connection: sa.Connection, caller: Caller, role_id: str, match: IfMatch = ANY
) -> dict[str, Any]:
    return find(connection, TABLE, role_id, _mine(caller), noun="role", match=match)


def _changeable(
    connection: sa.Connection, caller: Caller, role_id: str, match: IfMatch
) -> dict[str, Any]:
    row = _usable(connection, caller, role_id, match)
    if row["tenant_id"] is None:
        msg = "every tenant shares this role, so none can change it"
        raise ForbiddenError(msg)
    return row


def _stored(row: dict[str, Any]) -> StoredRole:
    return StoredRole(
        id=row["id"],
        name=row["name"],
        scopes=row["scopes"],
        implies=row["implies"],
        shared=row["tenant_id"] is None,
        created_at=row["created_at"],
        version=row["version"],
    )
