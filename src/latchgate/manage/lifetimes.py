"""How long a tenant's credentials may live: shown, set, taken away; what bounds a new one.

Rule of this file: a kind's own policy counts as a whole, else the tenant's for every other kind,
else the defaults. What is made under a policy is bounded by it; what was made before stays as it
is, and is listed as overdue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.duration import duration_text, parse_duration
from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.kinds.app_password import AppPassword
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.model import Noun
from latchgate.core.policy import Policy
from latchgate.core.timestamp import rfc3339
from latchgate.manage.actor import Caller
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.listing import Listing, Query, by, equals, page
from latchgate.manage.records import ANY, IfMatch, alter
from latchgate.store import schema
from latchgate.store.journal import Store, stored
from latchgate.store.usage import LastUse

HOUR, DAY = 3_600.0, 86_400.0
EVERY_KIND = "*"
WARNING_DAYS = (30, 7, 1)
ROTATION_AGE = 90 * DAY  # of service keys: providers/wayscloud, "Rotate keys regularly"
NOTICE = 7 * DAY  # how long before an unused one is disabled its owner is told
SHORTEST_LIFE = HOUR
SHORTEST_UNUSED = NOTICE + DAY
LONGEST = 3_650 * DAY
# What has a life of its own; tokens end with what they were exchanged for, people's passwords
# don't expire (NIST SP 800-63B-4 §3.1.1.2).
_BOUND = (ServiceKey, ApiToken, AccessKey, AppPassword)
_TABLE = schema.lifetime
_CREDENTIAL = schema.credential
_Duration = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class LifetimeSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall hold for credentials of a kind; durations such as `90d`.

    Absent or null means no bound; of `warning_days` it means 30, 7 and 1, and an empty list none.
    """

    maximum_life: _Duration | None = None
    rotation_age: _Duration | None = None
    warning_days: Annotated[list[int], msgspec.Meta(max_length=10)] | None = None
    unused_after: _Duration | None = None


class StoredLifetime(msgspec.Struct, frozen=True):
    """What holds for credentials of a kind, as it was set."""

    kind: str
    maximum_life: str | None
    rotation_age: str | None
    warning_days: list[int] | None
    unused_after: str | None
    version: int


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What holds for one credential; seconds, and days of warning, most first."""

    maximum_life: float | None
    rotation_age: float | None
    warning_days: tuple[int, ...]
    unused_after: float | None


class Overdue(msgspec.Struct, frozen=True):
    """A credential that doesn't keep to the policy of today; times are Unix seconds.

    `faults` are of `maximum_life`, `rotation_age` and `unused_after`.
    """

    id: str
    kind: str
    name: str
    owner_id: str
    project_id: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    faults: list[str]


OVERDUE = Listing(
    table=_CREDENTIAL,
    searched=("id", "name"),
    filters={
        "kind": equals(_CREDENTIAL.c.kind),
        "owner_id": equals(_CREDENTIAL.c.owner_id),
        "project_id": equals(_CREDENTIAL.c.project_id),
    },
    sorts={"created_at": by(_CREDENTIAL.c.created_at), "name": by(_CREDENTIAL.c.name)},
)


class Lifetimes:
    """Every tenant's policies at one time, for whoever looks at many credentials."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._held = {row["id"]: _lifetime(stored(row)) for row in rows}

    @classmethod
    def read(cls, connection: sa.Connection, *whose: sa.ColumnElement[bool]) -> Lifetimes:
        """Read those that meet every clause."""
        return cls(
            dict(row) for row in connection.execute(sa.select(_TABLE).where(*whose)).mappings()
        )

    def of(self, tenant_id: str, kind: str) -> Lifetime:
        """Return what holds for credentials of a kind in a tenant."""
        found = self._held.get(f"{tenant_id}:{kind}") or self._held.get(f"{tenant_id}:*")
        return found or (_SERVICE_KEY if kind.endswith(".service_key") else _OTHER)

    def longest_warning(self) -> int:
        """Return the most days before an end that anybody is warned."""
        days = [day for one in self._held.values() for day in one.warning_days]
        return max([*WARNING_DAYS, *days])


_SERVICE_KEY = Lifetime(None, ROTATION_AGE, WARNING_DAYS, None)
_OTHER = Lifetime(None, None, WARNING_DAYS, None)


