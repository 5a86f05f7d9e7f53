"""Alerts: what a tenant wants to be told of, and what was told.

Rule of this file: an alert watches its own tenant only, or one project or credential of it. What
all tenants' requests come to is for whoever may see everybody's refusals (ATTACKS D5.48).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.model import Noun
from latchgate.core.price import amount_text, parse_millionths
from latchgate.manage.actor import Caller
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Line, Name
from latchgate.manage.listing import Filter, Listing, Query, by, equals, page, truth
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.store import schema
from latchgate.store.journal import Store

TABLE = schema.alert
RAISED = schema.alert_raised
EVERYBODY = "operator:decisions.read"  # whose holders see the refusals of all tenants
MAX_ALERTS = 100  # of a tenant: each costs work every few seconds


class Watch(StrEnum):
    """What an alert watches."""

    REQUESTS_PER_DAY = "requests_per_day"
    REFUSALS_PER_MINUTE = "refusals_per_minute"
    NEW_NETWORK = "new_network"
    ENVIRONMENTS = "environments"
    APPLICATIONS = "applications"
    BILLING = "billing"


class Per(StrEnum):
    """Whose requests are added up; `everybody` is the operator's."""

    CREDENTIAL = "credential"
    PROJECT = "project"
    TENANT = "tenant"
    EVERYBODY = "everybody"


COUNTED = frozenset({Watch.REQUESTS_PER_DAY, Watch.REFUSALS_PER_MINUTE})
_SUMMED = COUNTED | {Watch.BILLING}
Threshold = Annotated[int, msgspec.Meta(ge=1, le=10**15)]
Amount = Annotated[str, msgspec.Meta(max_length=32)]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}(?![\s\S])")]


class AlertSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new alert shall watch.

    `threshold` is the number of requests a day, or refusals a minute, at which it is raised;
    `amount` a decimal and `currency` that of a month for `billing`. `per` says whose requests are
    added up. `project_id` or `credential_id` watch one of the tenant's alone.
    """

    name: Line
    kind: Watch
    threshold: Threshold | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    per: Per = Per.CREDENTIAL
    project_id: Name | None = None
    credential_id: Name | None = None


class AlertPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about an alert; absent stays."""

    name: Line | msgspec.UnsetType = msgspec.UNSET
    threshold: Threshold | msgspec.UnsetType = msgspec.UNSET
    amount: Amount | msgspec.UnsetType = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET


class StoredAlert(msgspec.Struct, frozen=True):
    """An alert as stored; `limit` is its threshold, or millionths of its currency."""

    id: str
    tenant_id: str
    name: str
    kind: Watch
    limit: int
    currency: str | None
    per: Per
    project_id: str | None
    credential_id: str | None
    active: bool
    created_at: float
    created_by: str
    last_raised_at: float | None
    version: int

    @property
    def threshold(self) -> int | None:
        """The count at which it is raised, None where nothing is counted."""
        return self.limit if self.kind in COUNTED else None

    @property
    def amount(self) -> str | None:
        """The amount at which it is raised, as a decimal; None where nothing is billed."""
        return amount_text(self.limit) if self.kind is Watch.BILLING else None


class StoredRaise(msgspec.Struct, frozen=True):
    """One time that an alert was raised: for whom, in which period, and what was told."""

    id: str
    alert_id: str
    subject: str
    period: str
    at: float
    data: dict[str, Any]


LISTING = Listing(
    table=TABLE,
    searched=("id", "name"),
    filters={
        "kind": equals(TABLE.c.kind, *Watch),
        "active": truth(TABLE.c.active),
        "project_id": equals(TABLE.c.project_id),
        "credential_id": equals(TABLE.c.credential_id),
    },
    sorts={"created_at": by(TABLE.c.created_at), "name": by(TABLE.c.name)},
)
HISTORY = Listing(
    table=RAISED,
    searched=("subject",),
    filters={"subject": Filter({"type": "string"}, lambda text, _: RAISED.c.subject == text)},
    sorts={"at": by(RAISED.c.at)},
    default=("-at",),
)


