"""The first records of a new Latchgate, and the way back in for an operator without a token.

Local only: both write to the database of the machine they run on, so whoever may do that needs no
other right. Both are in the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL
from latchgate.core.secret import Secret
from latchgate.manage import logins, projects, roles, tenants, users
from latchgate.manage.errors import NotFoundError
from latchgate.manage.keys import KeySpec, insert
from latchgate.manage.policy import publish
from latchgate.manage.records import new_id
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Actor, Change, Store

TENANT = "default"
ADMIN = "admin"
_ADMIN_ROLE = "administrator"
_PASSWORD_KIND = "latchgate.account_password"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """What `init` made; the password and the token are shown once and kept nowhere."""

    tenant_id: str
    tenant: str
    admin: str
    password: Secret
    token: Secret


def initialize(
    store: Store,
    policy: Policy,
    files: Mapping[str, str],
    *,
    entropy: Callable[[int], bytes],
    hash_password: Callable[[str], str],
) -> FirstRecords:
    """Make tenant, project, role, admin and a first token, and publish policy version 1.

    ConflictError when the database holds any record already.
    """
    kind = policy.issued(_PASSWORD_KIND)
    first = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    # Before the transaction: nobody waits for the work.
    hashed = hash_password(first.secret.reveal()).encode()
    tenant_id, project_id, role_id, user_id = (
        new_id(prefix, entropy) for prefix in ("t", "p", "r", "u")
    )
    owner = tenant_id, project_id, user_id
    with store.change(Actor(name="local:init", tenant_id=None)) as change:
        if change.head[0]:
            # Two may set up one PostgreSQL at once; who was second must not be its operator too.
            msg = "the database holds records already"
            raise ConflictError(msg)
        tenants.add(change, tenant_id, TENANT)
        projects.add(change, project_id, tenant_id, TENANT)
        roles.add(change, role_id, tenant_id, _ADMIN_ROLE, ALL, ())
        users.add(change, user_id, tenant_id, ADMIN, "main")
        roles.assign(change, tenant_id, user_id, project_id, role_id)
        login = logins.add_login(change, tenant_id, user_id, "latchgate", ADMIN)
        logins.give(
            change,
            kind=kind.name,
            issued=replace(first, digest=hashed),
            login=login,
            scopes=ALL,
            networks=None,
            owner=owner,
            issues=True,
        )
        issued = _token(change, policy, owner, "first token", entropy)
        publish(change, files)
    return FirstRecords(
        tenant_id=tenant_id,
        tenant=TENANT,
        admin=ADMIN,
        password=first.secret,
        token=issued.secret,
    )


def recover(store: Store, policy: Policy, *, who: str, entropy: Callable[[int], bytes]) -> Issued:
    """Issue a new token to the first administrator; `who` is the local account that asked.

    NotFoundError when there is no administrator any more whose account, project and tenant are
    active.
    """
    user, assignment, role = schema.user, schema.role_assignment, schema.role
    everything = msgspec.json.encode(ALL.listed()).decode()
    administrator = (
        sa.select(user.c.id, user.c.tenant_id, assignment.c.project_id)
        .join(assignment, assignment.c.user_id == user.c.id)
        .join(role, role.c.id == assignment.c.role_id)
        .join(schema.tenant, schema.tenant.c.id == user.c.tenant_id)
        .join(schema.project, schema.project.c.id == assignment.c.project_id)
        .where(user.c.active, schema.tenant.c.active, schema.project.c.active)
        .where(role.c.scopes == everything)
        .order_by(user.c.created_at)
        .limit(1)
    )
    with store.change(Actor(name=f"local:{who}", tenant_id=None)) as change:
        row = change.execute(administrator).one_or_none()
        if row is None:
            msg = "no active user of an active tenant and project holds a role with every scope"
            raise NotFoundError(msg)
        owner = (row.tenant_id, row.project_id, row.id)
        return _token(change, policy, owner, "recovered token", entropy)


def _token(
    change: Change,
    policy: Policy,
    owner: tuple[str, str, str],
    name: str,
    entropy: Callable[[int], bytes],
) -> Issued:
    services = [
        name for name, service in policy.services.items() if service.provider == "latchgate"
    ]
    kind = policy.issued("latchgate.service_key")
    issued = kind.issue(Spec(service=services[0]), entropy(kind.entropy_bytes))
    insert(
        change,
        kind=kind,
        issued=issued,
        spec=KeySpec(name=name, services=services),
        scopes=ALL,
        networks=None,
        expires_at=None,
        owner=owner,
    )
    return issued