def bounded(
    connection: sa.Connection,
    tenant_id: str,
    kind: str,
    *,
    created_at: float,
    expires_at: float | None,
    field: str = "expires_at",
) -> float | None:
    """Return when a new credential ends: as asked, or after the tenant's maximum where nothing was.

    InvalidError names `field` when it was asked to live longer than the maximum.
    """
    maximum = _maximum(connection, tenant_id, kind)
    if maximum is None:
        return expires_at
    if expires_at is None:
        return created_at + maximum
    if expires_at > created_at + maximum:
        most = duration_text(maximum)
        told = f"until {rfc3339(expires_at)} is longer than a {kind} may live here: at most {most}"
        raise InvalidError([(field, f"{told}; ask for {most} or less, or leave it out")])
    return expires_at


def longest(store: Store, caller: Caller, kind: str) -> float | None:
    """Return how long a new credential of a kind may live in the actor's tenant, in seconds."""
    with store.reading() as connection:
        return _maximum(connection, caller.tenant_id, kind)


def _maximum(connection: sa.Connection, tenant_id: str, kind: str) -> float | None:
    ids = [f"{tenant_id}:{one}" for one in (kind, EVERY_KIND)]
    return Lifetimes.read(connection, _TABLE.c.id.in_(ids)).of(tenant_id, kind).maximum_life


def show(store: Store, caller: Caller) -> list[StoredLifetime]:
    """Return the policies that the actor's tenant has set, by kind."""
    mine = sa.select(_TABLE).where(_TABLE.c.tenant_id == caller.tenant_id).order_by(_TABLE.c.kind)
    with store.reading() as connection:
        return [_stored(stored(row)) for row in connection.execute(mine).mappings()]


def set_lifetime(
    store: Store,
    policy: Policy,
    caller: Caller,
    kind: str,
    spec: LifetimeSpec,
    *,
    match: IfMatch = ANY,
) -> StoredLifetime:
    """Say what holds for a kind in the actor's tenant from now on, in the place of what held.

    InvalidError names each field, StaleError another version than `match` says.
    """
    row = {"id": f"{caller.tenant_id}:{kind}", "tenant_id": caller.tenant_id, "kind": kind}
    wanted = _settled(policy, kind, spec)
    action, noun = "lifetime.set", Noun.LIFETIME
    with store.change(caller.actor) as change:
        before = _row(change.connection, row["id"])
        match.check(before["version"] if before is not None else 0)
        if before is None:
            n = change.add(action, noun, _TABLE, row | wanted, tenant_id=caller.tenant_id)
            return _stored(row | wanted | {"version": n})
        alter(change, action, noun, _TABLE, before, wanted, tenant_id=caller.tenant_id)
    return _stored(before)


def remove(store: Store, caller: Caller, kind: str, *, match: IfMatch = ANY) -> StoredLifetime:
    """Take a kind's policy away, and return what it was; NotFoundError, StaleError."""
    with store.change(caller.actor) as change:
        record = f"{caller.tenant_id}:{kind}"
        before = _row(change.connection, record)
        if before is None:
            raise NotFoundError(f"no lifetime is set for {kind[:64]!r}")
        match.check(before["version"])
        told = {name: before[name] for name in _FIELDS}
        detail = {"before": told, "after": None}
        change.note(
            "lifetime.remove", Noun.LIFETIME, record, tenant_id=caller.tenant_id, detail=detail
        )
        change.execute(sa.delete(_TABLE).where(_TABLE.c.id == record))
    return _stored(before)


def overdue(
    store: Store,
    policy: Policy,
    caller: Caller,
    query: Query,
    *,
    last_uses: Callable[[Iterable[str]], dict[str, LastUse]],
    now: float,
) -> tuple[list[Overdue], str | None]:
    """Return a page of the tenant's credentials that don't keep to its policies, and the next.

    A page may be shorter than asked for, or empty, with more to follow: last use is looked up
    after the page was read. InvalidError names the parameter that can't be taken.
    """
    with store.reading() as connection:
        held = Lifetimes.read(connection, _TABLE.c.tenant_id == caller.tenant_id)
        told = {kind: held.of(caller.tenant_id, kind) for kind in kinds(policy)}
        late = [_late(kind, one, now) for kind, one in told.items()]
        whose = (_CREDENTIAL.c.tenant_id == caller.tenant_id, alive(now), *_aged(told, now))
        rows, following = page(
            connection, OVERDUE, query, *whose, sa.or_(sa.false(), *late), now=now
        )
    uses = last_uses([row["id"] for row in rows])
    found = [_overdue(row, told[row["kind"]], uses.get(row["id"]), now) for row in rows]
    return [one for one in found if one.faults], following


def kinds(policy: Policy) -> list[str]:
    """Return the kinds of a policy that have a life of their own."""
    return sorted(kind.name for kind in policy.kinds.values() if isinstance(kind, _BOUND))


