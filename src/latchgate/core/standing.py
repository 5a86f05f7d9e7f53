"""Whether a credential whose secret was right stands now, and what it may do.

Rule of this file: the one rule for rights. What a credential may do is what it was issued with,
met with what its owner may do now, met with what its parent may do now; a gap anywhere
refuses. Nothing here runs before the secret was compared (ARCHITECTURE §5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from latchgate.core.model import (
    Application,
    Credential,
    Facts,
    Grant,
    Presented,
    Project,
    Refused,
    Request,
    Role,
    Tenant,
    TraceStep,
    User,
)
from latchgate.core.network import Networks
from latchgate.core.reason import Reason, Step
from latchgate.core.scope import NONE, Scopes
from latchgate.core.secret import same

MAX_PARENTS = 4  # above one credential: a decision looks at each of them
_MAX_ROLES = 64


_Get = Callable[[str], Role | None]


def expanded(role_ids: Iterable[str], tenant_id: str, get: _Get) -> dict[str, Role]:
    """Return roles with all that they imply, by id; `get` finds one."""
    found: dict[str, Role] = {}
    seen, left = set[str](), list(role_ids)
    while left and len(seen) < _MAX_ROLES:
        role_id = left.pop()
        role = get(role_id) if role_id not in seen else None
        seen.add(role_id)
        if role is not None and role.tenant_id in {None, tenant_id}:
            found[role_id] = role
            left += role.implies
    return found


def rights_of(role_ids: Iterable[str], tenant_id: str, get: _Get) -> Scopes:
    """Return what roles hold together with all the roles that they imply; `get` finds one."""
    rights = NONE
    for role in expanded(role_ids, tenant_id, get).values():
        rights |= role.scopes
    return rights


def roles_left(
    credential: Credential, held: Iterable[str], parent: Facts | None, get: _Get
) -> dict[str, Role]:
    """Return the roles that a credential stands for now: at issue ∩ held ∩ its parent's.

    Each side is expanded first, so that Admin made Member leaves Member (providers/kakaocloud,
    "Changes or expiration of API authentication token permissions").
    """
    tenant_id = credential.tenant_id
    left = expanded(credential.roles or (), tenant_id, get)
    now = expanded(held, tenant_id, get)
    # A parent that stands for its owner as such, as a password does, takes no role away.
    if parent is not None and parent.credential.roles is not None:
        above = parent.grant.roles if parent.grant is not None else frozenset()
        now = {role_id: role for role_id, role in now.items() if role_id in above}
    return {role_id: role for role_id, role in left.items() if role_id in now}


def assemble(
    credential: Credential,
    *,
    owner: User | None,
    tenant: Tenant | None,
    project: Project | None,
    owner_rights: Scopes,
    parent: Facts | None,
    roles: frozenset[str] = frozenset(),
    application: Application | None = None,
) -> Facts:
    """Put together what is known of a credential: rights = issued ∩ owner now ∩ parent now.

    A parent that does not stand gives nothing. `owner_rights` is what the owner's roles in the
    credential's project hold now, for a credential of roles those of `roles`, which it has left.
    `application` is the program that it was given to, if it was given to one.
    """
    if parent is not None and parent.credential.tenant_id != credential.tenant_id:
        parent = None
    gap = _gap(credential, owner, tenant, project, parent)
    if gap is None and credential.roles is not None and credential.project_id and not roles:
        gap = Reason.ROLES_WITHDRAWN
    if gap is None and owner is not None and credential.application_id is not None:
        gap = _gap_of_application(credential.application_id, application, owner)
    grant = None
    if gap is None and owner is not None:
        rights = credential.scopes & owner_rights
        if parent is not None and credential.roles is None:
            rights &= parent.grant.rights if parent.grant is not None else NONE
        elif parent is not None:
            # Its roles were met with the parent's already, and may be of another project.
            rights &= parent.credential.scopes
        grant = Grant(
            credential=credential,
            owner=owner,
            rights=rights,
            application=application,
            roles=roles,
        )
    return Facts(
        credential=credential, owner_rights=owner_rights, parent=parent, gap=gap, grant=grant
    )


def _gap(
    credential: Credential,
    owner: User | None,
    tenant: Tenant | None,
    project: Project | None,
    parent: Facts | None,
) -> Reason | None:
    tenant_id = credential.tenant_id
    if tenant is None or not tenant.active:
        return Reason.TENANT_SUSPENDED
    if owner is None or owner.tenant_id != tenant_id:
        return Reason.OWNER_MISSING
    if not owner.active:
        return Reason.OWNER_DISABLED
    if not owner.api:
        return Reason.OWNER_WITHOUT_API
    if credential.project_id and (
        project is None or not project.active or project.tenant_id != tenant_id
    ):
        return Reason.PROJECT_DISABLED
    if credential.parent_id is not None and parent is None:
        return Reason.PARENT_GONE
    return None


def _gap_of_application(
    application_id: str, application: Application | None, owner: User
) -> Reason | None:
    if application is None or not application.approved:
        return Reason.APPLICATION_NOT_APPROVED
    return Reason.APPLICATION_BLOCKED if application_id in owner.blocked else None


def verified(
    presented: Presented, facts: Facts, request: Request, now: float, trace: list[TraceStep]
) -> Grant | Refused:
    """Compare the secret's digest, in constant time, and only then judge whether it stands."""
    # An empty digest is one that nobody worked out.
    kept = facts.credential.digest
    right = bool(presented.digest) and same(kept, presented.digest)
    for other in presented.others:
        right |= same(kept, other)
    trace.append((Step.SECRET, right, (presented.label,)))
    if not right:
        return Refused(Reason.SECRET_WRONG)
    return standing(facts, request, now, trace)


