"""Signing keys of this Latchgate: the first of each purpose, replaced, found.

Rule of this file: a key that has signed stays known when it is retired, so that what it signed can
still be checked. A purpose has one key that signs; one whose signatures others check has a second
as well, which they are told of before it signs (RFC 7517 §5, docs/decisions/0018).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.keyring import master as master_file
from latchgate.keyring.errors import UNAFFECTED, KeyringError
from latchgate.keyring.master import MasterKey
from latchgate.keyring.signing import Purpose, SealedKey, draw, opens, unseal
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store

_TABLE = schema.signing_key
# Others check their signatures offline, and must know the next key before it signs.
_ANNOUNCED = frozenset({Purpose.OAUTH})


def current(store: Store, purpose: Purpose) -> SealedKey:
    """Return the key that signs for a purpose now; KeyringError when none was made."""
    with store.reading() as connection:
        found = _current(connection, purpose)
    if found is None:
        msg = f"there is no signing key for {purpose}; latchgate signing-key replace makes one."
        msg += f" {UNAFFECTED}"
        raise KeyringError(msg)
    return found


def unusable(store: Store, file: Path) -> str | None:
    """Say why nothing can be signed with the master key in a file; None when tokens can be.

    StoreError when the store can't be read.
    """
    try:
        unseal(current(store, Purpose.TOKEN), master_file.load(file))
    except KeyringError as error:
        return str(error)
    return None


def any_known(store: Store) -> bool:
    """Whether the store holds any signing key, retired ones too."""
    with store.reading() as connection:
        return connection.execute(sa.select(_TABLE.c.id).limit(1)).first() is not None


def listed(store: Store) -> list[sa.Row[tuple[str, str, bytes, float, float | None, float | None]]]:
    """Return id, purpose, public half and times of every key, oldest first."""
    column = _TABLE.c
    shown = (
        column.id,
        column.purpose,
        column.public,
        column.created_at,
        column.begins_at,
        column.retired_at,
    )
    with store.reading() as connection:
        return list(
            connection.execute(sa.select(*shown).order_by(column.created_at, column.purpose))
        )


def published(store: Store, purpose: Purpose, *, since: float) -> list[tuple[str, bytes]]:
    """Return id and public half of the keys that others check a purpose's signatures with.

    The one that signs, the one that will next, and those retired after `since` (Unix seconds).
    """
    column = _TABLE.c
    wanted = (
        sa.select(column.id, column.public)
        .where(column.purpose == str(purpose))
        .where(sa.or_(column.retired_at.is_(None), column.retired_at > since))
        .order_by(column.created_at.desc(), column.id)
    )
    with store.reading() as connection:
        return [(row.id, bytes(row.public)) for row in connection.execute(wanted)]


def ensure(
    store: Store, actor: Actor, master: MasterKey, *, entropy: Callable[[int], bytes]
) -> list[SealedKey]:
    """Make what keys the purposes lack; returns those made."""
    with store.change(actor) as change:
        made: list[SealedKey] = []
        for purpose in Purpose:
            if _current(change.connection, purpose) is None:
                made.append(_add(change, draw(purpose, master, entropy)))
            if purpose in _ANNOUNCED and _next(change.connection, purpose) is None:
                made.append(_add(change, draw(purpose, master, entropy), signs=False))
        return made


def replace(
    store: Store, actor: Actor, master: MasterKey, *, entropy: Callable[[int], bytes]
) -> list[SealedKey]:
    """Retire every key that signs now and put another in its place; returns those that are new."""
    with store.change(actor) as change:
        made: list[SealedKey] = []
        for purpose in Purpose:
            before = _current(change.connection, purpose)
            if before is not None:
                _alter(change, "signing_key.retire", before.id, retired_at=change.at)
            following = _next(change.connection, purpose)
            if following is not None and opens(following, master):
                _alter(change, "signing_key.begin", following.id, begins_at=change.at)
            else:
                if following is not None:  # under a master key that was lost
                    _alter(change, "signing_key.retire", following.id, retired_at=change.at)
                made.append(_add(change, draw(purpose, master, entropy)))
            if purpose in _ANNOUNCED:
                made.append(_add(change, draw(purpose, master, entropy), signs=False))
        return made


def _alter(change: Change, action: str, key_id: str, **after: float) -> None:
    before = {"id": key_id, **dict.fromkeys(after)}
    change.alter(action, Noun.SIGNING_KEY, _TABLE, before, after, tenant_id=None)


def _add(change: Change, key: SealedKey, *, signs: bool = True) -> SealedKey:
    row = {
        "id": key.id,
        "purpose": str(key.purpose),
        "public": key.public,
        "private": key.private,
        "created_at": change.at,
        "begins_at": change.at if signs else None,
        "retired_at": None,
    }
    change.add("signing_key.create", Noun.SIGNING_KEY, _TABLE, row, tenant_id=None)
    return key


def _current(connection: sa.Connection, purpose: Purpose) -> SealedKey | None:
    return _found(connection, purpose, _TABLE.c.begins_at.is_not(None))


def _next(connection: sa.Connection, purpose: Purpose) -> SealedKey | None:
    return _found(connection, purpose, _TABLE.c.begins_at.is_(None))


def _found(
    connection: sa.Connection, purpose: Purpose, which: sa.ColumnElement[bool]
) -> SealedKey | None:
    wanted = (
        sa.select(_TABLE)
        .where(_TABLE.c.purpose == str(purpose), _TABLE.c.retired_at.is_(None), which)
        .order_by(_TABLE.c.created_at.desc())
        .limit(1)
    )
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    return SealedKey(row.id, purpose, bytes(row.public), bytes(row.private))
