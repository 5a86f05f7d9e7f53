"""Login names, and the passwords that they have: one of each kind in a namespace.

Rule of this file: a password can do what its user may do, so whoever makes one for somebody must
hold all of that (ATTACKS D5.38). Names are compared in canonical form, so nobody gets one that
reads like another's (D4.28).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import canonical_login, login_fault
from latchgate.core.kinds import Issued, Kind
from latchgate.core.model import Noun, Role
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, EVERY, Scopes
from latchgate.core.standing import rights_of
from latchgate.manage.actor import Caller
from latchgate.manage.credentials import NewCredential, add_credential
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.gate import may_hand_out, may_issue, sourced
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, stored

_K = TypeVar("_K", bound=Kind)


class Holder(msgspec.Struct, frozen=True):
    """A user of the caller's tenant, and in which project a password has which of their rights."""

    id: str
    name: str
    tenant_id: str
    project_id: str
    rights: Scopes

    @property
    def owner(self) -> tuple[str, str, str]:
        """Tenant, project and user id."""
        return self.tenant_id, self.project_id, self.id


def login_id(namespace: str, name: str) -> str:
    """Return the id under which a login name is found in its namespace."""
    return f"{namespace}:{canonical_login(name)}"


def add_login(change: Change, tenant_id: str, user_id: str, namespace: str, name: str) -> str:
    """Write a login name inside a change; returns its id. ConflictError when it is taken."""
    made = login_id(namespace, name)
    write_login(change, tenant_id, user_id, made)
    return made


def write_login(change: Change, tenant_id: str, user_id: str, made: str) -> None:
    """Write a login under its id inside a change; ConflictError when it is taken."""
    row = {"id": made, "user_id": user_id, "created_at": change.at}
    change.execute(sa.insert(schema.login).values(**row))
    change.note("login.create", Noun.LOGIN, made, tenant_id=tenant_id, detail={"after": row})


def free_login(change: Change, tenant_id: str, login: str) -> None:
    """Take a login away inside a change, with all that it has, so that its name is free again."""
    link = schema.login_credential
    change.execute(sa.delete(link).where(link.c.login_id == login))
    change.execute(sa.delete(schema.login).where(schema.login.c.id == login))
    change.note("login.delete", Noun.LOGIN, login, tenant_id=tenant_id, detail={"after": None})


def is_taken(connection: sa.Connection, login: str) -> bool:
    """Whether somebody has a login of this id."""
    found = connection.execute(sa.select(schema.login.c.id).where(schema.login.c.id == login))
    return found.scalar_one_or_none() is not None


def take_login(change: Change, holder: Holder, namespace: str, wanted: str | None) -> str:
    """Return the id of a user's login in a namespace, made if they have none yet.

    InvalidError when the name can't be one, ConflictError when somebody has it or when the user
    has another.
    """
    name = wanted if wanted is not None else holder.name
    had = login_of(change.connection, holder.id, namespace)
    if had is not None:
        if wanted is not None and login_id(namespace, wanted) != had:
            other = had.partition(":")[2]
            raise ConflictError(f"The login name in {namespace} is {other!r} and stays so.")
        return had
    fault = login_fault(name)
    if fault is not None:
        hint = "" if wanted is not None else f"; the user's name {name!r} is none, so give another"
        raise InvalidError([("login", f"{fault}{hint}")])
    if is_taken(change.connection, login_id(namespace, name)):
        raise ConflictError(f"The login name {name!r} is taken in {namespace}; give another.")
    return add_login(change, holder.tenant_id, holder.id, namespace, name)


def free(change: Change, user_id: str, tenant_id: str) -> None:
    """Revoke every password of a user and give their login names free, in every namespace."""
    login, link = schema.login, schema.login_credential
    mine = sa.select(login.c.id).where(login.c.user_id == user_id)
    for one in change.execute(mine).scalars().all():
        kinds = change.execute(sa.select(link.c.kind).where(link.c.login_id == one)).scalars().all()
        for kind in kinds:
            take_back(change, one, kind, tenant_id)
        change.execute(sa.delete(login).where(login.c.id == one))
        told = {"before": {"user_id": user_id}, "after": None}
        change.note("login.delete", Noun.LOGIN, one, tenant_id=tenant_id, detail=told)


def login_of(connection: sa.Connection, user_id: str, namespace: str) -> str | None:
    """Return the id of a user's login in a namespace."""
    table = schema.login
    mine = sa.select(table.c.id).where(table.c.user_id == user_id).order_by(table.c.created_at)
    found = connection.execute(mine).scalars().all()
    return next((one for one in found if one.partition(":")[0] == namespace), None)


def give(  # noqa: PLR0913 - a credential is told field by field
    change: Change,
    *,
    kind: str,
    issued: Issued,
    login: str,
    scopes: Scopes,
    networks: Networks | None,
    owner: tuple[str, str, str],
    issues: bool,
    expires_at: float | None = None,
) -> int:
    """Write a password as the one that a login has of its kind; `owner`: tenant, project, user.

    `issues` says whether more may be made with it: with a person's own, as that is how they begin;
    with a program's never. The one before is revoked. Of what was issued, everything but the
    secret is kept. Returns the last journal number.
    """
    tenant_id, link = owner[0], schema.login_credential
    _revoke(change, login, kind, tenant_id)
    new = NewCredential(
        kind=kind,
        issued=issued,
        owner=owner,
        parent_id=None,
        name=login,
        services=[EVERY],
        scopes=scopes,
        networks=networks,
        expires_at=expires_at,
        issues=issues,
    )
    add_credential(change, "basic.create", new)
    change.execute(sa.insert(link).values(login_id=login, kind=kind, credential_id=issued.id))
    told = {"after": {"kind": kind, "credential_id": issued.id}}
    return change.note("login.change", Noun.LOGIN, login, tenant_id=tenant_id, detail=told)


