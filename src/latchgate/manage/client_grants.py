"""Clients that act by themselves (client credentials), as a service user of a tenant.

Rule of this file: a tenant's administrator says as whom and with which scopes a client of their
tenant acts, never with more than they hold; a client of nobody's tenant acts for nobody. Source:
RFC 6749 §4.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.manage import applications, grants, logins
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.gate import may_hand_out
from latchgate.manage.grants import GrantSpec
from latchgate.manage.keys import Name
from latchgate.manage.listing import Listing, Query, by, equals, page
from latchgate.manage.oauth_clients import PROTOCOL_SCOPES, TABLE, head, standing_row
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Store, stored

_GRANT = "client_credentials"
_SERVICE = "service"


class ActingSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """As whom a client shall act: a service user, in a project of theirs, with these scopes.

    `project_id` may be left out where the user holds roles in one alone; an empty list of scopes
    is none.
    """

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    scopes: Annotated[list[Name], msgspec.Meta(max_length=256)]
    project_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class StoredActing(msgspec.Struct, frozen=True):
    """As whom a client acts, or did until `revoked_at`; times are Unix seconds."""

    id: str
    user_id: str
    project_id: str
    scopes: list[str]
    created_at: float
    created_by: str
    revoked_at: float | None
    disabled_at: float | None


class StoredActor(msgspec.Struct, frozen=True):
    """A client of a tenant that may act by itself, and as whom it does (None: as nobody yet)."""

    client_id: str
    application_id: str
    application_name: str
    application_state: str
    scopes: list[str]
    disabled_at: float | None
    acts_as: StoredActing | None
    version: int


LISTING = Listing(
    table=TABLE,
    searched=("id", "application_id"),
    filters={"application_id": equals(TABLE.c.application_id)},
    sorts={"created_at": by(TABLE.c.created_at)},
)


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredActor], str | None]:
    """Return a page of the clients of the caller's tenant that may act, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, *_whose(caller), now=now)
        return [_stored(connection, row) for row in rows], following


def shown(store: Store, caller: Caller, client_id: str) -> StoredActor:
    """Return one client of the caller's tenant that may act; NotFoundError when there is none."""
    with store.reading() as connection:
        return _shown(connection, caller, client_id)


def act_as(
    store: Store,
    policy: Policy,
    caller: Caller,
    client_id: str,
    spec: ActingSpec,
    *,
    match: IfMatch = ANY,
    entropy: Callable[[int], bytes],
) -> tuple[StoredActor, int]:
    """Let a client act as a service user; what it acted as before ends in the same change.

    Returns it and the journal number that verifiers must reach. InvalidError names each field,
    ForbiddenError what the caller does not hold; NotFoundError for a client of another tenant or a
    user who is not there, StaleError; ConflictError for a client that is switched off.
    """
    kind = grants.grant_kind(policy)
    with store.change(caller.actor) as change:
        row = standing_row(change.connection, client_id, *_whose(caller), match=match)
        if row["disabled_at"] is not None:
            raise ConflictError(f"The client {client_id!r} is disabled.")
        _check_scopes(row, spec)
        holder = logins.holder_of(change.connection, caller, spec.user_id, spec.project_id)
        _check_service(change.connection, spec.user_id)
        if not caller.credential.issues:
            raise ForbiddenError("the credential you came with may not make others")
        scopes = Scopes.of(spec.scopes)
        may_hand_out(caller, scopes)
        application = applications.found(change.connection, row["application_id"])
        grants.revoke(change, _current(change.connection, row))
        made = GrantSpec(
            application_id=row["application_id"],
            client_id=client_id,
            name=application.name,
            owner=holder.owner,
            scopes=scopes,
        )
        grant = grants.write(change, kind, made, entropy)
        n = change.alter(
            "oauth_client.act",
            Noun.OAUTH_CLIENT,
            TABLE,
            row,
            {"grant_id": grant["id"]},
            tenant_id=row["tenant_id"],
        )
        return _shown(change.connection, caller, client_id), n


def withdraw(
    store: Store, caller: Caller, client_id: str, *, match: IfMatch = ANY
) -> tuple[StoredActor, int]:
    """Let a client of the tenant act as nobody any more, at once; returns it and the number.

    A repeated one changes nothing and has its receipt waited for again. NotFoundError for a client
    of another tenant, and for one that never acted; StaleError.
    """
    with store.change(caller.actor) as change:
        whose = _whose(caller)
        row = find(change.connection, TABLE, client_id, *whose, noun="OAuth2 client", match=match)
        if row["grant_id"] is None:
            raise NotFoundError(f"the client {client_id!r} acts as nobody")
        n = grants.revoke(change, _current(change.connection, row)) or head(change)
        return _shown(change.connection, caller, client_id), n


def _whose(caller: Caller) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the clauses of the clients that an administrator may let act: not the operator's."""
    acts = TABLE.c.grant_types.contains(f'"{_GRANT}"', autoescape=True)
    return TABLE.c.tenant_id == caller.tenant_id, sa.or_(acts, TABLE.c.grant_id.is_not(None))


def _check_scopes(row: dict[str, Any], spec: ActingSpec) -> None:
    """Refuse what the client may not be given, and what says who a person is (InvalidError)."""
    faults: list[tuple[str, str]] = []
    if _GRANT not in row["grant_types"]:
        faults.append(("client_id", f"the client may not use {_GRANT} any more"))
    persons = sorted(PROTOCOL_SCOPES & set(spec.scopes))
    if persons:
        faults.append(("scopes", f"{', '.join(persons)} is for people who sign in"))
    foreign = sorted(set(spec.scopes) - set(row["scopes"]) - PROTOCOL_SCOPES)
    if foreign:
        offered = ", ".join(row["scopes"]) or "none"
        told = ", ".join(foreign)[:200]
        faults.append(("scopes", f"{told}: not among those of the client, which has {offered}"))
    if faults:
        raise InvalidError(faults)


def _check_service(connection: sa.Connection, user_id: str) -> None:
    table = schema.user
    found = connection.execute(sa.select(table.c.sort).where(table.c.id == user_id)).scalar_one()
    if found != _SERVICE:
        why = "must be a service user: what a program does must not read like a person's act"
        raise InvalidError([("user_id", why)])


def _current(connection: sa.Connection, row: dict[str, Any]) -> list[dict[str, Any]]:
    mine = grants.TABLE.c.id == row["grant_id"]
    return grants.of_client(connection, row["application_id"], row["id"], mine)


def _shown(connection: sa.Connection, caller: Caller, client_id: str) -> StoredActor:
    row = find(connection, TABLE, client_id, *_whose(caller), noun="OAuth2 client")
    return _stored(connection, row)


def _stored(connection: sa.Connection, row: dict[str, Any]) -> StoredActor:
    application = applications.found(connection, row["application_id"])
    acts_as = None
    if row["grant_id"] is not None:
        wanted = sa.select(grants.TABLE).where(grants.TABLE.c.id == row["grant_id"])
        grant = stored(connection.execute(wanted).mappings().one())
        told = {**grant, "user_id": grant["owner_id"]}
        acts_as = StoredActing(**{name: told[name] for name in StoredActing.__struct_fields__})
    return StoredActor(
        client_id=row["id"],
        application_id=application.id,
        application_name=application.name,
        application_state=application.state,
        scopes=row["scopes"],
        disabled_at=row["disabled_at"],
        acts_as=acts_as,
        version=row["version"],
    )
