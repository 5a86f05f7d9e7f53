"""OAuth2 clients: made for approved applications, listed, changed, switched off, withdrawn.

Rule of this file: a client belongs to the operator, and what it is given is bounded by what is said
here: its grants, its scopes, the URIs that answers go to. Whatever takes some of that away takes it
from the grants that there are, in the same change. Sources: RFC 6749 §2, RFC 7591 §2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import Issued
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.manage import applications, client_secrets, grants
from latchgate.manage.actor import Caller
from latchgate.manage.application_keys import StoredApplicationKey
from latchgate.manage.applications import ApplicationSpec, State
from latchgate.manage.client_terms import PROTOCOL_SCOPES, GrantType, Terms, check
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Name
from latchgate.manage.listing import Filter, Listing, Query, by, equals, holding, page, truth
from latchgate.manage.records import ANY, IfMatch, asked, find, new_id
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

TABLE = schema.oauth_client
MAX_URIS = 20
MAKES_APPLICATIONS = "operator:applications.write"
_Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Uris = Annotated[list[_Uri], msgspec.Meta(max_length=MAX_URIS)]
_Grants = Annotated[list[GrantType], msgspec.Meta(min_length=1, max_length=6)]
_Scopes = Annotated[list[Name], msgspec.Meta(max_length=256)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ClientState = Literal["active", "disabled", "withdrawn"]


class ClientSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new client shall be.

    It is of the approved application `application_id`, or of a new one, `application`, which is
    approved with it. `scopes` are the most that it can be given, an empty list none. A `public` one
    has no secret. A `first_party` one is Latchgate's own: nobody is asked for their consent, and
    what is signed in with it may make keys. `tenant_id` names the tenant whose users it is for, and
    whose administrators may let it act as a service user, which `client_credentials` needs.
    """

    scopes: _Scopes
    application_id: _Id | None = None
    application: ApplicationSpec | None = None
    tenant_id: _Id | None = None
    public: bool = False
    first_party: bool = False
    grant_types: _Grants = msgspec.field(
        default_factory=lambda: ["authorization_code", "refresh_token"]
    )
    redirect_uris: _Uris = []
    post_logout_redirect_uris: _Uris = []


class ClientPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a client; absent stays (RFC 7396)."""

    scopes: _Scopes | msgspec.UnsetType = msgspec.UNSET
    grant_types: _Grants | msgspec.UnsetType = msgspec.UNSET
    redirect_uris: _Uris | msgspec.UnsetType = msgspec.UNSET
    post_logout_redirect_uris: _Uris | msgspec.UnsetType = msgspec.UNSET


class StoredClient(msgspec.Struct, frozen=True):
    """A client as stored, with its application's name and state; times are Unix seconds.

    `secrets` are those that it can prove itself with now, the newest last.
    """

    id: str
    application_id: str
    application_name: str
    application_state: str
    tenant_id: str | None
    public: bool
    first_party: bool
    redirect_uris: list[str]
    post_logout_redirect_uris: list[str]
    grant_types: list[str]
    scopes: list[str]
    grant_id: str | None
    created_at: float
    created_by: str
    disabled_at: float | None
    withdrawn_at: float | None
    secrets: list[StoredApplicationKey]
    version: int

    @property
    def state(self) -> ClientState:
        """How it stands, whatever its application does."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        return "active" if self.disabled_at is None else "disabled"


_STATES: dict[str, sa.ColumnElement[bool]] = {
    "active": TABLE.c.disabled_at.is_(None),
    "disabled": sa.and_(TABLE.c.disabled_at.is_not(None), TABLE.c.withdrawn_at.is_(None)),
    "withdrawn": TABLE.c.withdrawn_at.is_not(None),
}


def _state(text: str, _now: float) -> sa.ColumnElement[bool]:
    if text not in _STATES:
        msg = f"must be {' or '.join(_STATES)}"
        raise ValueError(msg)
    return _STATES[text]


