"""App passwords: Basic switched on for a user, its random password, and both taken back.

The password is shown once and is one at a time; reissue replaces it at once. Whoever had Basic by
default, with their login password, loses that default by the first switch, on or off, for
good. Source: providers/teracloud, "BASIC authentication".
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated

import msgspec
import sqlalchemy as sa

from latchgate.core.basic import MAX_LOGIN
from latchgate.core.kinds import Issued, Spec
from latchgate.core.kinds.account_password import AccountPassword
from latchgate.core.kinds.app_password import AppPassword
from latchgate.core.model import Noun
from latchgate.core.policy import Area, Policy
from latchgate.core.scope import Scopes
from latchgate.manage import logins
from latchgate.manage.actor import Caller
from latchgate.manage.errors import NotFoundError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.lifetimes import bounded
from latchgate.manage.logins import Holder
from latchgate.manage.rotation import Rows
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store, stored

NAMESPACE = "teracloud"  # the one whose clients know nothing but Basic


class BasicSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where Basic is switched on, and under which login name; the user's own name unless told.

    `project_id` says in which project the password has the user's roles: the caller's own, or the
    only one that the user holds a role in, unless told.
    """

    namespace: Annotated[str, msgspec.Meta(min_length=1, max_length=32)] = NAMESPACE
    login: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LOGIN)] | None = None
    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class StoredBasic(msgspec.Struct, frozen=True):
    """Whether a user's app password can be sent in a namespace; times are Unix seconds.

    `login_password` says whether their account's password is taken there as Basic.
    """

    user_id: str
    namespace: str
    login: str | None
    enabled: bool
    login_password: bool
    credential_id: str | None
    project_id: str | None
    created_at: float | None
    created_by: str | None
    expires_at: float | None


def show(store: Store, policy: Policy, caller: Caller, user_id: str, namespace: str) -> StoredBasic:
    """Return what a user of the caller's tenant has in a namespace; NotFoundError for no user."""
    kind = logins.kind_of(policy, namespace, AppPassword)
    with store.reading() as connection:
        user = logins.user_in(connection, caller.tenant_id, user_id)
        return _shown(connection, policy, user, namespace, kind)


def enable(
    store: Store,
    policy: Policy,
    caller: Caller,
    user_id: str,
    *,
    spec: BasicSpec,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredBasic, Issued | None, int]:
    """Make a user's login name and app password; returns the journal number last.

    A repeat of `once` returns what there is now, without the password.
    InvalidError names the field, ConflictError tells of a taken name or of one that is on already,
    ForbiddenError what the caller does not hold.
    """
    if recall(store, caller, once, now) is not None:
        return show(store, policy, caller, user_id, spec.namespace), None, 0
    kind = logins.kind_of(policy, spec.namespace, AppPassword)
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    with store.change(caller.actor) as change:
        holder = logins.holder_of(change.connection, caller, user_id, spec.project_id)
        user = logins.user_in(change.connection, caller.tenant_id, user_id)
        before = _shown(change.connection, policy, user, spec.namespace, kind)
        if before.enabled:
            raise ConflictError("Basic is enabled already; reissue replaces its password.")
        remember(change, caller, once, issued.id)
        user = _switched(change, user, kind)
        login = logins.take_login(change, holder, spec.namespace, spec.login)
        n = _give(change, policy, caller, kind, issued, login, holder)
        return _shown(change.connection, policy, user, spec.namespace, kind), issued, n


def reissue(
    store: Store,
    policy: Policy,
    caller: Caller,
    user_id: str,
    namespace: str,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredBasic, Issued | None, int]:
    """Replace a user's app password at once; NotFoundError where Basic is not enabled.

    A repeat of `once` returns what there is now, without the password.
    """
    if recall(store, caller, once, now) is not None:
        return show(store, policy, caller, user_id, namespace), None, 0
    kind = logins.kind_of(policy, namespace, AppPassword)
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    with store.change(caller.actor) as change:
        user = logins.user_in(change.connection, caller.tenant_id, user_id)
        before = _shown(change.connection, policy, user, namespace, kind)
        if not before.enabled or before.login is None:
            msg = f"Basic is not enabled for {user_id} in {namespace}; enable makes a password"
            raise NotFoundError(msg)
        remember(change, caller, once, issued.id)
        holder = logins.holder_of(change.connection, caller, user_id, before.project_id)
        login = logins.login_id(namespace, before.login)
        n = _give(change, policy, caller, kind, issued, login, holder)
        return _shown(change.connection, policy, user, namespace, kind), issued, n


def rotated_rows(
    store: Store, policy: Policy, caller: Caller, user_id: str, namespace: str
) -> tuple[str, Rows]:
    """Return a user's app password in a namespace, and under which terms it may be rotated.

    NotFoundError where Basic is not enabled. Unless told there is no grace: whoever gets a new
    password types it, and the old one was typed somewhere too.
    """
    kind = logins.kind_of(policy, namespace, AppPassword)
    found = show(store, policy, caller, user_id, namespace)
    if found.credential_id is None:
        msg = f"Basic is not enabled for {user_id} in {namespace}; enable makes a password"
        raise NotFoundError(msg)
    table = schema.credential
    whose = (
        table.c.tenant_id == caller.tenant_id,
        table.c.owner_id == user_id,
        table.c.kind == kind.name,
    )
    opened = _opened(policy, namespace)
    return found.credential_id, Rows(whose, "app password", grace=0, opened=opened)


