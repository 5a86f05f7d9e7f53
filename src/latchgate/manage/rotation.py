"""Rotation: a successor takes a credential's place, and the old one ends with its grace.

Rule of this file: a successor opens what its predecessor opened, for the same owner, and no more; a
grace ends because decisions look at the clock, so nothing has to happen on its day. Nouns say which
rows are theirs, and everything else is here. Source: docs/decisions/0013-rotation.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.duration import parse_duration
from latchgate.core.event import Event
from latchgate.core.kinds import Issued, IssuedKind, Spec
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.scope import ALL, Scopes
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.key_terms import read_expiry
from latchgate.manage.lifetimes import bounded
from latchgate.manage.notifications import notify
from latchgate.manage.records import ANY, IfMatch, find
from latchgate.manage.renewal import may_renew
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Change, Store

_NOTHING = frozenset({"0", "0s", "0m", "0h", "0d"})
_SERVICE = re.compile(r"[a-z][a-z0-9-]*")
WEEK = 7 * 86_400
MAX_GRACE = 90 * 86_400
_TABLE = schema.credential
_Text = Annotated[str, msgspec.Meta(max_length=64)]
# How the journal calls what is done to a kind's records.
_WORDS = {"service_key": "key", "api_token": "token", "app_password": "basic"}


class RotationSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a credential shall be rotated.

    `grace` is how long the old one works on, `7d` unless told (an app password's none), `0` for
    not at all, 90 days at most. `until_quiet` ends the grace once the old one was unused for so
    long. The new one lives as long as the old one was made for, unless `expires_in` (a duration)
    or `expires_at` (RFC 3339) says otherwise, and no longer than the tenant's maximum life.
    """

    grace: _Text | None = None
    until_quiet: _Text | None = None
    expires_in: _Text | None = None
    expires_at: _Text | None = None


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


@dataclass(frozen=True, slots=True)
class _Terms:
    grace: int
    quiet: int | None
    expires_at: float | None
    field: str | None  # what an end was asked for with


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
    terms = _settle(asked.spec, rows, asked.now)
    with store.change(caller.actor) as change:
        row = _found(change.connection, rows, asked.credential_id, asked.match)
        _check_stands(row, rows.noun, change.at)
        kind = _kind(policy, row, rows.noun)
        issued = kind.issue(Spec(service=_spelled(kind, row)), entropy(kind.entropy_bytes))
        ends = _successor_ends(change, terms, row, rows)
        may_renew(change.connection, policy, caller, row, expires_at=ends, opened=rows.opened)
        if rows.check is not None:
            rows.check(change, row, terms.grace, ends)
        remember(change, caller, asked.once, issued.id)
        n = _supersede(change, row, issued, terms, ends, entropy)
        return _shown(change.connection, rows, row["id"]), issued, n


def shown(store: Store, credential_id: str, rows: Rows) -> StoredRotation:
    """Return how far a credential's rotation is; NotFoundError when it was not rotated."""
    with store.reading() as connection:
        return _shown(connection, rows, credential_id)


def shown_of(store: Store, successor_id: str, rows: Rows) -> StoredRotation:
    """Return how far the rotation is that made a credential; NotFoundError when none did."""
    with store.reading() as connection:
        return _of_successor(connection, rows, successor_id)


def retire(change: Change, credential_id: str, *, entropy: Callable[[int], bytes]) -> None:
    """End the grace of a rotated credential now, inside a change; nothing where it has ended."""
    wanted = sa.select(_TABLE).where(_TABLE.c.id == credential_id)
    row = change.execute(wanted).mappings().one_or_none()
    if row is None or row["superseded_by"] is None or row["revoked_at"] is not None:
        return
    tenant_id, after = row["tenant_id"], {"revoked_at": change.at}
    change.alter(
        f"{_word(row)}.retire", Noun.CREDENTIAL, _TABLE, dict(row), after, tenant_id=tenant_id
    )
    notify(
        change,
        Event.CREDENTIAL_GRACE_ENDED,
        credential_id,
        tenant_id=tenant_id,
        user_id=row["owner_id"],
        data={"successor": row["superseded_by"], "kind": row["kind"], "name": row["name"]},
        entropy=entropy,
    )


def _settle(spec: RotationSpec, rows: Rows, now: float) -> _Terms:
    faults: list[tuple[str, str]] = []
    grace: int | None = rows.grace
    if spec.grace is not None:
        grace = read_grace(spec.grace, faults)
    quiet = None
    if spec.until_quiet is not None:
        quiet = _seconds("until_quiet", spec.until_quiet, faults)
        if quiet is not None and grace is not None and quiet > grace:
            faults.append(("until_quiet", "is longer than the grace, which would end before"))
    expires_at = read_expiry(spec.expires_in, spec.expires_at, now, faults)
    field = None
    if spec.expires_in is not None or spec.expires_at is not None:
        field = "expires_in" if spec.expires_in is not None else "expires_at"
    longest = rows.longest
    if field and expires_at is not None and longest is not None and expires_at > now + longest:
        faults.append((field, f"must be at most {round(longest / 3600)}h ahead"))
    if faults or grace is None:
        raise InvalidError(faults)
    return _Terms(grace, quiet, expires_at, field)