LISTING = Listing(
    table=TABLE,
    searched=("id", "application_id", "redirect_uris"),
    filters={
        "application_id": equals(TABLE.c.application_id),
        "tenant_id": equals(TABLE.c.tenant_id),
        "public": truth(TABLE.c.public),
        "first_party": truth(TABLE.c.first_party),
        "grant_type": holding(TABLE.c.grant_types),
        "scope": holding(TABLE.c.scopes),
        "state": Filter({"type": "string", "enum": list(_STATES)}, _state),
    },
    sorts={"created_at": by(TABLE.c.created_at), "application_id": by(TABLE.c.application_id)},
)


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: ClientSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredClient, Issued | None, bool]:
    """Make a client; returns it, its secret (None for a public one), and whether it is new.

    A repeat of `once` finds it as it is, without its secret. InvalidError names each field;
    ForbiddenError when the caller may not make its application; ConflictError when the application
    is not approved, or has a client with secrets already.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, policy, before, now=now), None, False
    terms = Terms.of(spec)
    known: list[tuple[str, str]] = []
    if (spec.application_id is None) == (spec.application is None):
        why = "give the id of an application, or what a new one shall be, and not both"
        known.append(("application_id", why))
    check(policy, terms, *known)
    if spec.application is not None and MAKES_APPLICATIONS not in caller.rights:
        raise ForbiddenError(f"a new application takes the scope {MAKES_APPLICATIONS}")
    client_id = new_id("client", entropy)
    with store.change(caller.actor) as change:
        remember(change, caller, once, client_id)
        _check_tenant(change.connection, spec.tenant_id)
        application_id = spec.application_id
        if spec.application is not None:
            application_id = applications.add_approved(change, spec.application, entropy).id
        else:
            _check_application(change.connection, application_id or "", public=spec.public)
        row = {
            "id": client_id,
            "application_id": application_id,
            "tenant_id": spec.tenant_id,
            "public": spec.public,
            "first_party": spec.first_party,
            "grant_id": None,
            "created_at": change.at,
            "created_by": change.actor.name,
            "disabled_at": None,
            "withdrawn_at": None,
            **terms.columns(),
        }
        noun = Noun.OAUTH_CLIENT
        change.add("oauth_client.create", noun, TABLE, row, tenant_id=spec.tenant_id)
        issued = None
        if not spec.public:
            issued = client_secrets.add(change, policy, application_id or "", entropy=entropy)
        made = _shown(change.connection, policy, client_id, now=change.at)
    return made, issued, True


def listed(
    store: Store, policy: Policy, query: Query, *, now: float
) -> tuple[list[StoredClient], str | None]:
    """Return a page of clients, oldest first unless told, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, now=now)
        return [stored_client(connection, policy, row, now=now) for row in rows], following


def shown(store: Store, policy: Policy, client_id: str, *, now: float) -> StoredClient:
    """Return one client, a withdrawn one too; NotFoundError when there is none."""
    with store.reading() as connection:
        return _shown(connection, policy, client_id, now=now)


def change_client(
    store: Store,
    policy: Policy,
    caller: Caller,
    client_id: str,
    patch: ClientPatch,
    *,
    match: IfMatch = ANY,
) -> tuple[StoredClient, int]:
    """Change what a client may do; returns it and the journal number that verifiers must reach.

    Scopes that are taken from it are taken from its grants, and without `client_credentials` that
    of its own ends. InvalidError names each field; NotFoundError, StaleError; ConflictError for one
    that was withdrawn.
    """
    with store.change(caller.actor) as change:
        row = standing_row(change.connection, client_id, match=match)
        told = asked(patch)
        terms = Terms.of_row(row, told)
        check(policy, terms)
        after = {name: value for name, value in terms.columns().items() if value != row[name]}
        n = head(change)
        if after:
            n = _alter(change, "change", row, after)
        if "scopes" in after:
            n = _narrow(change, row, Scopes.of(terms.scopes)) or n
        if "client_credentials" not in terms.grant_types and row["grant_id"] is not None:
            n = grants.revoke(change, _own_grant(change.connection, row)) or n
        return _shown(change.connection, policy, client_id, now=change.at), n


def disable(
    store: Store, policy: Policy, caller: Caller, client_id: str, *, match: IfMatch = ANY
) -> tuple[StoredClient, int]:
    """Switch a client off with all of its grants, at once; returns it and the journal number.

    A repeated one changes nothing and has its receipt waited for again. NotFoundError, StaleError;
    ConflictError for one that was withdrawn.
    """
    with store.change(caller.actor) as change:
        row = standing_row(change.connection, client_id, match=match)
        n = head(change)
        if row["disabled_at"] is None:
            n = _alter(change, "disable", row, {"disabled_at": change.at})
            for grant in _grants(change.connection, row):
                if grant["disabled_at"] is None:
                    n = grants.alter(change, "disable", grant, disabled_at=change.at)
        return _shown(change.connection, policy, client_id, now=change.at), n


def enable(
    store: Store, policy: Policy, caller: Caller, client_id: str, *, match: IfMatch = ANY
) -> tuple[StoredClient, int]:
    """Switch a client on again, with the grants that were switched off with it; see `disable`."""
    with store.change(caller.actor) as change:
        row = standing_row(change.connection, client_id, match=match)
        n = head(change)
        if row["disabled_at"] is not None:
            n = _alter(change, "enable", row, {"disabled_at": None})
            for grant in _grants(change.connection, row):
                if grant["disabled_at"] == row["disabled_at"]:
                    n = grants.alter(change, "enable", grant, disabled_at=None)
        return _shown(change.connection, policy, client_id, now=change.at), n


