"""Grants of OAuth2 clients: the credentials that access tokens are minted from.

Rule of this file: whatever ends or narrows a grant is a change of that one record, so that every
token of it follows at once (docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds.oauth_token import GRANT, OauthToken
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.core.secret import CROCKFORD_LOWER, draw
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Change, Store, stored

TABLE = schema.credential
_DIGEST_BYTES = 32
_ID_BYTES = 19
# Those that stand, in the grace of nothing: a grant is never rotated.
ALIVE = sa.and_(TABLE.c.kind.like(f"%.{GRANT}"), TABLE.c.revoked_at.is_(None))


@dataclass(frozen=True, slots=True)
class GrantSpec:
    """What a new grant shall be: of which program, for whom (tenant, project, user), with what.

    A workload is nobody's program: its grant has no `application_id`, and its id for `client_id`.
    `issues` says whether keys may be made with its tokens: with those of Latchgate's own programs.
    It ends at `expires_at` (Unix seconds), or with whoever takes it away.
    """

    application_id: str | None
    client_id: str
    name: str
    owner: tuple[str, str, str]
    scopes: Scopes
    networks: Networks | None = None
    issues: bool = False
    expires_at: float | None = None


class Held(msgspec.Struct, frozen=True):
    """What a client holds in one tenant: how many grants, of how many users, since when the newest.

    `newest_at` is in Unix seconds.
    """

    tenant_id: str
    tenant_name: str
    grants: int
    users: int
    newest_at: float


def grant_kind(policy: Policy) -> str:
    """Return the kind that grants have; NotFoundError where the policy has no access tokens."""
    for kind in policy.kinds.values():
        if isinstance(kind, OauthToken):
            return kind.grant_kind
    raise NotFoundError("no provider of the published policy has OAuth2 access tokens")


def write(
    change: Change, kind: str, spec: GrantSpec, entropy: Callable[[int], bytes]
) -> dict[str, Any]:
    """Write a new grant inside a change; returns its row, with the journal number as `version`."""
    tenant_id, project_id, owner_id = spec.owner
    row: dict[str, Any] = {
        "id": f"og-{draw(entropy(_ID_BYTES), CROCKFORD_LOWER, 16)}",
        "kind": kind,
        "tenant_id": tenant_id,
        "project_id": project_id,
        "owner_id": owner_id,
        "parent_id": None,
        "name": spec.name,
        "description": "",
        "services": ["*"],
        "scopes": spec.scopes.listed(),
        "networks": spec.networks.listed() if spec.networks is not None else None,
        "environment": None,
        "external_id": spec.client_id,
        "metadata": {},
        "digest": entropy(_DIGEST_BYTES),  # of nothing: nobody presents a grant
        "hint": "",
        "created_at": change.at,
        "created_by": change.actor.name,
        "expires_at": spec.expires_at,
        "revoked_at": None,
        "disabled_at": None,
        "issues": spec.issues,
        "application_id": spec.application_id,
    }
    n = change.add("oauth_grant.create", Noun.CREDENTIAL, TABLE, row, tenant_id=tenant_id)
    return row | {"version": n}


def of_client(
    connection: sa.Connection, application_id: str, client_id: str, *whose: sa.ColumnElement[bool]
) -> list[dict[str, Any]]:
    """Return the grants of a client that were not revoked, oldest first."""
    # By the application first, which has an index.
    wanted = sa.select(TABLE).where(
        TABLE.c.application_id == application_id, TABLE.c.external_id == client_id, ALIVE, *whose
    )
    rows = connection.execute(wanted.order_by(TABLE.c.created_at, TABLE.c.id)).mappings()
    return [stored(row) for row in rows]


def held(store: Store, application_id: str, client_id: str) -> list[Held]:
    """Return what a client holds now, by tenant: names nobody; the tenant with the most first."""
    tenant = schema.tenant
    count, users = sa.func.count(), sa.func.count(sa.distinct(TABLE.c.owner_id))
    wanted = (
        sa.select(tenant.c.id, tenant.c.name, count, users, sa.func.max(TABLE.c.created_at))
        .join(tenant, tenant.c.id == TABLE.c.tenant_id)
        .where(TABLE.c.application_id == application_id, TABLE.c.external_id == client_id, ALIVE)
        .group_by(tenant.c.id, tenant.c.name)
        .order_by(count.desc(), tenant.c.id)
    )
    with store.reading() as connection:
        return [Held(*row) for row in connection.execute(wanted)]


def alter(change: Change, verb: str, row: dict[str, Any], **after: object) -> int:
    """Change a grant inside a change; returns the journal number that verifiers must reach."""
    action, noun = f"oauth_grant.{verb}", Noun.CREDENTIAL
    return change.alter(action, noun, TABLE, row, after, tenant_id=row["tenant_id"])


def revoke(change: Change, rows: list[dict[str, Any]]) -> int:
    """Revoke grants for good inside a change; returns the last journal number, 0 where none is."""
    n = 0
    for row in rows:
        n = alter(change, "revoke", row, revoked_at=change.at)
    return n