def take_back(change: Change, login: str, kind: str, tenant_id: str) -> int:
    """Revoke what a login has of a kind; the journal's head where it has none any more."""
    before = _revoke(change, login, kind, tenant_id)
    if before is None:
        head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        return head
    told = {"before": {"kind": kind, "credential_id": before}, "after": None}
    return change.note("login.change", Noun.LOGIN, login, tenant_id=tenant_id, detail=told)


def _revoke(change: Change, login: str, kind: str, tenant_id: str) -> str | None:
    link = schema.login_credential
    here = sa.and_(link.c.login_id == login, link.c.kind == kind)
    before: str | None = change.execute(
        sa.select(link.c.credential_id).where(here)
    ).scalar_one_or_none()
    if before is not None:
        change.execute(sa.delete(link).where(here))
        for ended in (before, *_in_grace(change, before)):
            change.alter(
                "basic.revoke",
                Noun.CREDENTIAL,
                schema.credential,
                {"id": ended, "revoked_at": None},
                {"revoked_at": change.at},
                tenant_id=tenant_id,
            )
    return before


def _in_grace(change: Change, credential_id: str) -> list[str]:
    """Return those before a credential that still work: they end with what took their place."""
    table = schema.credential
    found: list[str] = []
    wanted = sa.select(table.c.predecessor_id).where(table.c.id == credential_id)
    above: str | None = change.execute(wanted).scalar_one()
    while above is not None:
        row = change.execute(sa.select(table).where(table.c.id == above)).mappings().one_or_none()
        if row is None:
            break
        standing = row["expires_at"] is None or change.at < row["expires_at"]
        if row["revoked_at"] is None and standing:
            found.append(above)
        above = row["predecessor_id"]
    return found


def kind_of(policy: Policy, namespace: str, sort: type[_K]) -> _K:
    """Return the kind of password that a namespace takes; InvalidError when it takes none."""
    for area in policy.areas:
        for kind in area.kinds if area.logins == namespace else ():
            if isinstance(kind, sort):
                return kind
    for other in policy.kinds.values():
        if isinstance(other, sort) and other.name.partition(".")[0] == namespace:
            return other
    taking = {area.logins for area in policy.areas for one in area.kinds if isinstance(one, sort)}
    known = ", ".join(sorted(taking)) or "none under the published policy"
    raise InvalidError([("namespace", f"{namespace!r} takes no such password; these do: {known}")])


def user_in(connection: sa.Connection, tenant_id: str, user_id: str) -> sa.RowMapping:
    """Return the row of a user of a tenant; NotFoundError when there is none."""
    table = schema.user
    found = connection.execute(
        sa.select(table).where(
            table.c.id == user_id, table.c.tenant_id == tenant_id, table.c.deleted_at.is_(None)
        )
    )
    row = found.mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"there is no user {user_id[:64]!r}")
    return row


def holder_of(
    connection: sa.Connection, caller: Caller, user_id: str, project_id: str | None
) -> Holder:
    """Return a user of the caller's tenant with their rights in the project meant.

    NotFoundError when there is no such user, InvalidError when it is not clear which project.
    """
    row = user_in(connection, caller.tenant_id, user_id)
    table = schema.role_assignment
    held = connection.execute(sa.select(table).where(table.c.user_id == user_id)).all()
    projects = list(dict.fromkeys(one.project_id for one in held))
    if project_id is None and user_id == caller.owner.id:
        project_id = caller.credential.project_id
    if project_id is None and len(projects) == 1:
        project_id = projects[0]
    if project_id is None or project_id not in projects:
        those = f"the user holds roles in {', '.join(projects) or 'none'}"
        problem = "which project?" if project_id is None else f"{project_id!r} is none of theirs"
        raise InvalidError([("project_id", f"{problem}; {those}")])
    mine = [one.role_id for one in held if one.project_id == project_id]
    rights = rights_of(mine, caller.tenant_id, _roles(connection, caller.tenant_id).get)
    return Holder(user_id, row["name"], caller.tenant_id, project_id, rights)


def _roles(connection: sa.Connection, tenant_id: str) -> dict[str, Role]:
    table = schema.role
    usable = sa.or_(table.c.tenant_id == tenant_id, table.c.tenant_id.is_(None))
    rows = connection.execute(sa.select(table).where(usable)).mappings().all()
    read = [stored(row) for row in rows]
    return {
        row["id"]: Role(
            row["id"], row["tenant_id"], Scopes.of(row["scopes"]), tuple(row["implies"])
        )
        for row in read
    }


def check_gives(
    connection: sa.Connection,
    caller: Caller,
    holder: Holder,
    opened: Scopes,
    expires_at: float | None = None,
) -> tuple[Scopes, Networks | None]:
    """Return the scopes and networks of a new password; ForbiddenError when it can't be given.

    `opened` are the scopes that it can be used for. It gets all that its user may do at each
    request where the caller's own credential is bounded by nothing less; else what both hold now.
    One's own is bounded by the credential that it is made with in every way; somebody else's is
    theirs, so the caller's networks and expiry don't bound it, but what the caller holds does.
    """
    now = holder.rights & opened
    if holder.id == caller.owner.id:
        networks = may_issue(sourced(connection, caller), now, None, expires_at)
        return (ALL if caller.credential.scopes.every else now), networks
    if not caller.credential.issues:
        raise ForbiddenError("the credential you came with may not make others")
    may_hand_out(caller, now)
    return (ALL if caller.rights.every else now), None