def standing(facts: Facts, request: Request, now: float, trace: list[TraceStep]) -> Grant | Refused:
    """Judge state, expiry, holders, parents and networks, in that order.

    A credential is valid while `now < expires_at`; a parent must stand for the same request.
    """
    credential = facts.credential
    revoked_at, expires_at = credential.revoked_at, credential.expires_at
    alive = (
        revoked_at is None
        and (expires_at is None or now < expires_at)
        and credential.disabled_at is None
    )
    told = (revoked_at, expires_at, now, credential.disabled_at, credential.superseded_by)
    trace.append((Step.STATE, alive, told))
    if not alive:
        return Refused(_ended(credential, now))
    grant = facts.grant
    trace.append((Step.OWNER, grant is not None, (credential.owner_id, credential.tenant_id)))
    if grant is None:
        return Refused(facts.gap or Reason.OWNER_MISSING)
    if facts.parent is not None:
        above = standing(facts.parent, request, now, trace)
        if isinstance(above, Refused):
            return Refused(Reason.PARENT_GONE, f"the parent: {above.reason}")
    # The owner's own filters hold for every credential of theirs: none outgrows its owner.
    for networks in (credential.networks, grant.owner.networks):
        if networks is not None:
            outside = _outside(networks, request, trace)
            if outside is not None:
                return outside
    return grant


def _ended(credential: Credential, now: float) -> Reason:
    """Say how a credential ended: what was rotated ended because another took its place."""
    expired = credential.expires_at is not None and now >= credential.expires_at
    if credential.superseded_by is not None and (expired or credential.revoked_at is not None):
        return Reason.CREDENTIAL_SUPERSEDED
    if credential.revoked_at is not None:
        return Reason.CREDENTIAL_REVOKED
    return Reason.CREDENTIAL_EXPIRED if expired else Reason.CREDENTIAL_DISABLED


def _outside(networks: Networks, request: Request, trace: list[TraceStep]) -> Refused | None:
    client = request.client
    inside = client is not None and client in networks
    trace.append((Step.NETWORK, inside, (client, networks)))
    if client is None:
        return Refused(Reason.CLIENT_ADDRESS_INVALID, "the client's address is not known")
    return None if inside else Refused(Reason.NETWORK_NOT_ALLOWED, str(client))