def withdraw(
    store: Store, policy: Policy, caller: Caller, client_id: str, *, match: IfMatch = ANY
) -> tuple[StoredClient, int]:
    """End a client for good, with its grants, its secrets and what people consented to.

    Its id is never another's. Returns it and the journal number; a repeated one changes nothing and
    has its receipt waited for again. NotFoundError, StaleError.
    """
    with store.change(caller.actor) as change:
        row = find(change.connection, TABLE, client_id, noun="OAuth2 client", match=match)
        n = head(change)
        if row["withdrawn_at"] is None:
            ended = row["disabled_at"] if row["disabled_at"] is not None else change.at
            after = {"withdrawn_at": change.at, "disabled_at": ended}
            _alter(change, "withdraw", row, after)
            _forget_consents(change, client_id)
            if not row["public"]:
                client_secrets.revoke_all(change, policy, row["application_id"])
            grants.revoke(change, _grants(change.connection, row))
            n = change.n
        return _shown(change.connection, policy, client_id, now=change.at), n


def standing_row(
    connection: sa.Connection, client_id: str, *whose: sa.ColumnElement[bool], match: IfMatch = ANY
) -> dict[str, Any]:
    """Return the row of a client that was not withdrawn; NotFoundError, StaleError, ConflictError.

    `whose` are clauses that it meets as well.
    """
    row = find(connection, TABLE, client_id, *whose, noun="OAuth2 client", match=match)
    if row["withdrawn_at"] is not None:
        raise ConflictError(f"The client {client_id!r} was withdrawn, which is for good.")
    return row


def stored_client(
    connection: sa.Connection, policy: Policy, row: dict[str, Any], *, now: float
) -> StoredClient:
    """Return a row, lists read, as the client that it is."""
    application = applications.found(connection, row["application_id"])
    secrets: list[StoredApplicationKey] = []
    if not row["public"]:
        secrets = client_secrets.listed(connection, policy, application.id, now=now)
    told = {
        **row,
        "application_name": application.name,
        "application_state": application.state,
        "post_logout_redirect_uris": row["logout_uris"],
        "secrets": secrets,
    }
    return StoredClient(**{name: told[name] for name in StoredClient.__struct_fields__})


def head(change: Change) -> int:
    """Return the number of the journal's last row."""
    n: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
    return n


def _shown(
    connection: sa.Connection, policy: Policy, client_id: str, *, now: float
) -> StoredClient:
    row = find(connection, TABLE, client_id, noun="OAuth2 client")
    return stored_client(connection, policy, row, now=now)


def _alter(change: Change, verb: str, row: dict[str, Any], after: dict[str, Any]) -> int:
    action, noun = f"oauth_client.{verb}", Noun.OAUTH_CLIENT
    return change.alter(action, noun, TABLE, row, after, tenant_id=row["tenant_id"])


def _grants(connection: sa.Connection, row: dict[str, Any]) -> list[dict[str, Any]]:
    return grants.of_client(connection, row["application_id"], row["id"])


def _own_grant(connection: sa.Connection, row: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in _grants(connection, row) if one["id"] == row["grant_id"]]


def _narrow(change: Change, row: dict[str, Any], most: Scopes) -> int:
    """Take from a client's grants what it may be given no more."""
    n = 0
    for grant in _grants(change.connection, row):
        left = (Scopes.of(grant["scopes"]) & most).listed()
        if set(left) != set(grant["scopes"]):
            n = grants.alter(change, "narrow", grant, scopes=left)
    return n


def _forget_consents(change: Change, client_id: str) -> None:
    for way in (schema.oauth_code, schema.oauth_device, schema.oauth_refresh):
        change.execute(sa.delete(way).where(way.c.client_id == client_id))
    table = schema.consent
    for one in change.execute(sa.select(table).where(table.c.client_id == client_id)).mappings():
        told = {"user_id": one["user_id"], "client_id": client_id}
        change.note(
            "consent.withdraw", Noun.CONSENT, one["id"], tenant_id=None, detail={"before": told}
        )
    change.execute(sa.delete(table).where(table.c.client_id == client_id))


def _check_tenant(connection: sa.Connection, tenant_id: str | None) -> None:
    table = schema.tenant
    wanted = sa.select(table.c.id).where(table.c.id == tenant_id)
    if tenant_id is not None and connection.execute(wanted).first() is None:
        raise InvalidError([("tenant_id", f"there is no tenant {tenant_id!r}")])


def _check_application(connection: sa.Connection, application_id: str, *, public: bool) -> None:
    """Refuse a client of what is not approved, and a second one that the same secrets would prove.

    InvalidError where there is no such application.
    """
    table = schema.application
    wanted = sa.select(table.c.state).where(table.c.id == application_id)
    state = connection.execute(wanted).scalar_one_or_none()
    if state is None:
        raise InvalidError([("application_id", f"there is no application {application_id!r}")])
    if state != State.APPROVED:
        raise ConflictError(f"The application is {state}; only what is approved has clients.")
    other = sa.select(TABLE.c.id).where(
        TABLE.c.application_id == application_id,
        TABLE.c.public.is_(False),
        TABLE.c.withdrawn_at.is_(None),
    )
    there = connection.execute(other).scalars().first()
    if not public and there is not None:
        raise ConflictError(
            f"The application has the confidential client {there!r} already: its secrets are the"
            " application's. Make this one public, or for an application of its own."
        )


__all__ = ["PROTOCOL_SCOPES", "ClientPatch", "ClientSpec", "GrantType", "StoredClient"]
