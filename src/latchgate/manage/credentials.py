"""One new credential: its record, written with its journal row.

Rule of this file: whatever makes one says what it opens, from where, until when and for whom;
nothing that security depends on is filled in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latchgate.core.kinds import Issued
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.scope import Scopes
from latchgate.store import schema
from latchgate.store.journal import Change

_BLANK = dict.fromkeys(
    (
        "revoked_at",
        "disabled_at",
        "superseded_by",
        "superseded_at",
        "predecessor_id",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCredential:
    """What is stored of a new credential; `owner` is tenant, project and user id.

    `issues` says whether more may be made with it, `parent_id` what it ends with, `roles` which
    roles it stands for instead of its scopes, `access_rules` which requests it may make: every one
    where it is None.
    """

    kind: str
    issued: Issued
    owner: tuple[str, str, str]
    parent_id: str | None
    name: str
    services: Sequence[str]
    scopes: Scopes
    networks: Networks | None
    expires_at: float | None
    issues: bool
    description: str = ""
    environment: str | None = None
    external_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    roles: list[str] | None = None
    access_rules: list[dict[str, str]] | None = None


def add_credential(change: Change, action: str, new: NewCredential) -> dict[str, Any]:
    """Write a new credential inside a change; returns its row, with its version."""
    tenant_id, project_id, owner_id = new.owner
    row: dict[str, Any] = _BLANK | {
        "id": new.issued.id,
        "kind": new.kind,
        "tenant_id": tenant_id,
        "project_id": project_id,
        "owner_id": owner_id,
        "parent_id": new.parent_id,
        "name": new.name,
        "description": new.description,
        "services": list(new.services),
        "scopes": new.scopes.listed(),
        "networks": new.networks.listed() if new.networks is not None else None,
        "environment": new.environment,
        "external_id": new.external_id,
        "metadata": dict(new.metadata),
        "digest": new.issued.digest,
        "hint": new.issued.hint,
        "created_at": change.at,
        "created_by": change.actor.name,
        "expires_at": new.expires_at,
        "issues": new.issues,
        "roles": new.roles,
        "access_rules": new.access_rules,
    }
    n = change.add(action, Noun.CREDENTIAL, schema.credential, row, tenant_id=tenant_id)
    return row | {"version": n}
