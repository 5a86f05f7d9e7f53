"""A user's own keys of one provider: what that provider's dashboard makes, lists and revokes.

Rule of this file: a key of another user or another provider is not there. What may be in a new one
is decided where every key is made (`manage.keys`).
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from latchgate.core.kinds import Issued
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.policy import Policy
from latchgate.manage import keys
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError
from latchgate.manage.keys import KeySpec, StoredKey, stored_key
from latchgate.manage.records import find
from latchgate.store import schema
from latchgate.store.journal import Store, stored

_TABLE = schema.credential


def issue(
    store: Store,
    policy: Policy,
    caller: Caller,
    spec: KeySpec,
    provider: str,
    *,
    now: float,
    entropy: Callable[[int], bytes],
) -> tuple[StoredKey, Issued]:
    """Make a key of a provider for the caller; returns it and its secret.

    InvalidError names each field, ForbiddenError what the caller does not hold.
    """
    offered = services(policy, provider)
    unknown = [name for name in spec.services if name not in offered]
    if unknown:
        told = f"unknown: {', '.join(unknown)}; the services are {', '.join(offered)}"
        raise InvalidError([("services", told)])
    key, issued, _ = keys.issue(store, policy, caller, spec, now=now, entropy=entropy)
    if issued is None:
        raise RuntimeError("a key that was not made before came without its secret")
    return key, issued


def services(policy: Policy, provider: str) -> tuple[str, ...]:
    """Return what a provider's key can be for, the word for all of them last."""
    kind = policy.kinds.get(f"{provider}.service_key")
    word = kind.cross_service if isinstance(kind, ServiceKey) else None
    named = sorted(one.id for one in policy.services.values() if one.provider == provider)
    return (*named, word) if word is not None else tuple(named)


def listed(
    store: Store, caller: Caller, provider: str, *, limit: int | None = None, offset: int = 0
) -> list[StoredKey]:
    """Return the caller's keys of a provider, oldest first, revoked ones too: all unless told."""
    wanted = sa.select(_TABLE).where(*_own(caller, provider))
    wanted = wanted.order_by(_TABLE.c.created_at, _TABLE.c.id)
    if limit is not None:
        wanted = wanted.limit(limit)
    wanted = wanted.offset(offset)
    with store.reading() as connection:
        rows = connection.execute(wanted).mappings().all()
    return [stored_key(stored(row)) for row in rows]


def shown(store: Store, caller: Caller, provider: str, key_id: str) -> StoredKey:
    """Return one of the caller's keys of a provider; NotFoundError when there is none."""
    with store.reading() as connection:
        row = find(connection, _TABLE, key_id, *_own(caller, provider), noun="key")
    return stored_key(row)


def revoke(store: Store, caller: Caller, provider: str, key_id: str) -> tuple[StoredKey, int]:
    """Revoke one of the caller's keys at once and for good; returns its journal number too.

    A repeated one changes nothing and has its receipt waited for again. NotFoundError.
    """
    return keys.revoke(store, caller, key_id, *_own(caller, provider))


def _own(caller: Caller, provider: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _TABLE.c.tenant_id == caller.tenant_id,
        _TABLE.c.owner_id == caller.owner.id,
        _TABLE.c.kind == f"{provider}.service_key",
    )
