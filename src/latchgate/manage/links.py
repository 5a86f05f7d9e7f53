"""Links: which user somebody at an identity provider acts as, and signs in as.

Rule of this file: a link is for an issuer and a subject, never for what a token claims (an e-mail
address, a name), and one (issuer, subject) is one user's alone (ATTACKS D6.59). Whoever comes by it
can do what that user may do, so only who holds all of that makes one, or that user, having just
signed in there. Bearers of an issuer that the policy believes act by the same link.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.assertion import (
    NAMESPACE,
    Issuer,
    identity,
    identity_digest,
    valid_subject,
)
from latchgate.core.kinds import OidcBearer, Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.manage import logins
from latchgate.manage.actor import Caller, Person
from latchgate.manage.errors import InvalidError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.records import find
from latchgate.signin import session
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store, stored

_TABLE = schema.credential
_LINKS = _TABLE.c.kind.like("%.oidc_bearer")
_ALIVE = _TABLE.c.revoked_at.is_(None)
# Of links with issuers that the policy believes no bearers of: they sign in, and that is all.
SIGN_IN_ONLY = "latchgate.oidc_bearer"


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


def link(  # noqa: PLR0913 - a creation is told part by part
    store: Store,
    policy: Policy,
    caller: Caller,
    user_id: str,
    *,
    spec: LinkSpec,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
    issuers: Collection[str] = (),
) -> tuple[StoredLink, bool]:
    """Link a user of the caller's tenant; returns the link, and whether it is new.

    `issuers` are those that people sign in through, beside those whose bearers the policy believes.
    InvalidError names the field, NotFoundError tells of no such user, ConflictError of somebody
    who is linked already, ForbiddenError of what the caller does not hold.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        with store.reading() as connection:
            return _shown(connection, _mine(caller, user_id), before), False
    kind = _kind(policy, spec, issuers)
    with store.change(caller.actor) as change:
        holder = logins.holder_of(change.connection, caller, user_id, spec.project_id)
        scopes, networks = logins.check_gives(change.connection, caller, holder, ALL)
        _check_free(change, spec, user_id)
        link_id = _issue(kind, entropy)
        remember(change, caller, once, link_id)
        row = _row(change, kind, spec, holder, link_id, scopes)
        row["networks"] = networks.listed() if networks is not None else None
        _write(change, row)
        return _shown(change.connection, _mine(caller, user_id), link_id), True


def add(
    change: Change,
    policy: Policy,
    spec: LinkSpec,
    *,
    owner: tuple[str, str, str],
    entropy: Callable[[int], bytes],
) -> str:
    """Link a user inside a change, as whom they are known to be; returns the link's id.

    `owner` is tenant, project and user. ConflictError when the subject is linked already.
    """
    kind = _kind(policy, spec, {spec.issuer})
    tenant_id, project_id, user_id = owner
    _check_free(change, spec, user_id)
    holder = logins.Holder(user_id, "", tenant_id, project_id, NONE)
    link_id = _issue(kind, entropy)
    # All that the user may do at each request: they come by it as by their own password.
    _write(change, _row(change, kind, spec, holder, link_id, ALL) | {"networks": None})
    return link_id


def link_own(
    store: Store,
    policy: Policy,
    who: Person,
    *,
    issuer: str,
    subject: str,
    entropy: Callable[[int], bytes],
) -> str:
    """Link who is signed in with whom a provider just proved them to be; returns the link's id.

    ConflictError when that subject is linked already, or when the tenant has no project.
    """
    spec = LinkSpec(issuer=issuer, subject=subject)
    with store.change(who.actor) as change:
        project_id = home_of(change.connection, who.tenant_id, who.user_id)
        owner = (who.tenant_id, project_id, who.user_id)
        return add(change, policy, spec, owner=owner, entropy=entropy)


def listed_own(store: Store, who: Person) -> list[StoredLink]:
    """Return the links of who is signed in, oldest first."""
    mine = sa.select(_TABLE).where(*_mine(who, who.user_id), _ALIVE)
    with store.reading() as connection:
        rows = connection.execute(mine.order_by(_TABLE.c.created_at, _TABLE.c.id)).mappings().all()
    return [_stored(stored(row)) for row in rows]


def unlink_own(store: Store, who: Person, link_id: str) -> int:
    """Take a link of who is signed in away; returns the number that verifiers must reach.

    NotFoundError.
    """
    with store.change(who.actor) as change:
        return _unlink(change, _mine(who, who.user_id), link_id, keep=who.session_id)[1]


def linked_user(connection: sa.Connection, issuer: str, subject: str, *, now: float) -> str | None:
    """Return the id of the user whom a subject signs in as, while the link stands."""
    login, pair = schema.login, schema.login_credential
    wanted = (
        sa.select(login.c.user_id)
        .join(pair, pair.c.login_id == login.c.id)
        .join(_TABLE, _TABLE.c.id == pair.c.credential_id)
        .where(login.c.id == login_of(issuer, subject), _ALIVE, _TABLE.c.disabled_at.is_(None))
        .where(sa.or_(_TABLE.c.expires_at.is_(None), _TABLE.c.expires_at > now))
    )
    found: str | None = connection.execute(wanted).scalar_one_or_none()
    return found


def is_linked(connection: sa.Connection, issuer: str, subject: str) -> bool:
    """Whether a subject has a link, be it one that stands or not."""
    return logins.is_taken(connection, login_of(issuer, subject))


def login_of(issuer: str, subject: str) -> str:
    """Return the id of the login of a link: no area looks it up by what is typed."""
    return f"{NAMESPACE}:{identity(issuer, subject)}"


