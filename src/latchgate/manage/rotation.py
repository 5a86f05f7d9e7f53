"""Rotation: a successor takes a credential's place, and the old one ends with its grace.

Rule of this file: a successor opens what its predecessor opened, for the same owner, and no more; a
grace ends because decisions look at the clock, so nothing has to happen on its day. Nouns say which
rows are theirs, and everything else is here. Source: docs/decisions/0013-rotation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.kinds import Issued, Spec
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.core.timestamp import rfc3339
from latchgate.manage.actor import Caller
from latchgate.manage.errors import NotFoundError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.notifications import about, notify
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.manage.renewal import may_renew
from latchgate.manage.rotation_terms import (
    WEEK,
    RotationSpec,
    RotationTerms,
    settle,
    successor_ends,
)
from latchgate.manage.successor_kind import spelled, successor_kind
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

_TABLE = schema.credential
# How the journal calls what is done to a kind's records.
_WORDS = {
    "service_key": "key",
    "imported_key": "key",
    "api_token": "token",
    "app_password": "basic",
}


class Successor(msgspec.Struct, frozen=True):
    """What took a credential's place; times are Unix seconds."""

    id: str
    name: str
    hint: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    version: int


class StoredRotation(msgspec.Struct, frozen=True):
    """How far a rotation is; times are Unix seconds, `until_quiet` seconds.

    The old one ended at `revoked_at`, or ends at `ends_at`.
    """

    id: str
    kind: str
    owner_id: str
    superseded_at: float
    ends_at: float
    revoked_at: float | None
    until_quiet: float | None
    successor: Successor


