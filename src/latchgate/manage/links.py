"""Links: which user somebody at an identity provider acts as.

Rule of this file: a link is made by an administrator for an issuer and a subject, never by what a
token claims (an e-mail address, a name), and one (issuer, subject) is one user's alone (ATTACKS
D6.59). Whoever comes by it can do what that user may do, so only who holds all of that makes one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.assertion import NAMESPACE, identity, identity_digest, valid_subject
from latchgate.core.kinds import OidcBearer, Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage import logins
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.records import find
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store, stored

_TABLE = schema.credential
_LINKS = _TABLE.c.kind.like("%.oidc_bearer")
_ALIVE = _TABLE.c.revoked_at.is_(None)


class LinkSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who at which identity provider acts as a user: `iss` and `sub` of their tokens.

    `project_id` says in which project they have the user's roles: the only one that the user holds
    a role in, unless told.
    """

    issuer: Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class StoredLink(msgspec.Struct, frozen=True):
    """A link as stored; times are Unix seconds."""

    id: str
    user_id: str
    issuer: str
    subject: str
    project_id: str
    created_at: float
    created_by: str
    revoked_at: float | None
    version: int


def link(
    store: Store,
    policy: Policy,
    caller: Caller,
    user_id: str,
    *,
    spec: LinkSpec,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredLink, bool]:
    """Link a user of the caller's tenant; returns the link, and whether it is new.

    InvalidError names the field, NotFoundError tells of no such user, ConflictError of somebody
    who is linked already, ForbiddenError of what the caller does not hold.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        with store.reading() as connection:
            return _shown(connection, caller, user_id, before), False
    kind = _kind(policy, spec)
    who = f"{NAMESPACE}:{identity(spec.issuer, spec.subject)}"
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    with store.change(caller.actor) as change:
        holder = logins.holder_of(change.connection, caller, user_id, spec.project_id)
        scopes, networks = logins.check_gives(change.connection, caller, holder, ALL)
        taken = sa.select(schema.login.c.user_id).where(schema.login.c.id == who)
        other = change.execute(taken).scalar_one_or_none()
        if other is not None:
            mine = "this user" if other == user_id else "another user"
            raise ConflictError(f"This subject of {spec.issuer} is linked to {mine} already.")
        remember(change, caller, once, issued.id)
        row = _row(change, kind, spec, holder, issued.id, scopes)
        row["networks"] = networks.listed() if networks is not None else None
        change.add("user.link", Noun.CREDENTIAL, _TABLE, row, tenant_id=caller.tenant_id)
        # A login name like any other's, but that no area looks it up by what is typed.
        told = {"id": who, "user_id": user_id, "created_at": change.at}
        change.execute(sa.insert(schema.login).values(**told))
        pair = {"login_id": who, "kind": kind.name, "credential_id": issued.id}
        change.execute(sa.insert(schema.login_credential).values(**pair))
        change.note(
            "login.create", Noun.LOGIN, who, tenant_id=caller.tenant_id, detail={"after": told}
        )
        return _shown(change.connection, caller, user_id, issued.id), True


def listed(store: Store, caller: Caller, user_id: str) -> list[StoredLink]:
    """Return the links of a user of the caller's tenant, oldest first; NotFoundError."""
    with store.reading() as connection:
        logins.user_in(connection, caller.tenant_id, user_id)
        mine = sa.select(_TABLE).where(*_of(caller, user_id), _ALIVE)
        rows = connection.execute(mine.order_by(_TABLE.c.created_at, _TABLE.c.id)).mappings().all()
    return [_stored(stored(row)) for row in rows]


def unlink(store: Store, caller: Caller, user_id: str, link_id: str) -> tuple[StoredLink, int]:
    """Take a link away at once; returns it and the journal number that verifiers must reach.

    The subject may then be linked anew, to this user or another. A repeated one changes nothing
    and has its receipt waited for again. NotFoundError.
    """
    with store.change(caller.actor) as change:
        found = _shown(change.connection, caller, user_id, link_id)
        if found.revoked_at is not None:
            head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            return found, head
        who = f"{NAMESPACE}:{identity(found.issuer, found.subject)}"
        pairs = schema.login_credential
        change.execute(sa.delete(pairs).where(pairs.c.login_id == who))
        change.execute(sa.delete(schema.login).where(schema.login.c.id == who))
        change.alter(
            "user.unlink",
            Noun.CREDENTIAL,
            _TABLE,
            {"id": link_id, "revoked_at": None},
            {"revoked_at": change.at},
            tenant_id=caller.tenant_id,
        )
        told = {"before": {"id": who, "user_id": user_id}, "after": None}
        n = change.note("login.delete", Noun.LOGIN, who, tenant_id=caller.tenant_id, detail=told)
        return _shown(change.connection, caller, user_id, link_id), n


def _kind(policy: Policy, spec: LinkSpec) -> OidcBearer:
    """Return the kind of an issuer's bearers; InvalidError where the policy believes none such."""
    kinds = [kind for kind in policy.kinds.values() if isinstance(kind, OidcBearer)]
    faults: list[tuple[str, str]] = []
    if not valid_subject(spec.subject):
        faults.append(("subject", "must be 1 to 255 ASCII characters, as in the token's sub"))
    found = next((kind for kind in kinds if kind.issuer.url == spec.issuer), None)
    if found is None:
        known = ", ".join(kind.issuer.url for kind in kinds)
        known = known or "none: a policy file needs [kinds.oidc_bearer]"
        faults.append(("issuer", f"is none that the published policy believes; it has {known}"))
    if faults or found is None:
        raise InvalidError(faults)
    return found


def _row(
    change: Change,
    kind: OidcBearer,
    spec: LinkSpec,
    holder: logins.Holder,
    link_id: str,
    scopes: Scopes,
) -> dict[str, Any]:
    return {
        "id": link_id,
        "kind": kind.name,
        "tenant_id": holder.tenant_id,
        "project_id": holder.project_id,
        "owner_id": holder.id,
        "parent_id": None,
        "name": identity(spec.issuer, spec.subject),
        "description": "",
        "services": ["*"],
        "scopes": scopes.listed(),
        "environment": None,
        "external_id": None,
        "metadata": {},
        "digest": identity_digest(spec.issuer, spec.subject),
        "hint": "",
        "created_at": change.at,
        "created_by": change.actor.name,
        "expires_at": None,
        "revoked_at": None,
        "issues": True,  # keys are made with it: that is what the dashboard is for
    }


def _of(caller: Caller, user_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _TABLE.c.tenant_id == caller.tenant_id, _TABLE.c.owner_id == user_id, _LINKS


def _shown(connection: sa.Connection, caller: Caller, user_id: str, link_id: str) -> StoredLink:
    return _stored(find(connection, _TABLE, link_id, *_of(caller, user_id), noun="link"))


def _stored(row: dict[str, Any]) -> StoredLink:
    issuer, _, subject = row["name"].partition("#")
    told = {**row, "user_id": row["owner_id"], "issuer": issuer, "subject": subject}
    return StoredLink(**{field: told[field] for field in StoredLink.__struct_fields__})
