"""Signing keys of this Latchgate: the first of each purpose, replaced, found.

Rule of this file: a key that has signed stays known when it is retired, so that what it signed can
still be checked. A purpose has one key that isn't retired.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.keyring.errors import UNAFFECTED, KeyringError
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, SealedKey, draw
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store

_TABLE = schema.signing_key


def current(store: Store, purpose: Purpose) -> SealedKey:
    """Return the key that signs for a purpose now; KeyringError when none was made."""
    with store.reading() as connection:
        found = _current(connection, purpose)
    if found is None:
        msg = f"there is no signing key for {purpose}; latchgate signing-key replace makes one."
        msg += f" {UNAFFECTED}"
        raise KeyringError(msg)
    return found


def any_known(store: Store) -> bool:
    """Whether the store holds any signing key, retired ones too."""
    with store.reading() as connection:
        return connection.execute(sa.select(_TABLE.c.id).limit(1)).first() is not None


def listed(store: Store) -> list[sa.Row[tuple[str, str, bytes, float, float | None]]]:
    """Return id, purpose, public half and times of every key, oldest first."""
    column = _TABLE.c
    shown = (column.id, column.purpose, column.public, column.created_at, column.retired_at)
    with store.reading() as connection:
        return list(
            connection.execute(sa.select(*shown).order_by(column.created_at, column.purpose))
        )


def ensure(
    store: Store, actor: Actor, master: MasterKey, *, entropy: Callable[[int], bytes]
) -> list[SealedKey]:
    """Make the key of each purpose that has none; returns those made."""
    with store.change(actor) as change:
        missing = [one for one in Purpose if _current(change.connection, one) is None]
        return [_add(change, draw(purpose, master, entropy)) for purpose in missing]


def replace(
    store: Store, actor: Actor, master: MasterKey, *, entropy: Callable[[int], bytes]
) -> list[SealedKey]:
    """Retire every key that signs now and make a new one in its place; returns the new ones."""
    with store.change(actor) as change:
        for purpose in Purpose:
            before = _current(change.connection, purpose)
            if before is not None:
                change.alter(
                    "signing_key.retire",
                    Noun.SIGNING_KEY,
                    _TABLE,
                    {"id": before.id, "retired_at": None},
                    {"retired_at": change.at},
                    tenant_id=None,
                )
        return [_add(change, draw(purpose, master, entropy)) for purpose in Purpose]


def _add(change: Change, key: SealedKey) -> SealedKey:
    row = {
        "id": key.id,
        "purpose": str(key.purpose),
        "public": key.public,
        "private": key.private,
        "created_at": change.at,
        "retired_at": None,
    }
    change.add("signing_key.create", Noun.SIGNING_KEY, _TABLE, row, tenant_id=None)
    return key


def _current(connection: sa.Connection, purpose: Purpose) -> SealedKey | None:
    wanted = (
        sa.select(_TABLE)
        .where(_TABLE.c.purpose == str(purpose), _TABLE.c.retired_at.is_(None))
        .order_by(_TABLE.c.created_at.desc())
        .limit(1)
    )
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    return SealedKey(row.id, purpose, bytes(row.public), bytes(row.private))
