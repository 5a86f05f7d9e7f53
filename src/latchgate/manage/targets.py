"""What UpCloud's API was told that accounts may do with servers, storages, networks and tags.

Rule of this file: it is kept and told again, and gives nobody any right: Latchgate decides by
scopes, and knows no server to check a target against. Source: the provider's permission calls, as
its own clients send them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.store import schema
from latchgate.store.journal import Change, stored

TYPES = (
    "managed_database",
    "managed_loadbalancer",
    "managed_object_storage",
    "network",
    "object_storage",
    "router",
    "server",
    "storage",
    "tag_access",
)
_encode = msgspec.json.Encoder(order="sorted").encode
MAX_HELD = 1_000  # of one account
MAX_IDENTIFIER = 128
TABLE = schema.permission
# Identifiers of one type of target, each with its options.
Targets = Mapping[str, Mapping[str, str]]


def targets_of(connection: sa.Connection, user_id: str) -> dict[str, Targets]:
    """Return what an account was permitted, by type of target."""
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    mine = sa.select(TABLE).where(TABLE.c.user_id == user_id)
    ordered = mine.order_by(TABLE.c.target_type, TABLE.c.target_identifier)
    for row in map(stored, connection.execute(ordered).mappings()):
        found.setdefault(row["target_type"], {})[row["target_identifier"]] = row["options"]
    return dict(found)


def check(target_type: str, identifier: str) -> None:
    """Raise InvalidError for a type of target that is none, or an identifier that can't be one."""
    if target_type not in TYPES:
        raise InvalidError([("target_type", f"must be one of {', '.join(TYPES)}")])
    if not 1 <= len(identifier) <= MAX_IDENTIFIER or not identifier.isprintable():
        msg = f"must have 1 to {MAX_IDENTIFIER} printable characters; * stands for every target"
        raise InvalidError([("target_identifier", msg)])


def grant(
    change: Change,
    caller: Caller,
    user_id: str,
    target: tuple[str, str],
    options: Mapping[str, str],
) -> int | None:
    """Keep one permission; returns the journal number, None when it was kept before.

    InvalidError when the account has too many.
    """
    held = targets_of(change.connection, user_id)
    before = held.get(target[0], {}).get(target[1])
    if before == options:
        return None
    _check_room(sum(map(len, held.values())) + (before is None))
    _drop(change, user_id, target)
    _add(change, user_id, target, options)
    return _note(change, caller, user_id, "permission.grant", target, after=dict(options))


def revoke(change: Change, caller: Caller, user_id: str, target: tuple[str, str]) -> int:
    """Take one permission back; NotFoundError when there is none."""
    if not _drop(change, user_id, target):
        raise NotFoundError(f"there is no permission for {target[0]} {target[1][:64]!r}")
    return _note(change, caller, user_id, "permission.revoke", target, after=None)


def replace(
    change: Change, caller: Caller, user_id: str, target_type: str, targets: Targets
) -> int | None:
    """Make these the permissions for a type of target; the journal number, None for no change.

    InvalidError as `check` and `grant` raise it.
    """
    held = targets_of(change.connection, user_id)
    before = held.pop(target_type, {})
    if before == targets:
        return None
    for identifier in targets:
        check(target_type, identifier)
    _check_room(sum(map(len, held.values())) + len(targets))
    here = sa.and_(TABLE.c.user_id == user_id, TABLE.c.target_type == target_type)
    change.execute(sa.delete(TABLE).where(here))
    for identifier, options in targets.items():
        _add(change, user_id, (target_type, identifier), options)
    told = {"target_type": target_type, "before": before, "after": targets}
    return change.note(
        "permission.change", Noun.USER, user_id, tenant_id=caller.tenant_id, detail=told
    )


def clear(change: Change, caller: Caller, user_id: str) -> None:
    """Drop every permission of an account that goes."""
    for target_type in targets_of(change.connection, user_id):
        replace(change, caller, user_id, target_type, {})


def _check_room(count: int) -> None:
    if count > MAX_HELD:
        msg = f"an account has at most {MAX_HELD}; take one back first"
        raise InvalidError([("permission", msg)])


def _add(change: Change, user_id: str, target: tuple[str, str], options: Mapping[str, str]) -> None:
    row = {"user_id": user_id, "target_type": target[0], "target_identifier": target[1]}
    change.execute(sa.insert(TABLE).values(**row, options=_encode(options).decode()))


def _drop(change: Change, user_id: str, target: tuple[str, str]) -> bool:
    here = sa.and_(
        TABLE.c.user_id == user_id,
        TABLE.c.target_type == target[0],
        TABLE.c.target_identifier == target[1],
    )
    return bool(change.execute(sa.delete(TABLE).where(here)).rowcount)


def _note(
    change: Change,
    caller: Caller,
    user_id: str,
    action: str,
    target: tuple[str, str],
    *,
    after: Mapping[str, str] | None,
) -> int:
    told = {"target_type": target[0], "target_identifier": target[1], "options": after}
    return change.note(action, Noun.USER, user_id, tenant_id=caller.tenant_id, detail=told)
