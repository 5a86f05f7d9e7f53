"""Service keys: issue, list, show, change, revoke.

Rule of this file: nobody hands out what they don't hold, and a key's owner, tenant and project
are the actor's own, never taken from what was asked (ATTACKS D5.37, D5.38).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.kinds import IssuedKind
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.manage.actor import Caller
from latchgate.manage.credentials import NewCredential, add_credential
from latchgate.manage.errors import InvalidError
from latchgate.manage.gate import may_issue, sourced
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.key_terms import settle, within_life
from latchgate.manage.listing import Filter, Listing, Query, by, equals, holding, page
from latchgate.manage.records import ANY, IfMatch, alter, asked, find
from latchgate.manage.rotation import Rows
from latchgate.manage.states import STATES, in_state
from latchgate.store import schema
from latchgate.store.journal import Change, Store

MAX_METADATA = 32

# Python's $ lets a line break follow, and \\Z means nothing where OpenAPI is read.
_END = r"(?![\s\S])"
Line = Annotated[
    str, msgspec.Meta(min_length=1, max_length=255, pattern=rf"^[^\x00-\x1f\x7f]*{_END}")
]
Text = Annotated[
    str, msgspec.Meta(max_length=2000, pattern=rf"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*{_END}")
]
# Goes upstream as a header, so: visible ASCII.
ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=rf"^[!-~]+{_END}")]
Environment = Literal["dev", "staging", "production"]
Name = Annotated[str, msgspec.Meta(max_length=97)]
Clauses = tuple[sa.ColumnElement[bool], ...]
Verb = Literal["read", "write"]


class KeySpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new key shall be.

    `scopes` absent means every scope its services have now, an empty list none. A key across
    services is for none of them by name (`["pat"]` at WAYSCloud), and needs its scopes named.
    `allowed_ip_ranges` absent means everywhere, an empty list nowhere. `expires_in` is a
    duration such as `90d`, `expires_at` an RFC 3339 time; neither means the longest life that
    the tenant's policy lets it have, or none where it sets none.
    """

    name: Line
    services: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=32)]
    description: Text = ""
    scopes: Annotated[list[Name], msgspec.Meta(max_length=256)] | None = None
    environment: Environment | None = None
    external_id: ExternalId | None = None
    metadata: Annotated[dict[Name, Line], msgspec.Meta(max_length=MAX_METADATA)] = {}
    allowed_ip_ranges: Annotated[list[Name], msgspec.Meta(max_length=100)] | None = None
    expires_in: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    expires_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class KeyPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a key (RFC 7396): absent stays, null in `metadata` removes."""

    name: Line | msgspec.UnsetType = msgspec.UNSET
    description: Text | msgspec.UnsetType = msgspec.UNSET
    metadata: (
        Annotated[dict[Name, Line | None], msgspec.Meta(max_length=2 * MAX_METADATA)]
        | msgspec.UnsetType
    ) = msgspec.UNSET


class StoredKey(msgspec.Struct, frozen=True):
    """A key as stored, without its digest; times are Unix seconds."""

    id: str
    kind: str
    hint: str
    name: str
    description: str
    services: list[str]
    scopes: list[str]
    environment: str | None
    external_id: str | None
    metadata: dict[str, str]
    allowed_ip_ranges: list[str] | None
    owner_id: str
    project_id: str
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    disabled_at: float | None
    superseded_by: str | None
    superseded_at: float | None
    predecessor_id: str | None
    version: int


def _state(text: str, now: float) -> sa.ColumnElement[bool]:
    return in_state(text, now, *STATES)


LISTING = Listing(
    table=schema.credential,
    searched=("id", "name", "description", "external_id"),
    filters={
        "state": Filter({"type": "string", "enum": list(STATES)}, _state),
        "name": equals(schema.credential.c.name),
        "external_id": equals(schema.credential.c.external_id),
        "environment": equals(schema.credential.c.environment, "dev", "staging", "production"),
        "owner_id": equals(schema.credential.c.owner_id),
        "project_id": equals(schema.credential.c.project_id),
        "service": holding(schema.credential.c.services),
        "scope": holding(schema.credential.c.scopes),
    },
    sorts={
        "created_at": by(schema.credential.c.created_at),
        "name": by(schema.credential.c.name),
        "expires_at": by(schema.credential.c.expires_at),
    },
)
# Passwords and tokens are credentials too, and have nouns of their own.
_KEYS = sa.or_(
    schema.credential.c.kind.like("%.service_key"), schema.credential.c.kind.like("%.imported_key")
)


def issue(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: KeySpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredKey, Issued | None, int]:
    """Make a key for the actor; returns it, its secret and the journal number.

    A repeat of `once` returns the key as it is now, without a secret. Raises InvalidError naming
    each field, ForbiddenError when the key would open more than what it is made with.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        key = shown(store, caller, before)
        return key, None, key.version
    terms = settle(policy, spec, now)
    issued = terms.kind.issue(Spec(service=spec.services[0]), entropy(terms.kind.entropy_bytes))
    holder = caller.credential
    with store.change(caller.actor) as change:
        expires_at = within_life(change, caller.tenant_id, terms.kind.name, spec, terms.expires_at)
        maker = sourced(change.connection, caller)
        networks = may_issue(maker, terms.scopes, terms.networks, expires_at)
        remember(change, caller, once, issued.id)
        return insert(
            change,
            kind=terms.kind,
            issued=issued,
            spec=msgspec.structs.replace(spec, services=list(terms.services)),
            scopes=terms.scopes,
            networks=networks,
            expires_at=expires_at,
            owner=(holder.tenant_id, holder.project_id, caller.owner.id),
        )


