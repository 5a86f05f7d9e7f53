"""Workloads: programs elsewhere that act as a service user by what their own issuer signs of them.

Rule of this file: a tenant's administrator says whose statements are believed, about what, and what
they open, which is never more than that administrator holds; whoever changes one must hold what it
opens, as a changed rule lets somebody else in. Each has a grant of its own, which ends with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.claim_rules import Rules
from latchgate.core.kinds import OauthToken
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.manage import grants, logins
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.gate import may_hand_out, may_issue, sourced
from latchgate.manage.grants import GrantSpec
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Name
from latchgate.manage.listing import Filter, Listing, Query, by, equals, page
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.manage.workload_terms import Issuers, checked
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store, stored

TABLE = schema.workload
MAX_WORKLOADS = 200  # of one tenant
_SERVICE = "service"
_Title = Annotated[str, msgspec.Meta(min_length=1, max_length=97)]
_Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Audience = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Scopes = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=256)]
_Duration = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
WorkloadState = Literal["active", "disabled", "ended"]


class WorkloadSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whose statements shall be believed, and what they open.

    `claims` says what each named claim must be: a value, or one of a list; in `sub`, `*` stands for
    part of what is between `:` or `/` and the next. `user_id` is a service user, `project_id` where
    it acts: its only project unless told. `audience` is whom statements must be meant for: this
    server's issuer unless told. `jwks_uri` is asked of the issuer unless told. A token lasts for
    `lifetime`, an hour at most.
    """

    name: _Title
    issuer: _Url
    claims: Rules
    user_id: _Id
    scopes: _Scopes
    project_id: _Id | None = None
    audience: _Audience | None = None
    jwks_uri: _Url | None = None
    lifetime: _Duration = "10m"


class WorkloadPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a workload; absent stays (RFC 7396).

    An issuer stays: `jwks_uri` null asks it anew where its keys are.
    """

    name: _Title | msgspec.UnsetType = msgspec.UNSET
    claims: Rules | msgspec.UnsetType = msgspec.UNSET
    scopes: _Scopes | msgspec.UnsetType = msgspec.UNSET
    audience: _Audience | msgspec.UnsetType = msgspec.UNSET
    jwks_uri: _Url | msgspec.UnsetType | None = msgspec.UNSET
    lifetime: _Duration | msgspec.UnsetType = msgspec.UNSET


class StoredWorkload(msgspec.Struct, frozen=True):
    """A workload as stored; `lifetime` is seconds, times are Unix seconds.

    It has `ended_at` when its grant was revoked apart from it: it opens nothing any more.
    """

    id: str
    name: str
    issuer: str
    jwks_uri: str
    audience: str
    claims: Rules
    user_id: str
    project_id: str
    scopes: list[str]
    lifetime: float
    grant_id: str
    created_at: float
    created_by: str
    disabled_at: float | None
    ended_at: float | None
    version: int

    @property
    def state(self) -> WorkloadState:
        """How it stands."""
        if self.ended_at is not None:
            return "ended"
        return "active" if self.disabled_at is None else "disabled"


def _state(text: str, _now: float) -> sa.ColumnElement[bool]:
    if text not in {"active", "disabled"}:
        msg = "must be active or disabled"
        raise ValueError(msg)
    off = TABLE.c.disabled_at.is_not(None)
    return off if text == "disabled" else sa.not_(off)


LISTING = Listing(
    table=TABLE,
    searched=("id", "name", "issuer", "claims"),
    filters={
        "issuer": equals(TABLE.c.issuer),
        "state": Filter({"type": "string", "enum": ["active", "disabled"]}, _state),
    },
    sorts={"created_at": by(TABLE.c.created_at), "name": by(TABLE.c.name)},
)


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: WorkloadSpec,
    *,
    issuers: Issuers,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredWorkload, bool]:
    """Trust an issuer's statements about a workload; returns it, and whether it is new.

    InvalidError names each field, also where the issuer can't be asked; ForbiddenError what the
    caller does not hold, NotFoundError a user who is not there; ConflictError a name that is taken.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, caller, before), False
    kind = _kind(policy)
    told = msgspec.structs.asdict(spec)
    terms = checked(issuers, spec.issuer, told | {"audience": spec.audience or kind.issuer})
    workload_id = new_id("wl", entropy)
    with store.change(caller.actor) as change:
        remember(change, caller, once, workload_id)
        holder = logins.holder_of(change.connection, caller, spec.user_id, spec.project_id)
        _check_service(change.connection, spec.user_id)
        networks = _may_open(change.connection, caller, spec.user_id, Scopes.of(spec.scopes))
        _check_room(change, caller, spec.name)
        made = GrantSpec(
            application_id=None,
            client_id=workload_id,
            name=spec.name,
            owner=holder.owner,
            scopes=Scopes.of(spec.scopes),
            networks=networks,
        )
        grant = grants.write(change, kind.grant_kind, made, entropy)
        row = {
            "id": workload_id,
            "tenant_id": caller.tenant_id,
            "issuer": spec.issuer,
            "grant_id": grant["id"],
            "created_at": change.at,
            "created_by": change.actor.name,
            "disabled_at": None,
            **terms,
        }
        noun = Noun.WORKLOAD
        change.add("workload.create", noun, TABLE, row, tenant_id=caller.tenant_id)
        return _shown(change.connection, caller, workload_id), True


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredWorkload], str | None]:
    """Return a page of the tenant's workloads, oldest first unless told, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, _mine(caller), now=now)
        return [_stored(connection, row) for row in rows], following


def shown(store: Store, caller: Caller, workload_id: str) -> StoredWorkload:
    """Return one workload of the caller's tenant; NotFoundError."""
    with store.reading() as connection:
        return _shown(connection, caller, workload_id)