def disable(
    store: Store, policy: Policy, caller: Caller, user_id: str, namespace: str
) -> tuple[StoredBasic, int]:
    """Take Basic from a user at once, app password and default alike; the login name stays theirs.

    A repeated one changes nothing and has its receipt waited for again. NotFoundError where it
    never was enabled.
    """
    kind = logins.kind_of(policy, namespace, AppPassword)
    with store.change(caller.actor) as change:
        user = logins.user_in(change.connection, caller.tenant_id, user_id)
        before = _shown(change.connection, policy, user, namespace, kind)
        if before.login is None:
            raise NotFoundError(f"Basic was never enabled for {user_id} in {namespace}")
        user = _switched(change, user, kind)
        n = logins.take_back(
            change, logins.login_id(namespace, before.login), kind.name, caller.tenant_id
        )
        return _shown(change.connection, policy, user, namespace, kind), n


def _switched(change: Change, user: sa.RowMapping, kind: AppPassword) -> sa.RowMapping:
    """Keep that a user switched Basic on or off at a provider; returns their row as it is then."""
    row = stored(user)
    provider = kind.name.partition(".")[0]
    before = row["basic_switched"] or []
    if provider in before:
        return user
    after = {"basic_switched": sorted([*before, provider])}
    tenant_id = row["tenant_id"]
    change.alter("basic.switch", Noun.USER, schema.user, row, after, tenant_id=tenant_id)
    return logins.user_in(change.connection, tenant_id, row["id"])


def namespaces(policy: Policy) -> tuple[str, ...]:
    """Return the login namespaces in which an app password opens something, by name."""
    found = {
        area.logins
        for area in policy.areas
        if any(isinstance(kind, AppPassword) for kind in area.kinds)
    }
    return tuple(sorted(found))


def areas(policy: Policy, namespace: str) -> tuple[Area, ...]:
    """Return where the app password of a namespace is taken; InvalidError when it takes none."""
    kind = logins.kind_of(policy, namespace, AppPassword)
    return tuple(one for one in policy.areas if one.logins == namespace and kind in one.kinds)


def _opened(policy: Policy, namespace: str) -> Scopes:
    """Return every scope that an app password can be used for with a login of a namespace."""
    services = {one.service for one in areas(policy, namespace) if one.service is not None}
    return Scopes.of(scope for name in services for scope in policy.scopes_of(name))


def _give(
    change: Change,
    policy: Policy,
    caller: Caller,
    kind: AppPassword,
    issued: Issued,
    login: str,
    holder: Holder,
) -> int:
    opened = _opened(policy, login.partition(":")[0])
    # Nobody asks for its life: it is the longest that the tenant's policy lets it have.
    expires_at = bounded(
        change.connection, caller.tenant_id, kind.name, created_at=change.at, expires_at=None
    )
    scopes, networks = logins.check_gives(change.connection, caller, holder, opened, expires_at)
    return logins.give(
        change,
        kind=kind.name,
        issued=issued,
        login=login,
        scopes=scopes,
        networks=networks,
        owner=holder.owner,
        issues=False,
        expires_at=expires_at,
    )


def _shown(
    connection: sa.Connection,
    policy: Policy,
    user: sa.RowMapping,
    namespace: str,
    kind: AppPassword,
) -> StoredBasic:
    login = logins.login_of(connection, user["id"], namespace)
    link, credential = schema.login_credential, schema.credential
    mine = (
        sa.select(credential, link.c.kind.label("sort"))
        .join(link, link.c.credential_id == credential.c.id)
        .where(link.c.login_id == login)
    )
    rows = connection.execute(mine).mappings().all() if login is not None else []
    held = {row["sort"]: row for row in rows}
    row = held.get(kind.name)
    return StoredBasic(
        user_id=user["id"],
        namespace=namespace,
        login=login.partition(":")[2] if login is not None else None,
        enabled=row is not None,
        login_password=_takes_login_password(policy, user, namespace, held),
        credential_id=row["id"] if row is not None else None,
        project_id=row["project_id"] if row is not None else None,
        created_at=row["created_at"] if row is not None else None,
        created_by=row["created_by"] if row is not None else None,
        expires_at=row["expires_at"] if row is not None else None,
    )


def _takes_login_password(
    policy: Policy, user: sa.RowMapping, namespace: str, held: Collection[str]
) -> bool:
    """Whether an area of a namespace takes the account's password from a user who has one."""
    switched = stored(user)["basic_switched"] or []
    return any(
        kind.name in held and kind.taken_from(user["created_at"], switched)
        for area in policy.areas
        if area.logins == namespace
        for kind in area.kinds
        if isinstance(kind, AccountPassword)
    )
