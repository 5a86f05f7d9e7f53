"""Least privilege: which scopes a credential holds and did not use, and taking them away.

Rule of this file: it only ever takes. What stays is what the credential holds now and was named,
or was used, by it or by what was made with it; nothing is added, whoever asks. Where the counts
don't reach back far enough to say that a scope is unused, that is said, and only `force` goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.policy import Policy
from latchgate.core.reason import Reason
from latchgate.core.scope import EVERY
from latchgate.core.standing import MAX_PARENTS
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError
from latchgate.manage.keys import Name
from latchgate.manage.listing import Filter, Listing, Query, by, equals, page
from latchgate.manage.records import ANY, IfMatch, alter, find
from latchgate.store import schema
from latchgate.store.journal import Store
from latchgate.store.usage import Column, Period, UsageReader

DAYS = 90
MAX_DAYS = 3_650
_DAY = 86_400.0
_TABLE = schema.credential
_NARROWED = ("service_key", "imported_key", "api_token")
# What holds scopes of its own: passwords of people and access keys stand for roles.
_HOLDERS = sa.or_(*(_TABLE.c.kind.like(f"%.{name}") for name in (*_NARROWED, "app_password")))


class NarrowSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall be left of a credential: the scopes to keep, or those used in so many days.

    Either `scopes` or `unused_days`; `allowed_ip_ranges` may only shrink. `force` goes on though
    the counts, or the credential, are younger than that; `to_nothing` allows no scope at all to be
    left. `dry_run` tells what would be left and changes nothing.
    """

    scopes: Annotated[list[Name], msgspec.Meta(max_length=256)] | None = None
    unused_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_DAYS)] | None = None
    allowed_ip_ranges: Annotated[list[Name], msgspec.Meta(max_length=100)] | None = None
    force: bool = False
    to_nothing: bool = False
    dry_run: bool = False


class Unused(msgspec.Struct, frozen=True):
    """A credential's scopes by use: those it holds, and of them the ones not used since a time.

    `every` says that it holds all scopes of its services, now and later. `young` is one made after
    that time, `counted_since` is when counting began, None before anything was counted; `proven`
    says that both reach back far enough. Times are Unix seconds.
    """

    id: str
    kind: str
    name: str
    owner_id: str
    project_id: str
    created_at: float
    scopes: list[str]
    every: bool
    unused: list[str]
    since: float
    young: bool
    counted_since: float | None
    proven: bool


class Narrowed(msgspec.Struct, frozen=True):
    """What a narrowing left, and what it took; `version` is the record's."""

    id: str
    scopes: list[str]
    removed: list[str]
    allowed_ip_ranges: list[str] | None
    changed: bool
    version: int


def _days(text: str, _now: float) -> sa.ColumnElement[bool]:
    read_days(text)
    return sa.true()


def read_days(text: str) -> int:
    """Read a number of days; ValueError says which it may be."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_DAYS:
        msg = f"must be a whole number of days from 1 to {MAX_DAYS}"
        raise ValueError(msg)
    return int(text)


LISTING = Listing(
    table=_TABLE,
    searched=("id", "name"),
    filters={
        "days": Filter(
            {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "default": DAYS}, _days
        ),
        "kind": equals(_TABLE.c.kind),
        "owner_id": equals(_TABLE.c.owner_id),
        "project_id": equals(_TABLE.c.project_id),
    },
    sorts={"created_at": by(_TABLE.c.created_at), "name": by(_TABLE.c.name)},
)


def unused(
    store: Store,
    usage: UsageReader,
    policy: Policy,
    caller: Caller,
    credential_id: str,
    *clauses: sa.ColumnElement[bool],
    days: int,
    now: float,
) -> Unused:
    """Return what a credential of the actor's tenant did not use; NotFoundError for none.

    `clauses` say which of the tenant's are meant, where not every one is; so in `narrow`.
    """
    with store.reading() as connection:
        row = _find(connection, caller, credential_id, *clauses)
        family = _family(connection, [row])
    return _told([row], family, usage, policy, days=days, now=now)[0]


def listed(
    store: Store, usage: UsageReader, policy: Policy, caller: Caller, query: Query, *, now: float
) -> tuple[list[Unused], str | None]:
    """Return a page of the tenant's credentials that stand, with what they did not use."""
    ended = sa.func.coalesce(_TABLE.c.expires_at <= now, sa.false())
    whose = (_TABLE.c.tenant_id == caller.tenant_id, _HOLDERS, _TABLE.c.revoked_at.is_(None))
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, *whose, sa.not_(ended), now=now)
        family = _family(connection, rows)
    days = read_days(query.filters.get("days", str(DAYS)))
    return _told(rows, family, usage, policy, days=days, now=now), following