def alive(now: float) -> sa.ColumnElement[bool]:
    """Return the clause for credentials that can be used now."""
    column = _CREDENTIAL.c
    ends = sa.or_(column.expires_at.is_(None), column.expires_at > now)
    return sa.and_(column.revoked_at.is_(None), column.disabled_at.is_(None), ends)


def _aged(told: Mapping[str, Lifetime], now: float) -> list[sa.ColumnElement[bool]]:
    """Return what is true of all that can be overdue by its age alone: a list then begins there.

    Nothing where a kind has a longest life, which a new credential may be beyond as well.
    """
    if any(one.maximum_life is not None for one in told.values()):
        return []
    ages = [age for one in told.values() for age in (one.rotation_age, one.unused_after) if age]
    return [_CREDENTIAL.c.created_at <= now - min(ages)] if ages else [sa.false()]


def _late(kind: str, told: Lifetime, now: float) -> sa.ColumnElement[bool]:
    """Return the clause for credentials of a kind that may be overdue."""
    column = _CREDENTIAL.c
    faults: list[sa.ColumnElement[bool]] = []
    if told.maximum_life is not None:
        end = sa.or_(
            column.expires_at.is_(None), column.expires_at > column.created_at + told.maximum_life
        )
        faults.append(end)
    if told.rotation_age is not None:
        old = column.created_at <= now - told.rotation_age
        faults.append(sa.and_(old, column.superseded_by.is_(None)))
    if told.unused_after is not None:
        faults.append(column.created_at <= now - told.unused_after)
    return sa.and_(column.kind == kind, sa.or_(sa.false(), *faults))


def _overdue(row: dict[str, Any], told: Lifetime, use: LastUse | None, now: float) -> Overdue:
    made, ends = row["created_at"], row["expires_at"]
    last = use.at if use is not None else None
    faults = []
    if told.maximum_life is not None and (ends is None or ends > made + told.maximum_life):
        faults.append("maximum_life")
    rotated = row["superseded_by"] is not None
    if told.rotation_age is not None and not rotated and made <= now - told.rotation_age:
        faults.append("rotation_age")
    if told.unused_after is not None and max(made, last or made) <= now - told.unused_after:
        faults.append("unused_after")
    shown = {"last_used_at": last, "faults": faults}
    fields = row | shown
    return Overdue(**{name: fields[name] for name in Overdue.__struct_fields__})


_FIELDS = ("maximum_life", "rotation_age", "warning_days", "unused_after")
_LEAST = {"maximum_life": SHORTEST_LIFE, "rotation_age": DAY, "unused_after": SHORTEST_UNUSED}


def _settled(policy: Policy, kind: str, spec: LifetimeSpec) -> dict[str, Any]:
    """Turn what was asked into columns; InvalidError says all that is wrong with it."""
    faults: list[tuple[str, str]] = []
    known = [*kinds(policy), EVERY_KIND]
    if kind not in known:
        faults.append(("kind", f"{kind[:64]!r} is none of {', '.join(known)}"))
    columns: dict[str, Any] = {}
    for name, least in _LEAST.items():
        text = getattr(spec, name)
        try:
            seconds = float(parse_duration(text)) if text is not None else None
        except ValueError as error:
            faults.append((name, str(error)))
            continue
        columns[name] = seconds
        if seconds is not None and not least <= seconds <= LONGEST:
            bounds = f"{duration_text(least)} to {duration_text(LONGEST)}"
            faults.append((name, f"{text!r} must be from {bounds}"))
    days = spec.warning_days
    if days is not None and not all(1 <= day <= 365 for day in days):  # noqa: PLR2004 - days of a year
        faults.append(("warning_days", "each must be from 1 to 365 days before the end"))
    columns["warning_days"] = sorted(set(days), reverse=True) if days is not None else None
    if faults:
        raise InvalidError(faults)
    return columns


def _row(connection: sa.Connection, record: str) -> dict[str, Any] | None:
    found = connection.execute(sa.select(_TABLE).where(_TABLE.c.id == record))
    row = found.mappings().one_or_none()
    return stored(row) if row is not None else None


def _lifetime(row: dict[str, Any]) -> Lifetime:
    days = row["warning_days"]
    warned = tuple(days) if days is not None else WARNING_DAYS
    return Lifetime(row["maximum_life"], row["rotation_age"], warned, row["unused_after"])


def _stored(row: dict[str, Any]) -> StoredLifetime:
    told = {name: duration_text(row[name]) if row[name] is not None else None for name in _LEAST}
    return StoredLifetime(
        kind=row["kind"], warning_days=row["warning_days"], version=row["version"], **told
    )
