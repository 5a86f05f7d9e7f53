"""API tokens: made by their owner for programs, listed, deleted.

Rule of this file: a token never makes a wider or longer one. What its maker may do, from where and
until when bounds it, and a token's own tokens end with it (ATTACKS D5.38, D5.41). Only their owner
sees them (D5.48). Source: providers/upcloud, "Creating API tokens".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import Issued, Spec
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import EVERY, Scopes
from latchgate.core.standing import MAX_PARENTS
from latchgate.manage.actor import Caller
from latchgate.manage.credentials import NewCredential, add_credential
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.gate import check_depth, may_issue, sourced
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.key_terms import read_expiry, within_life
from latchgate.manage.listing import Filter, Listing, Query, by, equals, page, truth
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.manage.rotation import Rows
from latchgate.manage.states import LISTED, in_state
from latchgate.store import schema
from latchgate.store.journal import Store, stored

LONGEST = 8_760 * 3_600  # seconds: a year of 365 days
_END = r"(?![\s\S])"
_Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=1024, pattern=rf"^[^\x00-\x1f\x7f]*{_END}")
]
_Short = Annotated[str, msgspec.Meta(max_length=97)]


class TokenSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new API token shall be.

    `scopes` absent means what its owner may do at each request, an empty list nothing.
    `allowed_ip_ranges` absent means wherever its owner may be, an empty list nowhere. One of
    `expires_in` (`24h`, `7d`) and `expires_at` (RFC 3339) is needed, at most 8,760 hours ahead.
    """

    name: _Name
    expires_in: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    expires_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    can_create_tokens: bool = False
    allowed_ip_ranges: Annotated[list[_Short], msgspec.Meta(max_length=100)] | None = None
    scopes: Annotated[list[_Short], msgspec.Meta(max_length=256)] | None = None


class StoredToken(msgspec.Struct, frozen=True):
    """A token as stored, without its digest; `scopes` None means all that its owner may do."""

    id: str
    name: str
    hint: str
    scopes: list[str] | None
    allowed_ip_ranges: list[str] | None
    can_create_tokens: bool
    parent_id: str | None
    owner_id: str
    project_id: str
    created_at: float
    created_by: str
    expires_at: float
    revoked_at: float | None
    disabled_at: float | None
    superseded_by: str | None
    superseded_at: float | None
    predecessor_id: str | None
    version: int


def _state(text: str, now: float) -> sa.ColumnElement[bool]:
    return in_state(text, now, *LISTED)


LISTING = Listing(
    table=schema.credential,
    searched=("id", "name"),
    filters={
        "state": Filter({"type": "string", "enum": list(LISTED)}, _state),
        "name": equals(schema.credential.c.name),
        "can_create_tokens": truth(schema.credential.c.issues),
    },
    sorts={
        "created_at": by(schema.credential.c.created_at),
        "expires_at": by(schema.credential.c.expires_at),
        "name": by(schema.credential.c.name),
    },
)


def create(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: TokenSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredToken, Issued | None, int]:
    """Make a token for the caller; returns it, its secret and the journal number.

    A repeat of `once` returns the token as it is now, without its secret.
    InvalidError names each field, ForbiddenError what the caller's credential can't hand out.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        token = shown(store, policy, caller, before)
        return token, None, token.version
    kind = _kind(policy)
    expires_at, networks = _settle(policy, spec, now)
    maker = caller.credential
    # What is not told is its maker's: all that their owner may do, or the scopes it has itself.
    asked = Scopes.of(spec.scopes or ())
    issued = kind.issue(Spec(service=""), entropy(kind.entropy_bytes))
    with store.change(caller.actor) as change:
        within_life(change, caller.tenant_id, kind.name, spec, expires_at)
        new = NewCredential(
            kind=kind.name,
            issued=issued,
            owner=(maker.tenant_id, maker.project_id, caller.owner.id),
            parent_id=maker.id if maker.kind == kind.name else None,
            name=spec.name,
            services=[EVERY],
            scopes=asked if spec.scopes is not None else maker.scopes,
            networks=may_issue(sourced(change.connection, caller), asked, networks, expires_at),
            expires_at=expires_at,
            issues=spec.can_create_tokens,
        )
        remember(change, caller, once, issued.id)
        if new.parent_id is not None:
            check_depth(change.connection, new.parent_id, MAX_PARENTS)
        row = add_credential(change, "token.create", new)
    return _stored(row), issued, row["version"]


def listed(
    store: Store, policy: Policy, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredToken], str | None]:
    """Return a page of the caller's own tokens, oldest first unless told, and the next cursor.

    InvalidError names the parameter that can't be taken.
    """
    alive = schema.credential.c.revoked_at.is_(None)
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, *_mine(policy, caller), alive, now=now)
    return [_stored(row) for row in rows], following


def every(store: Store, policy: Policy, caller: Caller) -> list[StoredToken]:
    """Return all of the caller's own tokens, oldest first, for whoever pages by number."""
    table = schema.credential
    mine = sa.select(table).where(*_mine(policy, caller), table.c.revoked_at.is_(None))
    with store.reading() as connection:
        rows = connection.execute(mine.order_by(table.c.created_at, table.c.id)).mappings().all()
    return [_stored(stored(row)) for row in rows]