def change_workload(
    store: Store,
    caller: Caller,
    workload_id: str,
    patch: WorkloadPatch,
    *,
    issuers: Issuers,
    match: IfMatch = ANY,
) -> tuple[StoredWorkload, int]:
    """Change what is believed or opened; returns it and the journal number verifiers must reach.

    Raises as `create` does, and StaleError; ConflictError too where its grant has ended.
    """
    told = asked(patch)
    with store.reading() as connection:
        before = find(connection, TABLE, workload_id, _mine(caller), noun="workload", match=match)
    # Before the change begins: what an issuer is asked may take seconds.
    terms = checked(issuers, before["issuer"], before | told)
    with store.change(caller.actor) as change:
        row = _own(change, caller, workload_id, IfMatch(frozenset({before["version"]})))
        grant = _grant(change.connection, row)
        _check_standing(grant)
        held = Scopes.of(grant["scopes"])
        opened = Scopes.of(terms["scopes"]) if "scopes" in told else held
        _may_open(change.connection, caller, grant["owner_id"], held | opened)
        if terms["name"] != row["name"]:
            _check_room(change, caller, terms["name"])
        n = alter(
            change,
            "workload.change",
            Noun.WORKLOAD,
            TABLE,
            row,
            terms,
            tenant_id=row["tenant_id"],
        )
        new = {"scopes": opened.listed(), "name": terms["name"]}
        after = {name: value for name, value in new.items() if value != grant[name]}
        if after:
            n = grants.alter(change, "change", grant, **after)
        return _shown(change.connection, caller, workload_id), n


def disable(
    store: Store, caller: Caller, workload_id: str, *, match: IfMatch = ANY
) -> tuple[StoredWorkload, int]:
    """Believe nothing about a workload for now, and end its tokens; returns it and the number.

    A repeated one changes nothing and has its receipt waited for again. NotFoundError, StaleError.
    """
    with store.change(caller.actor) as change:
        row = _own(change, caller, workload_id, match)
        n = _head(change)
        if row["disabled_at"] is None:
            n = _switch(change, "disable", row, change.at)
            grant = _grant(change.connection, row)
            if grant["disabled_at"] is None:
                n = grants.alter(change, "disable", grant, disabled_at=change.at)
        return _shown(change.connection, caller, workload_id), n


def enable(
    store: Store, caller: Caller, workload_id: str, *, match: IfMatch = ANY
) -> tuple[StoredWorkload, int]:
    """Believe it again; see `disable`. ForbiddenError where the caller holds less than it opens."""
    with store.change(caller.actor) as change:
        row = _own(change, caller, workload_id, match)
        grant = _grant(change.connection, row)
        _check_standing(grant)
        _may_open(change.connection, caller, grant["owner_id"], Scopes.of(grant["scopes"]))
        n = _head(change)
        if row["disabled_at"] is not None:
            n = _switch(change, "enable", row, None)
            if grant["disabled_at"] == row["disabled_at"]:
                n = grants.alter(change, "enable", grant, disabled_at=None)
        return _shown(change.connection, caller, workload_id), n