@dataclass(frozen=True, slots=True)
class Rows:
    """Whose credentials a noun rotates: the clauses that they meet, and what they are called.

    `grace` is theirs unless told, in seconds; `longest` the longest life that they may have.
    `opened` are the scopes that they can be used for. `check` says what else the caller must hold,
    given the row, the grace and the end of its successor.
    """

    whose: tuple[sa.ColumnElement[bool], ...]
    noun: str
    grace: int = WEEK
    longest: float | None = None
    opened: Scopes = ALL
    check: Callable[[Change, dict[str, Any], int, float | None], None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One rotation as it was asked for: of which credential, how, and when (Unix seconds)."""

    credential_id: str
    spec: RotationSpec
    now: float
    once: Once | None = None
    match: IfMatch = ANY


def rotate(
    store: Store,
    policy: Policy,
    caller: Caller,
    asked: Asked,
    *,
    rows: Rows,
    entropy: Callable[[int], bytes],
) -> tuple[StoredRotation, Issued | None, int]:
    """Put a new credential in an old one's place; returns the new secret and the journal number.

    Without a grace the old one is revoked in the same change, and what stands below it ends with
    it; else that moves to the successor. A repeat of `asked.once` returns the rotation as it is,
    without a secret. NotFoundError, StaleError; ConflictError when it was rotated already, naming
    the successor, or no longer stands; InvalidError names each field, ForbiddenError what the
    caller's credential can't hand out.
    """
    before = recall(store, caller, asked.once, asked.now)
    if before is not None:
        with store.reading() as connection:
            return _of_successor(connection, rows, before), None, 0
    terms = settle(asked.spec, usual_grace=rows.grace, longest=rows.longest, now=asked.now)
    with store.change(caller.actor) as change:
        row = _found(change.connection, rows, asked.credential_id, asked.match)
        _check_stands(row, rows.noun, change.at)
        kind = successor_kind(policy, row, rows.noun)
        issued = kind.issue(Spec(service=spelled(kind, row)), entropy(kind.entropy_bytes))
        ends = successor_ends(change, terms, row, kind.name, longest=rows.longest)
        may_renew(change.connection, policy, caller, row, expires_at=ends, opened=rows.opened)
        if rows.check is not None:
            rows.check(change, row, terms.grace, ends)
        remember(change, caller, asked.once, issued.id)
        made = {"kind": kind.name, "expires_at": ends}
        n = _supersede(change, row, issued, terms, made, entropy)
        return _shown(change.connection, rows, row["id"]), issued, n


def shown(store: Store, credential_id: str, rows: Rows) -> StoredRotation:
    """Return how far a credential's rotation is; NotFoundError when it was not rotated."""
    with store.reading() as connection:
        return _shown(connection, rows, credential_id)


def shown_of(store: Store, successor_id: str, rows: Rows) -> StoredRotation:
    """Return how far the rotation is that made a credential; NotFoundError when none did."""
    with store.reading() as connection:
        return _of_successor(connection, rows, successor_id)


def _check_stands(row: dict[str, Any], noun: str, now: float) -> None:
    """Refuse what was rotated before, naming its successor, and what opens nothing any more."""
    name = f"The {noun} {row['id']!r}"
    if row["superseded_by"] is not None:
        raise ConflictError(f"{name} was rotated already; {row['superseded_by']!r} took its place.")
    if row["revoked_at"] is not None:
        raise ConflictError(f"{name} is revoked; make a new one.")
    if row["expires_at"] is not None and now >= row["expires_at"]:
        raise ConflictError(f"{name} has expired; make a new one.")
    if row["disabled_at"] is not None:
        raise ConflictError(f"{name} is disabled; enable it first, or make a new one.")


def _supersede(
    change: Change,
    row: dict[str, Any],
    issued: Issued,
    terms: RotationTerms,
    own: Mapping[str, Any],
    entropy: Callable[[int], bytes],
) -> int:
    """Write the successor, and the old one's end; everything in it happens or nothing.

    `own` are columns of the successor that are not its predecessor's.
    """
    tenant_id = row["tenant_id"]
    _succeed(change, row, issued, own)
    if terms.grace:
        _adopt(change, row, issued.id)
    until = change.at + terms.grace
    ends_at = until if row["expires_at"] is None else min(row["expires_at"], until)
    after: dict[str, Any] = {
        "superseded_by": issued.id,
        "superseded_at": change.at,
        "expires_at": ends_at,
        "quiet_seconds": terms.quiet,
    }
    if not terms.grace:
        after["revoked_at"] = change.at
    action = f"{word_of(row)}.rotate"
    n = change.alter(action, Noun.CREDENTIAL, _TABLE, row, after, tenant_id=tenant_id)
    notify(
        change,
        Event.CREDENTIAL_ROTATED,
        row["id"],
        tenant_id=tenant_id,
        user_id=row["owner_id"],
        data=about(row) | {"successor": issued.id, "ends_at": rfc3339(ends_at)},
        entropy=entropy,
    )
    return n


def _succeed(change: Change, row: dict[str, Any], issued: Issued, own: Mapping[str, Any]) -> None:
    """Write the successor, and let logins lead to it."""
    made = {name: value for name, value in row.items() if name not in {"version", *_OWN}}
    made |= dict.fromkeys(_OWN)
    made |= own
    made |= {
        "id": issued.id,
        "digest": issued.digest,
        "hint": issued.hint,
        "created_at": change.at,
        "created_by": change.actor.name,
        "predecessor_id": row["id"],
    }
    action, tenant_id = f"{word_of(row)}.create", row["tenant_id"]
    change.add(action, Noun.CREDENTIAL, _TABLE, made, tenant_id=tenant_id)
    _repoint(change, row["id"], issued.id, tenant_id)


# What is a credential's own, and never its successor's.
_OWN = (
    "revoked_at",
    "superseded_by",
    "superseded_at",
    "quiet_seconds",
    "disabled_at",
    "denied_tokens",
    "tokens_after",
)


def _repoint(change: Change, old_id: str, new_id: str, tenant_id: str) -> None:
    """Let each login that has the old one have the new one; the old is found behind it."""
    link = schema.login_credential
    held = change.execute(sa.select(link).where(link.c.credential_id == old_id)).all()
    for one in held:
        here = sa.and_(link.c.login_id == one.login_id, link.c.kind == one.kind)
        change.execute(sa.update(link).where(here).values(credential_id=new_id))
        told = {
            "before": {"kind": one.kind, "credential_id": old_id},
            "after": {"kind": one.kind, "credential_id": new_id},
        }
        change.note("login.change", Noun.LOGIN, one.login_id, tenant_id=tenant_id, detail=told)


def _adopt(change: Change, row: dict[str, Any], new_id: str) -> None:
    """Put what stands below the old one below the new one, so that it outlives the grace.

    All that was made with it has its owner, by whom it is found: there is no index of parents.
    """
    below = sa.select(_TABLE.c.id, _TABLE.c.kind, _TABLE.c.parent_id).where(
        _TABLE.c.owner_id == row["owner_id"], _TABLE.c.parent_id == row["id"]
    )
    for child in change.execute(below).mappings().all():
        change.alter(
            f"{word_of(child)}.move",
            Noun.CREDENTIAL,
            _TABLE,
            dict(child),
            {"parent_id": new_id},
            tenant_id=row["tenant_id"],
        )


def word_of(row: Mapping[str, Any] | sa.RowMapping) -> str:
    """Return how the journal calls what is done to a row's kind: the first part of its actions."""
    sort: str = row["kind"].partition(".")[2]
    return _WORDS.get(sort, sort)


def _shown(connection: sa.Connection, rows: Rows, credential_id: str) -> StoredRotation:
    row = _found(connection, rows, credential_id)
    if row["superseded_by"] is None:
        raise NotFoundError(f"the {rows.noun} {credential_id[:64]!r} was not rotated")
    new = find(connection, _TABLE, row["superseded_by"], noun=rows.noun)
    return StoredRotation(
        id=row["id"],
        kind=row["kind"],
        owner_id=row["owner_id"],
        superseded_at=row["superseded_at"],
        ends_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        until_quiet=row["quiet_seconds"],
        successor=Successor(**{name: new[name] for name in Successor.__struct_fields__}),
    )


def _of_successor(connection: sa.Connection, rows: Rows, successor_id: str) -> StoredRotation:
    new = _found(connection, rows, successor_id)
    if new["predecessor_id"] is None:
        raise NotFoundError(f"the {rows.noun} was not rotated")
    return _shown(connection, rows, new["predecessor_id"])


def _found(
    connection: sa.Connection, rows: Rows, credential_id: str, match: IfMatch = ANY
) -> dict[str, Any]:
    return find(connection, _TABLE, credential_id, *rows.whose, noun=rows.noun, match=match)