def insert(
    change: Change,
    *,
    kind: IssuedKind,
    issued: Issued,
    spec: KeySpec,
    scopes: Scopes,
    networks: Networks | None,
    expires_at: float | None,
    owner: tuple[str, str, str],
) -> tuple[StoredKey, Issued, int]:
    """Write a new key inside a change; `owner` is tenant, project and user id."""
    new = NewCredential(
        kind=kind.name,
        issued=issued,
        owner=owner,
        parent_id=None,
        name=spec.name,
        description=spec.description,
        services=spec.services,
        scopes=scopes,
        networks=networks,
        environment=spec.environment,
        external_id=spec.external_id,
        metadata=spec.metadata,
        expires_at=expires_at,
        issues=True,
    )
    row = add_credential(change, "key.create", new)
    return stored_key(row), issued, row["version"]


def reach(caller: Caller, verb: Verb) -> Clauses:
    """Return which of the tenant's keys somebody may see or change: every one, or their own."""
    if f"manage:keys.{verb}" in caller.rights:
        return (_KEYS,)
    if f"own:keys.{verb}" in caller.rights:
        return (_KEYS, schema.credential.c.owner_id == caller.owner.id)
    return (sa.false(),)


def is_reached(caller: Caller, verb: Verb, key: StoredKey) -> bool:
    """Whether a key of the tenant is among those of `reach`."""
    if f"manage:keys.{verb}" in caller.rights:
        return True
    return f"own:keys.{verb}" in caller.rights and key.owner_id == caller.owner.id


def listed(
    store: Store, caller: Caller, query: Query, *clauses: sa.ColumnElement[bool], now: float
) -> tuple[list[StoredKey], str | None]:
    """Return a page of keys of the actor's tenant, oldest first unless told, and the next cursor.

    `clauses` say which of the tenant's keys are meant, where not every one is. InvalidError names
    the parameter that can't be taken.
    """
    whose = (schema.credential.c.tenant_id == caller.tenant_id, _KEYS, *clauses)
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, *whose, now=now)
    return [stored_key(row) for row in rows], following


def shown(store: Store, caller: Caller, key_id: str, *clauses: sa.ColumnElement[bool]) -> StoredKey:
    """Return one key of the actor's tenant; NotFoundError when there is none."""
    with store.reading() as connection:
        return _own(connection, caller, key_id, *clauses)


def change_key(
    store: Store,
    caller: Caller,
    key_id: str,
    patch: KeyPatch,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> StoredKey:
    """Change what people read of a key, never what it opens; returns it as it is then.

    NotFoundError, StaleError; InvalidError when it would have too much metadata.
    """
    told = asked(patch)
    with store.change(caller.actor) as change:
        key = _own(change.connection, caller, key_id, *clauses, match=match)
        before = msgspec.structs.asdict(key)
        if "metadata" in told:
            merged = {**key.metadata, **told["metadata"]}
            told["metadata"] = {name: line for name, line in merged.items() if line is not None}
            if len(told["metadata"]) > MAX_METADATA:
                raise InvalidError([("metadata", f"would have more than {MAX_METADATA} members")])
        alter(
            change,
            "key.change",
            Noun.CREDENTIAL,
            schema.credential,
            before,
            told,
            tenant_id=caller.tenant_id,
        )
    return StoredKey(**before)


def rows(caller: Caller, *clauses: sa.ColumnElement[bool]) -> Rows:
    """Return which keys a caller may rotate: those of their tenant that meet the clauses."""
    return Rows((schema.credential.c.tenant_id == caller.tenant_id, _KEYS, *clauses), "key")


def revoke(
    store: Store,
    caller: Caller,
    key_id: str,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> tuple[StoredKey, int]:
    """Revoke a key at once; returns it and the journal number that verifiers must reach.

    `clauses` say which of the tenant's keys are meant, where not every one is.

    A repeated revoke changes nothing, announces again, and has its receipt waited for again
    (ARCHITECTURE §6 rule 14). NotFoundError when the actor's tenant has no such key, StaleError.
    """
    with store.change(caller.actor) as change:
        key = _own(change.connection, caller, key_id, *clauses, match=match)
        if key.revoked_at is not None:
            head = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            return key, head
        n = change.alter(
            "key.revoke",
            Noun.CREDENTIAL,
            schema.credential,
            {"id": key_id, "revoked_at": None},
            {"revoked_at": change.at},
            tenant_id=caller.tenant_id,
        )
    return msgspec.structs.replace(key, revoked_at=change.at, version=n), n


def _own(
    connection: sa.Connection,
    caller: Caller,
    key_id: str,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> StoredKey:
    whose = (schema.credential.c.tenant_id == caller.tenant_id, _KEYS, *clauses)
    return stored_key(find(connection, schema.credential, key_id, *whose, noun="key", match=match))


def stored_key(row: dict[str, Any]) -> StoredKey:
    """Return a row, lists and maps read, as the key that it is."""
    told = {**row, "allowed_ip_ranges": row["networks"]}
    return StoredKey(**{field: told[field] for field in StoredKey.__struct_fields__})