def read_grace(text: str, faults: list[tuple[str, str]]) -> int | None:
    """Read how long an old secret works on, in seconds; what is wrong is added to `faults`."""
    if text.strip() in _NOTHING:
        return 0
    grace = _seconds("grace", text, faults)
    if grace is not None and grace > MAX_GRACE:
        why = "must be at most 90d: two secrets that open the same are twice as easily lost"
        faults.append(("grace", why))
    return grace


def _seconds(field: str, text: str, faults: list[tuple[str, str]]) -> int | None:
    try:
        return parse_duration(text)
    except ValueError as error:
        faults.append((field, str(error)))
    return None


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


def _kind(policy: Policy, row: dict[str, Any], noun: str) -> IssuedKind:
    try:
        return policy.issued(row["kind"])
    except KeyError:
        msg = f"The published policy issues no {row['kind']}; make a new {noun} of another sort."
        raise ConflictError(msg) from None


def _spelled(kind: IssuedKind, row: dict[str, Any]) -> str:
    """Return the service that a secret is spelled with: that of the old one where it tells it."""
    if isinstance(kind, ServiceKey):
        told: str = row["hint"].removeprefix(f"{kind.brand}_").removesuffix(f"_{row['id']}_…")
        if _SERVICE.fullmatch(told):
            return told
    first: str = row["services"][0]
    return first


def _successor_ends(change: Change, terms: _Terms, row: dict[str, Any], rows: Rows) -> float | None:
    """Return when a successor ends: as asked, InvalidError past the tenant's maximum life.

    What nobody asked for is the life of the old one, cut to the maximum of today.
    """
    if terms.field is not None:
        return _bounded(change, row, terms.expires_at, field=terms.field)
    most = _bounded(change, row, None)
    if row["expires_at"] is None:
        return most
    life: float = row["expires_at"] - row["created_at"]
    ends = change.at + (life if rows.longest is None else min(life, rows.longest))
    return ends if most is None else min(ends, most)


def _bounded(
    change: Change, row: dict[str, Any], expires_at: float | None, *, field: str = "expires_at"
) -> float | None:
    return bounded(
        change.connection,
        row["tenant_id"],
        row["kind"],
        created_at=change.at,
        expires_at=expires_at,
        field=field,
    )


def _supersede(
    change: Change,
    row: dict[str, Any],
    issued: Issued,
    terms: _Terms,
    expires_at: float | None,
    entropy: Callable[[int], bytes],
) -> int:
    """Write the successor, and the old one's end; everything in it happens or nothing."""
    tenant_id, word = row["tenant_id"], _word(row)
    made = {name: value for name, value in row.items() if name not in {"version", *_OWN}}
    made |= dict.fromkeys(_OWN)
    made |= {
        "id": issued.id,
        "digest": issued.digest,
        "hint": issued.hint,
        "created_at": change.at,
        "created_by": change.actor.name,
        "expires_at": expires_at,
        "predecessor_id": row["id"],
    }
    noun, old_id = Noun.CREDENTIAL, row["id"]
    change.add(f"{word}.create", noun, _TABLE, made, tenant_id=tenant_id)
    _repoint(change, old_id, issued.id, tenant_id)
    if terms.grace:
        _adopt(change, old_id, issued.id, tenant_id)
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
    n = change.alter(f"{word}.rotate", noun, _TABLE, row, after, tenant_id=tenant_id)
    told = {"successor": issued.id, "kind": row["kind"], "name": row["name"], "ends_at": ends_at}
    notify(
        change,
        Event.CREDENTIAL_ROTATED,
        old_id,
        tenant_id=tenant_id,
        user_id=row["owner_id"],
        data=told,
        entropy=entropy,
    )
    return n


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


def _adopt(change: Change, old_id: str, new_id: str, tenant_id: str) -> None:
    """Put what stands below the old one below the new one, so that it outlives the grace."""
    below = sa.select(_TABLE.c.id, _TABLE.c.kind, _TABLE.c.parent_id)
    for child in change.execute(below.where(_TABLE.c.parent_id == old_id)).mappings().all():
        change.alter(
            f"{_word(child)}.move",
            Noun.CREDENTIAL,
            _TABLE,
            dict(child),
            {"parent_id": new_id},
            tenant_id=tenant_id,
        )


def _word(row: dict[str, Any] | sa.RowMapping) -> str:
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