def narrow(
    store: Store,
    usage: UsageReader,
    policy: Policy,
    caller: Caller,
    credential_id: str,
    spec: NarrowSpec,
    *clauses: sa.ColumnElement[bool],
    now: float,
    match: IfMatch = ANY,
) -> tuple[Narrowed, int]:
    """Take scopes and networks from a key or an API token, at once; never gives any.

    Returns what is left and the journal number that verifiers must reach. NotFoundError,
    StaleError; InvalidError when it would widen, leave nothing, or rest on too short a count.
    """
    if (spec.scopes is None) is (spec.unused_days is None) and (
        spec.scopes is not None or spec.allowed_ip_ranges is None
    ):
        raise InvalidError([("scopes", "give the scopes to keep, or unused_days")])
    with store.change(caller.actor) as change:
        row = _find(change.connection, caller, credential_id, *clauses, match=match)
        if not row["kind"].endswith(_NARROWED):
            told = "only service keys, imported ones and API tokens can be narrowed"
            raise InvalidError([("key", told)])
        if row["revoked_at"] is not None:
            raise InvalidError([("key", "is revoked; there is nothing left to take")])
        held = _held(row, policy)
        kept = _kept(change.connection, row, usage, policy, spec, now)
        after = {"scopes": kept, "networks": _networks(row, spec)}
        if not kept and row["scopes"] and not spec.to_nothing:
            told = "nothing would be left; revoke it, or set to_nothing"
            raise InvalidError([("scopes", told)])
        n, action, tenant_id = 0, "key.narrow", caller.tenant_id
        if not spec.dry_run:
            n = alter(change, action, Noun.CREDENTIAL, _TABLE, row, after, tenant_id=tenant_id)
    narrowed = Narrowed(
        id=credential_id,
        scopes=kept,
        removed=sorted(held - set(kept)) if kept != [EVERY] else [],
        allowed_ip_ranges=after["networks"],
        changed=not spec.dry_run,
        version=row["version"],
    )
    return narrowed, n


def _kept(
    connection: sa.Connection,
    row: dict[str, Any],
    usage: UsageReader,
    policy: Policy,
    spec: NarrowSpec,
    now: float,
) -> list[str]:
    held: list[str] = row["scopes"]
    if spec.unused_days is not None:
        family = _family(connection, [row])
        (told,) = _told([row], family, usage, policy, days=spec.unused_days, now=now)
        if not told.proven and not spec.force:
            raise InvalidError([("unused_days", _unproven(told, spec.unused_days))])
        return sorted(set(told.scopes) - set(told.unused))
    if spec.scopes is None:
        return held
    more = sorted(set(spec.scopes) - _held(row, policy))
    if more:
        raise InvalidError([("scopes", f"it does not hold {', '.join(more)}; nothing is added")])
    return sorted(set(spec.scopes))


def _unproven(told: Unused, days: int) -> str:
    if told.young:
        return f"it is younger than {days} days, so what it needs may not be known; force goes on"
    return f"uses are not counted for {days} days yet, so what it needs is not known; force goes on"


def _networks(row: dict[str, Any], spec: NarrowSpec) -> list[str] | None:
    held: list[str] | None = row["networks"]
    if spec.allowed_ip_ranges is None:
        return held
    try:
        asked = Networks.of(spec.allowed_ip_ranges)
    except ValueError as error:
        raise InvalidError([("allowed_ip_ranges", str(error))]) from error
    if held is not None and not asked.within(Networks.of(held)):
        told = f"it may be used from {', '.join(held) or 'nowhere'} only; nothing is added"
        raise InvalidError([("allowed_ip_ranges", told)])
    return asked.listed()


def _find(
    connection: sa.Connection,
    caller: Caller,
    credential_id: str,
    *clauses: sa.ColumnElement[bool],
    match: IfMatch = ANY,
) -> dict[str, Any]:
    whose = (_TABLE.c.tenant_id == caller.tenant_id, _HOLDERS, *clauses)
    return find(connection, _TABLE, credential_id, *whose, noun="key", match=match)


def _held(row: dict[str, Any], policy: Policy) -> set[str]:
    """Return the scopes that a credential holds by name, those of its services for every one."""
    if row["scopes"] != [EVERY]:
        return set(row["scopes"])
    services: Collection[str] = row["services"]
    names = policy.services if EVERY in services else services
    return {scope for name in names for scope in policy.scopes_of(name)}


def _family(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the rows' credentials, and all below them, with those of the rows that each needs.

    What stands below another may do what that one may and no more, so it uses its scopes.
    """
    family = {row["id"]: {row["id"]} for row in rows}
    level, column = list(family), _TABLE.c
    for _ in range(MAX_PARENTS):
        below = sa.select(column.id, column.parent_id).where(column.parent_id.in_(level))
        found = connection.execute(below).all()
        for child in found:
            family.setdefault(child.id, {child.id}).update(family[child.parent_id])
        level = [child.id for child in found]
        if not level:
            break
    return family


def _told(
    rows: list[dict[str, Any]],
    family: Mapping[str, set[str]],
    usage: UsageReader,
    policy: Policy,
    *,
    days: int,
    now: float,
) -> list[Unused]:
    since = now - days * _DAY
    began = counting_since(usage, until=now)
    # The day on which counting began was not counted whole.
    counted = began is not None and began < Period.DAY.start(since)
    used: dict[str, set[str]] = {one: set() for one in family}
    only = {Column.CREDENTIAL: list(family), Column.REASON: [str(Reason.ALLOWED)]}
    columns = (Column.CREDENTIAL, Column.SCOPE)
    for total in usage.totals(columns, period=Period.DAY, since=since, until=now + 1, only=only):
        for one in family[total.by[Column.CREDENTIAL]]:
            used[one].add(total.by[Column.SCOPE])
    told = []
    for row in rows:
        held = _held(row, policy)
        young = row["created_at"] > since
        told.append(
            Unused(
                **{name: row[name] for name in _SHOWN},
                scopes=sorted(held),
                every=row["scopes"] == [EVERY],
                unused=sorted(held - used[row["id"]]),
                since=since,
                young=young,
                counted_since=began,
                proven=counted and not young,
            )
        )
    return told


_SHOWN = ("id", "kind", "name", "owner_id", "project_id", "created_at")


def counting_since(usage: UsageReader, *, until: float) -> float | None:
    """Return the first day of which counts are kept (Unix seconds), None when there is none."""
    first = usage.first_day()
    return float(first) if first is not None and first <= until else None