def home_of(connection: sa.Connection, tenant_id: str, user_id: str) -> str:
    """Return the project that a user holds roles in first, else the tenant's first.

    ConflictError where the tenant has none.
    """
    table, held = schema.project, schema.role_assignment
    of_tenant = sa.select(table.c.id).where(table.c.tenant_id == tenant_id)
    first = of_tenant.order_by(table.c.created_at, table.c.id).limit(1)
    holding = sa.exists().where(held.c.project_id == table.c.id, held.c.user_id == user_id)
    for wanted in (first.where(holding), first):
        found: str | None = connection.execute(wanted).scalar_one_or_none()
        if found is not None:
            return found
    raise ConflictError("the tenant has no project yet, so nobody can be linked")


def listed(store: Store, caller: Caller, user_id: str) -> list[StoredLink]:
    """Return the links of a user of the caller's tenant, oldest first; NotFoundError."""
    with store.reading() as connection:
        logins.user_in(connection, caller.tenant_id, user_id)
        mine = sa.select(_TABLE).where(*_mine(caller, user_id), _ALIVE)
        rows = connection.execute(mine.order_by(_TABLE.c.created_at, _TABLE.c.id)).mappings().all()
    return [_stored(stored(row)) for row in rows]


def unlink(store: Store, caller: Caller, user_id: str, link_id: str) -> tuple[StoredLink, int]:
    """Take a link away at once; returns it and the journal number that verifiers must reach.

    The subject may then be linked anew, to this user or another. A repeated one changes nothing
    and has its receipt waited for again. NotFoundError.
    """
    with store.change(caller.actor) as change:
        return _unlink(change, _mine(caller, user_id), link_id, keep=None)


def _unlink(
    change: Change, mine: tuple[sa.ColumnElement[bool], ...], link_id: str, *, keep: str | None
) -> tuple[StoredLink, int]:
    """Take a link away, and end the sessions that came through a provider but one."""
    row = find(change.connection, _TABLE, link_id, *mine, noun="link")
    found, tenant_id, user_id = _stored(row), row["tenant_id"], row["owner_id"]
    if found.revoked_at is not None:
        head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        return found, head
    who = login_of(found.issuer, found.subject)
    pairs = schema.login_credential
    change.execute(sa.delete(pairs).where(pairs.c.login_id == who))
    change.execute(sa.delete(schema.login).where(schema.login.c.id == who))
    session.end_provided_in(change, user_id, why="user-unlink", keep=keep)
    change.alter(
        "user.unlink",
        Noun.CREDENTIAL,
        _TABLE,
        {"id": link_id, "revoked_at": None},
        {"revoked_at": change.at},
        tenant_id=tenant_id,
    )
    told = {"before": {"id": who, "user_id": user_id}, "after": None}
    n = change.note("login.delete", Noun.LOGIN, who, tenant_id=tenant_id, detail=told)
    return _shown(change.connection, mine, link_id), n


def _check_free(change: Change, spec: LinkSpec, user_id: str) -> None:
    table = schema.login
    wanted = sa.select(table.c.user_id).where(table.c.id == login_of(spec.issuer, spec.subject))
    other = change.execute(wanted).scalar_one_or_none()
    if other is not None:
        mine = "this user" if other == user_id else "another user"
        raise ConflictError(f"This subject of {spec.issuer} is linked to {mine} already.")


def _issue(kind: OidcBearer, entropy: Callable[[int], bytes]) -> str:
    return kind.issue(Spec(service=""), entropy(kind.entropy_bytes)).id


def _write(change: Change, row: dict[str, Any]) -> None:
    """Write a link's record, and the login that leads to it."""
    tenant_id, issuer_and_subject = row["tenant_id"], row["name"]
    change.add("user.link", Noun.CREDENTIAL, _TABLE, row, tenant_id=tenant_id)
    who = f"{NAMESPACE}:{issuer_and_subject}"
    logins.write_login(change, tenant_id, row["owner_id"], who)
    pair = {"login_id": who, "kind": row["kind"], "credential_id": row["id"]}
    change.execute(sa.insert(schema.login_credential).values(**pair))


def _kind(policy: Policy, spec: LinkSpec, issuers: Collection[str]) -> OidcBearer:
    """Return the kind of an issuer's bearers, or what stands for it where there are none.

    InvalidError where neither the policy nor a sign-in knows the issuer.
    """
    kinds = [kind for kind in policy.kinds.values() if isinstance(kind, OidcBearer)]
    faults: list[tuple[str, str]] = []
    if not valid_subject(spec.subject):
        faults.append(("subject", "must be 1 to 255 ASCII characters, as in the token's sub"))
    found = next((kind for kind in kinds if kind.issuer.url == spec.issuer), None)
    if found is None and spec.issuer in issuers:
        found = OidcBearer(SIGN_IN_ONLY, Issuer(spec.issuer, "", "", ()))
    if found is None:
        known = ", ".join(sorted({*issuers, *(kind.issuer.url for kind in kinds)}))
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


def _mine(who: Caller | Person, user_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _TABLE.c.tenant_id == who.tenant_id, _TABLE.c.owner_id == user_id, _LINKS


def _shown(
    connection: sa.Connection, mine: tuple[sa.ColumnElement[bool], ...], link_id: str
) -> StoredLink:
    return _stored(find(connection, _TABLE, link_id, *mine, noun="link"))


def _stored(row: dict[str, Any]) -> StoredLink:
    issuer, _, subject = row["name"].partition("#")
    told = {**row, "user_id": row["owner_id"], "issuer": issuer, "subject": subject}
    return StoredLink(**{field: told[field] for field in StoredLink.__struct_fields__})
