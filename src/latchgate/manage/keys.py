"""Service keys: issue, list, show, revoke.

Rule of this file: nobody hands out what they don't hold, and a key's owner, tenant and project
are the actor's own, never taken from what was asked (ATTACKS D5.37, D5.38).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa

from latchgate.core.duration import parse_duration
from latchgate.core.kinds import AnyKind
from latchgate.core.kinds.spec import Issued, Spec
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.scope import EVERY, Scopes
from latchgate.core.timestamp import parse_rfc3339
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Change, Store, stored

MAX_PAGE = 1_000

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


class KeySpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new key shall be.

    `scopes` absent means every scope its services have now, an empty list none.
    `allowed_ip_ranges` absent means everywhere, an empty list nowhere. `expires_in` is a
    duration such as `90d`, `expires_at` an RFC 3339 time; neither means no expiry.
    """

    name: Line
    services: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=32)]
    description: Text = ""
    scopes: Annotated[list[Name], msgspec.Meta(max_length=256)] | None = None
    environment: Environment | None = None
    external_id: ExternalId | None = None
    metadata: Annotated[dict[Name, Line], msgspec.Meta(max_length=32)] = {}
    allowed_ip_ranges: Annotated[list[Name], msgspec.Meta(max_length=100)] | None = None
    expires_in: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    expires_at: Annotated[str, msgspec.Meta(max_length=64)] | None = None


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


def issue(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: KeySpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
) -> tuple[StoredKey, Issued, int]:
    """Make a key for the actor; returns it, its secret and the journal number.

    Raises InvalidError naming each field, ForbiddenError when the actor lacks a scope.
    """
    kind, scopes, networks, expires_at = _settle(policy, spec, now)
    lacking = caller.rights.lacking(scopes)
    if lacking:
        msg = f"you don't hold {', '.join(lacking)}, so you can't hand it out"
        raise ForbiddenError(msg)
    limit = caller.credential.expires_at
    if limit is not None and (expires_at is None or expires_at > limit):
        msg = "a key can't outlive the credential it is made with; give an earlier expiry"
        raise ForbiddenError(msg)
    issued = kind.issue(Spec(service=spec.services[0]), entropy(kind.entropy_bytes))
    holder = caller.credential
    with store.change(caller.actor) as change:
        return insert(
            change,
            kind=kind,
            issued=issued,
            spec=spec,
            scopes=scopes,
            networks=networks,
            expires_at=expires_at,
            owner=(holder.tenant_id, holder.project_id, caller.owner.id),
        )


def insert(
    change: Change,
    *,
    kind: AnyKind,
    issued: Issued,
    spec: KeySpec,
    scopes: Scopes,
    networks: Networks | None,
    expires_at: float | None,
    owner: tuple[str, str, str],
) -> tuple[StoredKey, Issued, int]:
    """Write a new key inside a change; `owner` is tenant, project and user id."""
    tenant_id, project_id, owner_id = owner
    key = StoredKey(
        id=issued.id,
        kind=kind.name,
        hint=issued.hint,
        name=spec.name,
        description=spec.description,
        services=list(spec.services),
        scopes=scopes.listed(),
        environment=spec.environment,
        external_id=spec.external_id,
        metadata=dict(spec.metadata),
        allowed_ip_ranges=networks.listed() if networks is not None else None,
        owner_id=owner_id,
        project_id=project_id,
        created_at=change.at,
        created_by=change.actor.name,
        expires_at=expires_at,
        revoked_at=None,
    )
    row = msgspec.structs.asdict(key)
    row["networks"] = row.pop("allowed_ip_ranges")
    row |= {"tenant_id": tenant_id, "parent_id": None, "digest": issued.digest, "issues": True}
    n = change.add("key.create", Noun.CREDENTIAL, schema.credential, row, tenant_id=tenant_id)
    return key, issued, n


def listed(
    store: Store, caller: Caller, *, limit: int, after: str | None
) -> tuple[list[StoredKey], str | None]:
    """Return up to `limit` keys of the actor's tenant, oldest first, and the id to go on after."""
    table = schema.credential
    wanted = sa.select(table).where(table.c.tenant_id == caller.tenant_id)
    with store.reading() as connection:
        if after is not None:
            mark = connection.execute(
                sa.select(table.c.created_at).where(
                    table.c.id == after, table.c.tenant_id == caller.tenant_id
                )
            ).scalar_one_or_none()
            if mark is None:
                raise InvalidError([("after", f"{after[:64]!r} is not the id of a key")])
            position = sa.tuple_(table.c.created_at, table.c.id)
            wanted = wanted.where(position > sa.tuple_(sa.literal(mark), sa.literal(after)))
        wanted = wanted.order_by(table.c.created_at, table.c.id).limit(limit + 1)
        rows = connection.execute(wanted).mappings().all()
    keys = [_stored(row) for row in rows[:limit]]
    return keys, keys[-1].id if len(rows) > limit else None


