"""Tenants: isolated customers, made and suspended by the operator.

A new tenant comes with a main user, a project, a role and a first token, so that somebody can
go on from there: the role holds every scope of the published policy but the operator's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import keys, projects, roles, users
from latchgate.manage.actor import Caller
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import KeySpec, Line
from latchgate.manage.listing import Listing, Query, by, equals, page, truth
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

OPERATOR = "operator"
VERIFIER = "verifier"  # who follows as an edge is one more that every receipt waits for
ADMINISTRATOR = "administrator"
_FIRST_SERVICES = ("manage", "own")
TABLE = schema.tenant
LISTING = Listing(
    table=TABLE,
    searched=("id", "name"),
    filters={"name": equals(TABLE.c.name), "active": truth(TABLE.c.active)},
    sorts={"created_at": by(TABLE.c.created_at), "name": by(TABLE.c.name)},
)


class TenantSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new tenant shall be: its name, its main user's, and its first project's."""

    name: Line
    user: Line
    email: users.Email | None = None
    project: Line = "default"


class TenantPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a tenant; absent stays."""

    name: Line | msgspec.UnsetType = msgspec.UNSET


class StoredTenant(msgspec.Struct, frozen=True):
    """A tenant as stored; times are Unix seconds."""

    id: str
    name: str
    active: bool
    created_at: float
    version: int


class First(msgspec.Struct, frozen=True):
    """What a new tenant comes with; the token is shown once and kept nowhere."""

    user_id: str
    project_id: str
    role_id: str
    token: Issued


def add(change: Change, tenant_id: str, name: str) -> int:
    """Write a new tenant inside a change; returns the journal number."""
    row = {"id": tenant_id, "name": name, "active": True, "created_at": change.at}
    return change.add("tenant.create", Noun.TENANT, TABLE, row, tenant_id=tenant_id)


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: TenantSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredTenant, First | None]:
    """Make a tenant and what it comes with; that is None on a repeat of `once`.

    ConflictError when the name is taken.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, before), None
    tenant_id, project_id, role_id, user_id = (
        new_id(prefix, entropy) for prefix in ("t", "p", "r", "u")
    )
    scopes = Scopes.of(
        scope
        for name, service in policy.services.items()
        if name not in {OPERATOR, VERIFIER}
        for scope in service.scopes
    )
    with store.change(caller.actor) as change:
        remember(change, caller, once, tenant_id)
        add(change, tenant_id, spec.name)
        projects.add(change, project_id, tenant_id, spec.project)
        roles.add(change, role_id, tenant_id, ADMINISTRATOR, scopes, ())
        users.add(change, user_id, tenant_id, spec.user, "main", email=spec.email)
        roles.assign(change, tenant_id, user_id, project_id, role_id)
        token = _token(change, policy, (tenant_id, project_id, user_id), entropy)
        row = find(change.connection, TABLE, tenant_id, noun="tenant")
    return _stored(row), First(user_id, project_id, role_id, token)


def _token(
    change: Change,
    policy: Policy,
    owner: tuple[str, str, str],
    entropy: Callable[[int], bytes],
) -> Issued:
    kind = policy.issued("latchgate.service_key")
    issued = kind.issue(Spec(service=_FIRST_SERVICES[0]), entropy(kind.entropy_bytes))
    keys.insert(
        change,
        kind=kind,
        issued=issued,
        spec=KeySpec(name="first token", services=list(_FIRST_SERVICES)),
        scopes=ALL,
        networks=None,
        expires_at=None,
        owner=owner,
    )
    return issued


def listed(store: Store, query: Query, *, now: float) -> tuple[list[StoredTenant], str | None]:
    """Return a page of all tenants, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, now=now)
    return [_stored(row) for row in rows], following


def shown(store: Store, tenant_id: str) -> StoredTenant:
    """Return one tenant; NotFoundError."""
    with store.reading() as connection:
        return _stored(find(connection, TABLE, tenant_id, noun="tenant"))


def change_tenant(
    store: Store, caller: Caller, tenant_id: str, patch: TenantPatch, *, match: IfMatch = ANY
) -> StoredTenant:
    """Rename a tenant. NotFoundError, StaleError; ConflictError when the name is taken."""
    with store.change(caller.actor) as change:
        row = find(change.connection, TABLE, tenant_id, noun="tenant", match=match)
        _alter(change, "tenant.change", row, asked(patch))
    return _stored(row)


def switch(
    store: Store, caller: Caller, tenant_id: str, *, active: bool, match: IfMatch = ANY
) -> tuple[StoredTenant, int]:
    """Suspend or reinstate a tenant; returns it and the number that verifiers must reach.

    NotFoundError, StaleError; ConflictError when the operator would suspend their own.
    """
    if tenant_id == caller.tenant_id and not active:
        msg = "this is your own tenant; you could not come back to reinstate it"
        raise ConflictError(msg)
    with store.change(caller.actor) as change:
        row = find(change.connection, TABLE, tenant_id, noun="tenant", match=match)
        action = "tenant.reinstate" if active else "tenant.suspend"
        n = _alter(change, action, row, {"active": active})
    return _stored(row), n


def _alter(change: Change, action: str, row: dict[str, Any], new: dict[str, Any]) -> int:
    return alter(change, action, Noun.TENANT, TABLE, row, new, tenant_id=row["id"])


def _stored(row: dict[str, Any]) -> StoredTenant:
    return StoredTenant(**{name: row[name] for name in StoredTenant.__struct_fields__})
