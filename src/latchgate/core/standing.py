"""Whether a credential whose secret was right stands now, and what it may do.

Rule of this file: the one rule for rights. What a credential may do is what it was issued with,
met with what its owner may do now, met with what its parent may do now; a gap anywhere
refuses. Nothing here runs before the secret was compared (ARCHITECTURE §5).
"""

from __future__ import annotations

from latchgate.core.model import Facts, Refused, Request, TraceStep
from latchgate.core.reason import Reason, Step
from latchgate.core.scope import Scopes


def rights(facts: Facts) -> Scopes:
    """Return issued ∩ owner now ∩ parent now."""
    own = facts.credential.scopes & facts.owner_rights
    return own & rights(facts.parent) if facts.parent is not None else own


def standing(facts: Facts, request: Request, now: float, trace: list[TraceStep]) -> Refused | None:
    """Judge state, expiry, owner, tenant, project, parents and networks, in that order.

    Returns None when the credential stands. A credential is valid while `now < expires_at`.
    """
    credential = facts.credential
    refused = _lifetime(facts, now)
    trace.append((Step.STATE, refused is None, (credential.revoked_at, credential.expires_at, now)))
    if refused is not None:
        return refused
    refused = _holders(facts)
    trace.append((Step.OWNER, refused is None, (credential.owner_id, credential.tenant_id)))
    if refused is not None:
        return refused
    parent = facts.parent
    if parent is not None:
        below = standing(parent, request, now, trace)
        if below is not None:
            return Refused(Reason.PARENT_GONE, f"parent {parent.credential.id}: {below.reason}")
    elif credential.parent_id is not None:
        return Refused(Reason.PARENT_GONE, f"parent {credential.parent_id} does not exist")
    networks = credential.networks
    if networks is None:
        return None
    client = request.client
    inside = client is not None and client in networks
    trace.append((Step.NETWORK, inside, (client, networks)))
    if client is None:
        return Refused(Reason.CLIENT_ADDRESS_INVALID, "the client's address is not known")
    return None if inside else Refused(Reason.NETWORK_NOT_ALLOWED, str(client))


def _lifetime(facts: Facts, now: float) -> Refused | None:
    credential = facts.credential
    if credential.revoked_at is not None:
        return Refused(Reason.CREDENTIAL_REVOKED)
    if credential.expires_at is not None and now >= credential.expires_at:
        return Refused(Reason.CREDENTIAL_EXPIRED)
    return None


def _holders(facts: Facts) -> Refused | None:
    owner, tenant, project, tenant_id = (
        facts.owner,
        facts.tenant,
        facts.project,
        facts.credential.tenant_id,
    )
    if tenant is None or not tenant.active:
        return Refused(Reason.TENANT_SUSPENDED)
    if owner is None or owner.tenant_id != tenant_id:
        return Refused(Reason.OWNER_MISSING)
    if not owner.active:
        return Refused(Reason.OWNER_DISABLED)
    if project is None or not project.active or project.tenant_id != tenant_id:
        return Refused(Reason.PROJECT_DISABLED)
    return None