def create(
    store: Store,
    caller: Caller,
    spec: AlertSpec,
    *,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredAlert, bool]:
    """Make an alert of the actor's tenant; returns it, and whether it is new.

    InvalidError names each field that doesn't fit the kind, ForbiddenError one for everybody.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, caller, before), False
    limit = _limit(spec)
    if spec.per == Per.EVERYBODY and EVERYBODY not in caller.rights:
        msg = f"what everybody's requests come to is for holders of {EVERYBODY}"
        raise ForbiddenError(msg)
    alert_id = new_id("alert", entropy)
    with store.change(caller.actor) as change:
        remember(change, caller, once, alert_id)
        _check_watched(change.connection, caller, spec)
        row = {
            "id": alert_id,
            "tenant_id": caller.tenant_id,
            "name": spec.name,
            "kind": str(spec.kind),
            "limit": limit,
            "currency": spec.currency,
            "per": str(spec.per),
            "project_id": spec.project_id,
            "credential_id": spec.credential_id,
            "active": True,
            "created_at": change.at,
            "created_by": caller.actor.name,
            "last_raised_at": None,
        }
        n = change.add("alert.create", Noun.ALERT, TABLE, row, tenant_id=caller.tenant_id)
    return _stored(row | {"version": n}), True


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredAlert], str | None]:
    """Return a page of the tenant's alerts, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, *_own(caller), now=now)
    return [_stored(row) for row in rows], following


def lately(store: Store, caller: Caller, *, since: float, limit: int) -> list[StoredAlert]:
    """Return the tenant's alerts that were raised since a time, the last one first."""
    raised = sa.func.coalesce(TABLE.c.last_raised_at >= since, sa.false())
    wanted = sa.select(TABLE).where(*_own(caller), TABLE.c.active, raised)
    wanted = wanted.order_by(TABLE.c.last_raised_at.desc(), TABLE.c.id).limit(limit)
    with store.reading() as connection:
        return [_stored(dict(row)) for row in connection.execute(wanted).mappings()]


def shown(store: Store, caller: Caller, alert_id: str) -> StoredAlert:
    """Return one alert of the actor's tenant; NotFoundError when there is none."""
    with store.reading() as connection:
        return _stored(find(connection, TABLE, alert_id, *_own(caller), noun="alert"))


def change_alert(
    store: Store, caller: Caller, alert_id: str, patch: AlertPatch, *, match: IfMatch = ANY
) -> StoredAlert:
    """Change an alert's name, threshold or amount, or switch it off or on.

    NotFoundError, StaleError; InvalidError for a threshold where there is none.
    """
    told = asked(patch)
    with store.change(caller.actor) as change:
        row = find(change.connection, TABLE, alert_id, *_own(caller), noun="alert", match=match)
        kind = Watch(row["kind"])
        if "threshold" in told:
            if kind not in COUNTED:
                raise InvalidError([("threshold", f"{kind} counts nothing; leave it out")])
            told["limit"] = told.pop("threshold")
        if "amount" in told:
            if kind is not Watch.BILLING:
                raise InvalidError([("amount", f"{kind} has no amount; leave it out")])
            told["limit"] = _millionths(told.pop("amount"))
        alter(change, "alert.change", Noun.ALERT, TABLE, row, told, tenant_id=caller.tenant_id)
    return _stored(row)


def delete(store: Store, caller: Caller, alert_id: str, *, match: IfMatch = ANY) -> StoredAlert:
    """Delete an alert and the list of when it was raised; NotFoundError, StaleError."""
    with store.change(caller.actor) as change:
        row = find(change.connection, TABLE, alert_id, *_own(caller), noun="alert", match=match)
        change.execute(sa.delete(RAISED).where(RAISED.c.alert_id == alert_id))
        change.execute(sa.delete(TABLE).where(TABLE.c.id == alert_id))
        told = {"before": {name: row[name] for name in ("name", "kind", "limit", "per")}}
        change.note("alert.delete", Noun.ALERT, alert_id, tenant_id=caller.tenant_id, detail=told)
    return _stored(row)


def history(
    store: Store, caller: Caller, alert_id: str, query: Query, *, now: float
) -> tuple[list[StoredRaise], str | None]:
    """Return a page of when an alert was raised, newest first; NotFoundError for no such alert."""
    with store.reading() as connection:
        find(connection, TABLE, alert_id, *_own(caller), noun="alert")
        of_it = RAISED.c.alert_id == alert_id
        rows, following = page(connection, HISTORY, query, of_it, now=now)
    fields = StoredRaise.__struct_fields__
    return [StoredRaise(**{name: row[name] for name in fields}) for row in rows], following