def shown(store: Store, policy: Policy, caller: Caller, token_id: str) -> StoredToken:
    """Return one of the caller's own tokens; NotFoundError when there is none, or none any more."""
    alive = schema.credential.c.revoked_at.is_(None)
    with store.reading() as connection:
        return _own(connection, policy, caller, token_id, alive)


def delete(
    store: Store, policy: Policy, caller: Caller, token_id: str, *, match: IfMatch = ANY
) -> tuple[StoredToken, int]:
    """Revoke one of the caller's own tokens at once; it is listed no more, and kept in the audit.

    Returns it and the journal number. A repeated one has its receipt waited for again.
    """
    with store.change(caller.actor) as change:
        token = _own(change.connection, policy, caller, token_id, match=match)
        if token.revoked_at is not None:
            return token, change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
        n = change.alter(
            "token.delete",
            Noun.CREDENTIAL,
            schema.credential,
            {"id": token_id, "revoked_at": None},
            {"revoked_at": change.at},
            tenant_id=caller.tenant_id,
        )
    return msgspec.structs.replace(token, revoked_at=change.at, version=n), n


def _settle(policy: Policy, spec: TokenSpec, now: float) -> tuple[float, Networks | None]:
    """Turn what was asked into what will be stored, or say everything that is wrong with it."""
    faults: list[tuple[str, str]] = []
    expires_at = _expiry(spec, now, faults)
    networks = None
    if spec.allowed_ip_ranges is not None:
        try:
            networks = Networks.of(spec.allowed_ip_ranges)
        except ValueError as error:
            faults.append(("allowed_ip_ranges", str(error)))
    known = {scope for name in policy.services for scope in policy.scopes_of(name)}
    unknown = sorted(set(spec.scopes or ()) - known)
    if EVERY in unknown:
        faults.append(("scopes", "for all that you may do, leave scopes out"))
    elif unknown:
        faults.append(("scopes", f"no service has {', '.join(unknown)}"))
    if faults or expires_at is None:
        raise InvalidError(faults)
    return expires_at, networks


def _expiry(spec: TokenSpec, now: float, faults: list[tuple[str, str]]) -> float | None:
    if (spec.expires_in is None) is (spec.expires_at is None):
        faults.append(("expires_at", "give either expires_in or expires_at"))
        return None
    at = read_expiry(spec.expires_in, spec.expires_at, now, faults)
    if at is not None and at > now + LONGEST:
        field = "expires_in" if spec.expires_in is not None else "expires_at"
        faults.append((field, "must be at most 8760h ahead"))
    return at


def _kind(policy: Policy) -> ApiToken:
    for kind in policy.kinds.values():
        if isinstance(kind, ApiToken):
            return kind
    raise NotFoundError("no provider of the published policy has API tokens")


def rows(policy: Policy, caller: Caller) -> Rows:
    """Return which tokens a caller may rotate: their own."""
    return Rows(_mine(policy, caller), "token", longest=LONGEST)


def _mine(policy: Policy, caller: Caller) -> tuple[sa.ColumnElement[bool], ...]:
    table = schema.credential
    return (
        table.c.owner_id == caller.owner.id,
        table.c.tenant_id == caller.tenant_id,
        table.c.kind == _kind(policy).name,
    )


def _own(
    connection: sa.Connection,
    policy: Policy,
    caller: Caller,
    token_id: str,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> StoredToken:
    whose = (*_mine(policy, caller), *clauses)
    row = find(connection, schema.credential, token_id, *whose, noun="token", match=match)
    return _stored(row)


def _stored(row: dict[str, Any]) -> StoredToken:
    told = dict(row)
    told["scopes"] = None if told["scopes"] == [EVERY] else told["scopes"]
    told["allowed_ip_ranges"] = told["networks"]
    told["can_create_tokens"] = bool(told["issues"])
    return StoredToken(**{field: told[field] for field in StoredToken.__struct_fields__})