def delete(
    store: Store, caller: Caller, workload_id: str, *, match: IfMatch = ANY
) -> tuple[StoredWorkload, int]:
    """Delete a workload with its grant and all tokens of it; returns it as it was, and the number.

    NotFoundError, StaleError.
    """
    with store.change(caller.actor) as change:
        row = _own(change, caller, workload_id, match)
        found = _stored(change.connection, row)
        told = {"before": {"name": row["name"], "issuer": row["issuer"]}, "after": None}
        noun, tenant_id = Noun.WORKLOAD, row["tenant_id"]
        change.note("workload.delete", noun, workload_id, tenant_id=tenant_id, detail=told)
        change.execute(sa.delete(TABLE).where(TABLE.c.id == workload_id))
        grant = _grant(change.connection, row)
        if grant["revoked_at"] is None:
            grants.revoke(change, [grant])
        return found, _head(change)


def _kind(policy: Policy) -> OauthToken:
    for kind in policy.kinds.values():
        if isinstance(kind, OauthToken):
            return kind
    raise NotFoundError("no provider of the published policy has OAuth2 access tokens")


def _check_service(connection: sa.Connection, user_id: str) -> None:
    table = schema.user
    found = connection.execute(sa.select(table.c.sort).where(table.c.id == user_id)).scalar_one()
    if found != _SERVICE:
        why = "must be a service user: what a program does must not read like a person's act"
        raise InvalidError([("user_id", why)])


def _may_open(
    connection: sa.Connection, caller: Caller, user_id: str, scopes: Scopes
) -> Networks | None:
    """Return the networks of the grant; ForbiddenError where it would open more than one holds.

    For oneself it is bounded by what one came with; somebody else's is theirs, as a password is.
    """
    if user_id == caller.owner.id:
        return may_issue(sourced(connection, caller), scopes, None, None)
    if not caller.credential.issues:
        raise ForbiddenError("the credential you came with may not make others")
    may_hand_out(caller, scopes)
    return None


def _check_room(change: Change, caller: Caller, name: str) -> None:
    names = set(change.execute(sa.select(TABLE.c.name).where(_mine(caller))).scalars())
    if name in names:
        raise ConflictError(f"There is a workload {name[:64]!r} already; give another name.")
    if len(names) >= MAX_WORKLOADS:
        raise ConflictError(f"There are {MAX_WORKLOADS} workloads already; delete one first.")


def _check_standing(grant: dict[str, Any]) -> None:
    if grant["revoked_at"] is not None:
        raise ConflictError("The workload's grant was revoked, which is for good; make it anew.")


def _switch(change: Change, verb: str, row: dict[str, Any], at: float | None) -> int:
    action, after = f"workload.{verb}", {"disabled_at": at}
    return change.alter(action, Noun.WORKLOAD, TABLE, row, after, tenant_id=row["tenant_id"])


def _head(change: Change) -> int:
    n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return n


def _mine(caller: Caller) -> sa.ColumnElement[bool]:
    return TABLE.c.tenant_id == caller.tenant_id


def _own(change: Change, caller: Caller, workload_id: str, match: IfMatch) -> dict[str, Any]:
    mine = _mine(caller)
    return find(change.connection, TABLE, workload_id, mine, noun="workload", match=match)


def _grant(connection: sa.Connection, row: dict[str, Any]) -> dict[str, Any]:
    wanted = sa.select(grants.TABLE).where(grants.TABLE.c.id == row["grant_id"])
    return stored(connection.execute(wanted).mappings().one())


def _shown(connection: sa.Connection, caller: Caller, workload_id: str) -> StoredWorkload:
    return _stored(connection, find(connection, TABLE, workload_id, _mine(caller), noun="workload"))


def _stored(connection: sa.Connection, row: dict[str, Any]) -> StoredWorkload:
    grant = _grant(connection, row)
    told = {
        **row,
        "user_id": grant["owner_id"],
        "project_id": grant["project_id"],
        "scopes": grant["scopes"],
        "ended_at": grant["revoked_at"],
    }
    return StoredWorkload(**{name: told[name] for name in StoredWorkload.__struct_fields__})