def active(store: Store, *kinds: Watch) -> list[StoredAlert]:
    """Return the alerts of some kinds that are switched on, of every tenant that is active."""
    tenant = schema.tenant
    wanted = (
        sa.select(TABLE)
        .join(tenant, tenant.c.id == TABLE.c.tenant_id)
        .where(TABLE.c.active, tenant.c.active, TABLE.c.kind.in_([str(kind) for kind in kinds]))
        .order_by(TABLE.c.id)
    )
    with store.reading() as connection:
        return [_stored(dict(row)) for row in connection.execute(wanted).mappings()]


def _own(caller: Caller) -> tuple[sa.ColumnElement[bool], ...]:
    mine = TABLE.c.tenant_id == caller.tenant_id
    if EVERYBODY in caller.rights:
        return (mine,)
    return (mine, TABLE.c.per != str(Per.EVERYBODY))


def _limit(spec: AlertSpec) -> int:
    """Return the stored limit of what was asked, or say everything that does not fit the kind."""
    faults: list[tuple[str, str]] = []
    kind, counted, billed = spec.kind, spec.kind in COUNTED, spec.kind == Watch.BILLING
    if counted is (spec.threshold is None):
        needed = "name the number at which it is raised"
        faults.append(("threshold", needed if counted else f"{kind} counts nothing; leave it out"))
    for field in ("amount", "currency"):
        if billed is (getattr(spec, field) is None):
            needed = "billing needs it, such as 100.00 and EUR"
            faults.append((field, needed if billed else f"{kind} takes none; leave it out"))
    faults += _misplaced(spec)
    limit = spec.threshold or 0
    if billed and spec.amount is not None:
        try:
            limit = _millionths(spec.amount)
        except InvalidError as error:
            faults += error.faults
    if faults:
        raise InvalidError(faults)
    return limit


def _misplaced(spec: AlertSpec) -> list[tuple[str, str]]:
    """Return what does not fit of whose requests shall be watched."""
    faults: list[tuple[str, str]] = []
    kind = spec.kind
    if spec.per != Per.CREDENTIAL and kind not in _SUMMED:
        faults.append(("per", f"{kind} is watched per credential"))
    if spec.per == Per.EVERYBODY and kind != Watch.REFUSALS_PER_MINUTE:
        faults.append(("per", "everybody's requests are watched for refusals_per_minute alone"))
    if spec.project_id is not None and spec.credential_id is not None:
        faults.append(("project_id", "give project_id or credential_id, or neither"))
    if spec.credential_id is not None and spec.per != Per.CREDENTIAL:
        faults.append(("per", "one credential is watched per credential"))
    if spec.project_id is not None and spec.per in {Per.TENANT, Per.EVERYBODY}:
        faults.append(("per", "one project is watched per credential or per project"))
    return faults


def _millionths(text: str) -> int:
    try:
        amount = parse_millionths(text)
    except ValueError as error:
        raise InvalidError([("amount", str(error).replace("a price", "an amount"))]) from error
    if not amount:
        raise InvalidError([("amount", "must be more than nothing")])
    return amount


def _check_watched(connection: sa.Connection, caller: Caller, spec: AlertSpec) -> None:
    mine = TABLE.c.tenant_id == caller.tenant_id
    count = sa.select(sa.func.count()).select_from(TABLE).where(mine)
    if connection.execute(count).scalar_one() >= MAX_ALERTS:
        raise InvalidError([("kind", f"the tenant has {MAX_ALERTS} alerts; delete one first")])
    watched = ((schema.project, "project_id"), (schema.credential, "credential_id"))
    for table, field in watched:
        record = getattr(spec, field)
        if record is None:
            continue
        one = sa.select(table.c.id).where(
            table.c.id == record, table.c.tenant_id == caller.tenant_id
        )
        if connection.execute(one).first() is None:
            raise InvalidError([(field, f"there is no {field.removesuffix('_id')} {record!r}")])


def _stored(row: dict[str, Any]) -> StoredAlert:
    told = {name: row[name] for name in StoredAlert.__struct_fields__}
    told |= {"kind": Watch(row["kind"]), "per": Per(row["per"]), "active": bool(row["active"])}
    return StoredAlert(**told)
