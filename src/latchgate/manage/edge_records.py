"""What an edge sees of records: those of the tenants that it serves, and those of none.

Rule of this file: a record of another tenant is as if it were absent, and nothing that is told
names one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from latchgate.core.feed import MAX_KEYS, FeedRecord, spell_records
from latchgate.core.model import (
    ApplicationKey,
    Credential,
    Key,
    Login,
    Noun,
    Project,
    Record,
    Role,
    Tenant,
    User,
)
from latchgate.store.edge_reads import read_within

Tenants = frozenset[str] | None  # None: every one
_BESIDE_ROUNDS = 3  # a login's credential, its owner, that one's roles


def seen_by(connection: sa.Connection, tenants: Tenants, keys: Sequence[Key]) -> list[FeedRecord]:
    """Read records with what belongs to them, and leave out what is another tenant's."""
    found: dict[Key, Record | None] = dict.fromkeys(keys)
    # No text in PostgreSQL holds a NUL: there is no such record.
    found |= read_within(connection, [key for key in keys if "\0" not in key[1]])
    for _ in range(_BESIDE_ROUNDS):
        wanted = _beside(found.values()) - set(found)
        if not wanted or len(wanted) > MAX_KEYS:
            break
        found |= read_within(connection, sorted(wanted))
    found |= read_within(connection, sorted(_owners(found.values()) - set(found)))
    asked = set(keys)
    seen = visible(found, tenants)
    # What was not asked for is told only where it is: nobody learns that it is somebody else's.
    return spell_records({key: one for key, one in seen.items() if key in asked or one is not None})


def _owners(records: Iterable[Record | None]) -> set[Key]:
    """Return the keys of the users who say whose records these are (`visible`)."""
    return {
        (Noun.USER, record.user_id)
        for record in records
        if isinstance(record, Login | ApplicationKey) and record.user_id is not None
    }


def _beside(records: Iterable[Record | None]) -> set[Key]:
    """Return the keys of what a decision with these records needs besides."""
    keys: set[Key] = set()
    for record in records:
        if isinstance(record, Login):
            keys |= {(Noun.CREDENTIAL, one) for one in record.credentials.values()}
        elif isinstance(record, Credential):
            keys |= {(Noun.USER, record.owner_id), (Noun.TENANT, record.tenant_id)}
            keys |= {(Noun.PROJECT, record.project_id)}
            keys |= {(Noun.CREDENTIAL, record.parent_id)} if record.parent_id else set()
            keys |= {(Noun.APPLICATION, record.application_id)} if record.application_id else set()
        elif isinstance(record, User):
            keys |= {(Noun.ROLE, role) for _, role in record.roles}
        elif isinstance(record, Role):
            keys |= {(Noun.ROLE, role) for role in record.implies}
        elif isinstance(record, ApplicationKey):
            keys.add((Noun.APPLICATION, record.application_id))
    return keys


def visible(records: Mapping[Key, Record | None], tenants: Tenants) -> dict[Key, Record | None]:
    """Return records as an edge of these tenants sees them: those of others as if absent.

    Whose a login or a user's own application key is, say the users among `records`.
    """
    if tenants is None:
        return dict(records)
    return {key: _seen(record, records, tenants) for key, record in records.items()}


def _seen(
    record: Record | None, records: Mapping[Key, Record | None], tenants: frozenset[str]
) -> Record | None:
    if isinstance(record, Tenant):
        return record if record.id in tenants else None
    if isinstance(record, Credential | User | Project):
        return record if record.tenant_id in tenants else None
    if isinstance(record, Role):
        return record if record.tenant_id is None or record.tenant_id in tenants else None
    if isinstance(record, Login):
        return record if _is_theirs(record.user_id, records, tenants) else None
    if isinstance(record, ApplicationKey):
        return _narrowed(record, records, tenants)
    return record


def _is_theirs(user_id: str, records: Mapping[Key, Record | None], tenants: frozenset[str]) -> bool:
    user = records.get((Noun.USER, user_id))
    return isinstance(user, User) and user.tenant_id in tenants


def _narrowed(
    key: ApplicationKey, records: Mapping[Key, Record | None], tenants: frozenset[str]
) -> ApplicationKey | None:
    """Return an application key as far as it is for users of these tenants."""
    if key.user_id is not None and not _is_theirs(key.user_id, records, tenants):
        return None
    if key.tenants is None:
        return key
    left = key.tenants & tenants
    return msgspec.structs.replace(key, tenants=left) if left else None
