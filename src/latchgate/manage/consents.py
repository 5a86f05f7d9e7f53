"""What people let OAuth2 clients do for them: listed, and withdrawn with every grant of it.

Rule of this file: a user withdraws their own, an administrator those of users of their tenant. As
whom a client acts by itself is nobody's consent (`manage.client_grants`).
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds.oauth_token import GRANT
from latchgate.core.model import Noun
from latchgate.manage import grants, logins
from latchgate.manage.actor import Caller, Person
from latchgate.manage.errors import NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Change, Store, stored

_TABLE = schema.consent
_CLIENT = schema.oauth_client
_APPLICATION = schema.application


class StoredConsent(msgspec.Struct, frozen=True):
    """What a user lets a client do; times are Unix seconds.

    `scopes` are those consented to, or, of Latchgate's own clients, which ask nobody, those of the
    grants; `grants` how many stand, `grant_ids` which: usage knows them by these.
    """

    client_id: str
    application_id: str
    application_name: str
    vendor: str
    first_party: bool
    scopes: list[str]
    given_at: float
    grants: int
    grant_ids: list[str]


def listed(
    store: Store, caller: Caller | Person, user_id: str | None = None
) -> list[StoredConsent]:
    """Return what a user consented to, oldest first; the caller's own unless told. NotFoundError.

    A client with a grant that stands is listed even if nobody was asked.
    """
    with store.reading() as connection:
        owner_id = _owner(connection, caller, user_id)
        given = connection.execute(sa.select(_TABLE).where(_TABLE.c.user_id == owner_id))
        consents = {row["client_id"]: stored(row) for row in given.mappings()}
        held: dict[str, list[dict[str, Any]]] = {}
        for grant in _grants(connection, owner_id, grants.ALIVE):
            held.setdefault(grant["external_id"], []).append(grant)
        told = [
            _stored(row, consents.get(row["id"]), held.get(row["id"], []))
            for row in _clients(connection, {*consents, *held})
        ]
    return sorted(told, key=lambda one: (one.given_at, one.client_id))


def withdraw(
    store: Store, caller: Caller | Person, client_id: str, user_id: str | None = None
) -> int:
    """End what a client may do for a user, at once: the consent, and each grant with its tokens.

    The caller's own unless told. Returns the journal number that verifiers must reach; a repeated
    one changes nothing and has its receipt waited for again. NotFoundError where the user never had
    anything to do with the client.
    """
    with store.change(caller.actor) as change:
        owner_id = _owner(change.connection, caller, user_id)
        of_client = grants.TABLE.c.external_id == client_id
        every = _grants(change.connection, owner_id, of_client)
        n = _forget(change, caller, owner_id, client_id)
        if not n and not every:
            raise NotFoundError(f"there is no consent to the client {client_id[:64]!r}")
        alive = [row for row in every if row["revoked_at"] is None]
        n = grants.revoke(change, alive) or n
        head: int = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        return n or head


def _owner(connection: sa.Connection, caller: Caller | Person, user_id: str | None) -> str:
    if user_id is None:
        return caller.user_id
    logins.user_in(connection, caller.tenant_id, user_id)
    return user_id


def _grants(
    connection: sa.Connection, owner_id: str, *clauses: sa.ColumnElement[bool]
) -> list[dict[str, Any]]:
    """Return the grants of a user that people give: none that a client acts by itself with."""
    table = grants.TABLE
    acting = sa.exists().where(_CLIENT.c.grant_id == table.c.id)
    wanted = sa.select(table).where(
        table.c.owner_id == owner_id,
        table.c.kind.like(f"%.{GRANT}"),
        table.c.application_id.is_not(None),
        sa.not_(acting),
        *clauses,
    )
    rows = connection.execute(wanted.order_by(table.c.created_at, table.c.id)).mappings()
    return [stored(row) for row in rows]


def _clients(connection: sa.Connection, ids: set[str]) -> list[sa.RowMapping]:
    wanted = (
        sa.select(
            _CLIENT.c.id,
            _CLIENT.c.application_id,
            _CLIENT.c.first_party,
            _APPLICATION.c.name,
            _APPLICATION.c.vendor,
        )
        .join(_APPLICATION, _APPLICATION.c.id == _CLIENT.c.application_id)
        .where(_CLIENT.c.id.in_(sorted(ids)))
    )
    return list(connection.execute(wanted).mappings())


def _stored(
    client: sa.RowMapping, consent: dict[str, Any] | None, held: list[dict[str, Any]]
) -> StoredConsent:
    if consent is not None:
        scopes, given_at = consent["scopes"], consent["given_at"]
    else:
        scopes = sorted({scope for grant in held for scope in grant["scopes"]})
        given_at = min(grant["created_at"] for grant in held)
    return StoredConsent(
        client_id=client["id"],
        application_id=client["application_id"],
        application_name=client["name"],
        vendor=client["vendor"],
        first_party=client["first_party"],
        scopes=scopes,
        given_at=given_at,
        grants=len(held),
        grant_ids=[grant["id"] for grant in held],
    )


def _forget(change: Change, caller: Caller | Person, user_id: str, client_id: str) -> int:
    """Take away a consent, and codes that a new grant could be made of without asking again.

    Returns the journal number, 0 where there was none.
    """
    for way in (schema.oauth_code, schema.oauth_device):
        theirs = sa.and_(way.c.user_id == user_id, way.c.client_id == client_id)
        change.execute(sa.delete(way).where(theirs))
    mine = sa.and_(_TABLE.c.user_id == user_id, _TABLE.c.client_id == client_id)
    row = change.execute(sa.select(_TABLE).where(mine)).mappings().one_or_none()
    if row is None:
        return 0
    change.execute(sa.delete(_TABLE).where(mine))
    told = {"user_id": user_id, "client_id": client_id, "scopes": stored(row)["scopes"]}
    return change.note(
        "consent.withdraw",
        Noun.CONSENT,
        row["id"],
        tenant_id=caller.tenant_id,
        detail={"before": told},
    )