def shown(store: Store, caller: Caller, key_id: str) -> StoredKey:
    """Return one key of the actor's tenant; NotFoundError when there is none."""
    with store.reading() as connection:
        return _stored(_own(connection, caller.tenant_id, key_id))


def revoke(store: Store, caller: Caller, key_id: str) -> tuple[StoredKey, int]:
    """Revoke a key at once; returns it and the journal number that verifiers must reach.

    A repeated revoke changes nothing, announces again, and has its receipt waited for again
    (ARCHITECTURE §6 rule 14). NotFoundError when the actor's tenant has no such key.
    """
    tenant_id = caller.tenant_id
    with store.change(caller.actor) as change:
        key = _stored(_own(change.connection, tenant_id, key_id))
        if key.revoked_at is not None:
            head = change.execute(sa.select(schema.journal_head.c.n)).scalar_one()
            return key, head
        n = change.alter(
            "key.revoke",
            Noun.CREDENTIAL,
            schema.credential,
            {"id": key_id, "revoked_at": None},
            {"revoked_at": change.at},
            tenant_id=tenant_id,
        )
    return msgspec.structs.replace(key, revoked_at=change.at), n


def _own(connection: sa.Connection, tenant_id: str, key_id: str) -> sa.RowMapping:
    table = schema.credential
    found = connection.execute(
        sa.select(table).where(table.c.id == key_id, table.c.tenant_id == tenant_id)
    )
    row = found.mappings().one_or_none()
    if row is None:
        msg = f"there is no key {key_id[:64]!r}"
        raise NotFoundError(msg)
    return row


def _stored(row: sa.RowMapping) -> StoredKey:
    told: dict[str, Any] = stored(row)
    told["allowed_ip_ranges"] = told["networks"]
    return StoredKey(**{field: told[field] for field in StoredKey.__struct_fields__})


def _settle(
    policy: Policy, spec: KeySpec, now: float
) -> tuple[AnyKind, Scopes, Networks | None, float | None]:
    """Turn what was asked into what will be stored, or say everything that is wrong with it."""
    faults: list[tuple[str, str]] = []
    kind = _kind(policy, spec, faults)
    scopes = _scopes(policy, spec, faults)
    networks = None
    if spec.allowed_ip_ranges is not None:
        try:
            networks = Networks.of(spec.allowed_ip_ranges)
        except ValueError as error:
            faults.append(("allowed_ip_ranges", str(error)))
    expires_at = _expiry(spec, now, faults)
    if faults or kind is None:
        raise InvalidError(faults)
    return kind, scopes, networks, expires_at


def _kind(policy: Policy, spec: KeySpec, faults: list[tuple[str, str]]) -> AnyKind | None:
    unknown = [name for name in spec.services if name not in policy.services]
    if unknown:
        known = ", ".join(sorted(policy.services)) or "none: publish a policy first"
        faults.append(("services", f"unknown: {', '.join(unknown)}; the services are {known}"))
        return None
    if len(set(spec.services)) < len(spec.services):
        faults.append(("services", "a service is named twice"))
    providers = {policy.services[name].provider for name in spec.services}
    if len(providers) > 1:
        faults.append(("services", f"one key can't be for {' and '.join(sorted(providers))}"))
        return None
    (provider,) = providers
    kind = policy.kinds.get(f"{provider}.service_key")
    if kind is None:
        faults.append(("services", f"{provider} issues no service keys"))
    return kind


def _scopes(policy: Policy, spec: KeySpec, faults: list[tuple[str, str]]) -> Scopes:
    offered = frozenset[str]().union(*(policy.scopes_of(name) for name in spec.services))
    if spec.scopes is None:
        return Scopes.of(offered)
    foreign = sorted(set(spec.scopes) - offered)
    if foreign:
        offers = ", ".join(sorted(offered)) or "none"
        faults.append(("scopes", f"{', '.join(foreign)} not among those of its services: {offers}"))
    return Scopes.of(scope for scope in spec.scopes if scope != EVERY)


def _expiry(spec: KeySpec, now: float, faults: list[tuple[str, str]]) -> float | None:
    if spec.expires_in is not None and spec.expires_at is not None:
        faults.append(("expires_at", "give expires_in or expires_at, not both"))
        return None
    try:
        if spec.expires_in is not None:
            return now + parse_duration(spec.expires_in)
        if spec.expires_at is not None:
            at = parse_rfc3339(spec.expires_at)
            if at <= now:
                faults.append(("expires_at", "must be in the future"))
            return at
    except ValueError as error:
        field = "expires_in" if spec.expires_in is not None else "expires_at"
        faults.append((field, str(error)))
    return None
