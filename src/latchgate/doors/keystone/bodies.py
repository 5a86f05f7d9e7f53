"""What a token is told to be: the body of a sign-in and of a validation.

Source: Keystone v3, "Authentication and token management".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from latchgate.core.model import Credential, Key, Noun, Project, Record, Role, Tenant, User
from latchgate.doors.keystone.answers import encode
from latchgate.doors.keystone.identity import Identity
from latchgate.doors.keystone.reading import APPLICATION_CREDENTIAL, PASSWORD
from latchgate.verify.engine import Engine

_MAX_REMEMBERED = 20_000


class Said(msgspec.Struct, frozen=True):
    """What a body tells of one token: whose it is, for what, minted from `source`.

    `roles` are ids of the roles it stands for now; `issues` whether access keys can be made with
    it. Times are Unix seconds.
    """

    id: str
    owner: User
    source: Credential
    project_id: str
    roles: frozenset[str]
    issues: bool
    issued_at: float
    expires_at: float


class Bodies:
    """The bodies of validated tokens, each right at one position of the journal."""

    def __init__(self) -> None:
        self._held: dict[tuple[bytes, bool], tuple[int, bytes]] = {}

    def recall(self, digest: bytes, position: int, *, catalog: bool) -> bytes | None:
        """Return the body of the token of a digest if it was made at this position."""
        held = self._held.get((digest, catalog))
        return held[1] if held is not None and held[0] == position else None

    def remember(self, digest: bytes, position: int, body: bytes, *, catalog: bool) -> None:
        """Keep a body; all are dropped where there get to be too many."""
        if len(self._held) >= _MAX_REMEMBERED:
            self._held.clear()
        self._held[digest, catalog] = position, body


def token_body(identity: Identity, engine: Engine, said: Said, *, catalog: bool) -> bytes:
    """Return the JSON of a token; StoreError when names can't be read."""
    keys: list[Key] = [(Noun.TENANT, said.owner.tenant_id), (Noun.PROJECT, said.project_id)]
    found = engine.records([*keys, *((Noun.ROLE, role_id) for role_id in said.roles)])
    domain = _domain(said.owner.tenant_id, found)
    by_key = identity.keys is not None and said.source.kind == identity.keys.name
    token: dict[str, Any] = {
        "methods": [APPLICATION_CREDENTIAL if by_key else PASSWORD],
        "user": {
            "domain": domain,
            "id": said.owner.id,
            "name": said.owner.name,
            "password_expires_at": None,
        },
        "audit_ids": [said.id],
        "expires_at": moment(said.expires_at),
        "issued_at": moment(said.issued_at),
    }
    if said.project_id:
        project = found[Noun.PROJECT, said.project_id]
        name = project.name if isinstance(project, Project) else ""
        token["project"] = {"domain": domain, "id": said.project_id, "name": name}
        token["is_domain"] = False
        token["roles"] = _roles(said.roles, found)
        if catalog:
            token["catalog"] = identity.catalog
    if by_key:
        token[APPLICATION_CREDENTIAL] = _key(said)
    return encode({"token": token})


def moment(at: float) -> str:
    """Return a time as Keystone writes it in tokens: six decimals and Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _domain(tenant_id: str, found: dict[Key, Record | None]) -> dict[str, str]:
    tenant = found[Noun.TENANT, tenant_id]
    return {"id": tenant_id, "name": tenant.name if isinstance(tenant, Tenant) else ""}


def _roles(wanted: frozenset[str], found: dict[Key, Record | None]) -> list[dict[str, str]]:
    roles = [found[Noun.ROLE, role_id] for role_id in wanted]
    named = sorted((role.name, role.id) for role in roles if isinstance(role, Role))
    return [{"id": role_id, "name": name} for name, role_id in named]


def _key(said: Said) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": said.source.id,
        "name": said.source.name,
        "restricted": not said.issues,
    }
    if said.source.access_rules:
        told["access_rules"] = [
            {"service": rule.service, "path": rule.path, "method": rule.method}
            for rule in said.source.access_rules
        ]
    return told
