"""What a token is told to be: the body of a sign-in and of a validation.

Source: Keystone v3, "Authentication and token management".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from latchgate.core.model import Credential, Grant, Key, Noun, Project, Record, Role, Tenant, User
from latchgate.core.secret import digest
from latchgate.doors.keystone.answers import encode
from latchgate.doors.keystone.identity import Identity
from latchgate.doors.keystone.reading import APPLICATION_CREDENTIAL, PASSWORD
from latchgate.verify.cache import Moment
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


class Validated:
    """What validated tokens are, each right at one moment of the journal and until its end.

    Known by the digest of their text alone. Only what neither a network nor a parent's end bounds
    is kept: whether it stands hangs on nothing else that can change without the journal.
    """

    def __init__(self) -> None:
        self._grants: dict[bytes, tuple[Moment, float, Grant]] = {}
        self._bodies: dict[tuple[str, bool], tuple[Moment, Grant, bytes]] = {}

    def grant(self, text: str, at: Moment, now: float) -> Grant | None:
        """Return what a token gives, if that is known of this very moment."""
        held = self._grants.get(digest("validated", text))
        return held[2] if held is not None and held[0] == at and now < held[1] else None

    def keep(self, text: str, at: Moment, grant: Grant, source: Credential) -> None:
        """Keep what a token gives, unless it hangs on where it is used from."""
        bounds = (source.networks, grant.owner.networks, grant.credential.networks)
        end = grant.credential.expires_at
        if end is None or source.parent_id is not None or any(one is not None for one in bounds):
            return
        if len(self._grants) >= _MAX_REMEMBERED:
            self._grants.clear()
        self._grants[digest("validated", text)] = at, end, grant

    def body(self, grant: Grant, at: Moment, *, catalog: bool) -> bytes | None:
        """Return what was told of a token at this moment."""
        held = self._bodies.get((grant.credential.id, catalog))
        if held is None or held[0] != at or held[1] is not grant:
            return None
        return held[2]

    def keep_body(self, grant: Grant, at: Moment, body: bytes, *, catalog: bool) -> None:
        """Keep what is told of a token; all is dropped where there gets to be too much."""
        if len(self._bodies) >= _MAX_REMEMBERED:
            self._bodies.clear()
        self._bodies[grant.credential.id, catalog] = at, grant, body


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
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


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
