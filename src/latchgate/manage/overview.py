"""What somebody looks at first: how much is used and refused, what ends, who signed in.

Rule of this file: each question reads a bounded number of rows, by an index, however many
credentials a tenant has; what a caller may not see of the tenant is answered of their own alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.manage import usage
from latchgate.manage.actor import Caller
from latchgate.manage.lifetimes import alive
from latchgate.store import schema
from latchgate.store.batch import EVERYBODY
from latchgate.store.journal import Store
from latchgate.store.usage import Column, Period, UsageReader

DAY = 86_400.0
HOURS, DAYS = 24, 30
SOON = 30 * DAY  # what ends until then ends soon
OWN = 200  # of one's own credentials, the newest: whose use is added up
SIGN_INS = 2_000  # of a tenant, the last ones: among which one's own are looked for
EVERY_KEY = "manage:keys.read"
EVERY_USE = "manage:usage.read"
EVERY_SIGN_IN = "manage:audit.read"
_TABLE = schema.credential
_JOURNAL = schema.journal
# Which of their own credentials somebody sees, by the end of a kind's name.
_OWN_KINDS = (
    ("own:keys.read", ("service_key", "imported_key")),
    ("own:tokens.read", ("api_token",)),
    ("own:access-keys.read", ("access_key",)),
    ("own:basic.read", ("app_password",)),
)
_KINDS = tuple(kind for _, kinds in _OWN_KINDS for kind in kinds)
_decode = msgspec.json.Decoder().decode
# When a period begins (Unix seconds) -> how many decisions it had, by reason.
Counts = dict[int, Counter[str]]


class Ending(msgspec.Struct, frozen=True):
    """A credential that ends at a time (Unix seconds); `successor` takes its place then."""

    id: str
    kind: str
    name: str
    owner_id: str
    ends_at: float
    successor: str | None


class SignIn(msgspec.Struct, frozen=True):
    """One time (Unix seconds) that somebody signed in, how (RFC 8176), and where from."""

    at: float
    user_id: str
    name: str
    address: str | None
    methods: tuple[str, ...]
    provider: str | None


class Requests(msgspec.Struct, frozen=True):
    """The last 24 hours and the last 30 days (UTC), each with every period, oldest first.

    `own` says that they are of the caller's own credentials alone.
    """

    hours: Counts
    days: Counts
    own: bool


def requests(store: Store, reader: UsageReader, caller: Caller, *, now: float) -> Requests:
    """Count the requests that a caller may know of: everybody's, their tenant's or their own."""
    hours = _empty(Period.HOUR, HOURS, now)
    days = _empty(Period.DAY, DAYS, now)
    own = EVERY_USE not in caller.rights
    if own:
        for counts, period in ((hours, Period.HOUR), (days, Period.DAY)):
            for at, reason, count in _own_counts(store, reader, caller, period, counts, now):
                counts[at][reason] += count
        return Requests(hours, days, own)
    whose = EVERYBODY if usage.EVERY_TENANT in caller.rights else caller.tenant_id
    for one in reader.of_tenant(whose, since=min(days), until=now + 1):
        days[Period.DAY.start(one.at)][one.reason] += one.count
        if one.at in hours:
            hours[one.at][one.reason] += one.count
    return Requests(hours, days, own)


def _empty(period: Period, number: int, now: float) -> Counts:
    last, length = period.start(now), int(period.value)
    return {last - back * length: Counter() for back in range(number - 1, -1, -1)}


def _own_counts(
    store: Store, reader: UsageReader, caller: Caller, period: Period, counts: Counts, now: float
) -> Iterable[tuple[int, str, int]]:
    mine = sa.select(_TABLE.c.id).where(_TABLE.c.owner_id == caller.user_id)
    mine = mine.order_by(_TABLE.c.created_at.desc()).limit(OWN)
    with store.reading() as connection:
        ids = list(connection.execute(mine).scalars())
    found = reader.totals(
        (Column.AT, Column.REASON),
        period=period,
        since=min(counts),
        until=now + 1,
        only={Column.CREDENTIAL: ids},
    )
    return [(one.by[Column.AT], one.by[Column.REASON], one.count) for one in found]


def ending(store: Store, caller: Caller, *, now: float, limit: int) -> list[Ending]:
    """Return the credentials that end by themselves within 30 days, the first to end first."""
    soon = _TABLE.c.expires_at <= now + SOON
    return _ending(
        store, caller, limit, alive(now), soon, _TABLE.c.superseded_by.is_(None), now=now
    )


def rotating(store: Store, caller: Caller, *, now: float, limit: int) -> list[Ending]:
    """Return the credentials that were rotated and still work, the first to end first."""
    return _ending(store, caller, limit, alive(now), _TABLE.c.superseded_by.is_not(None), now=now)


def _ending(
    store: Store, caller: Caller, limit: int, *clauses: sa.ColumnElement[bool], now: float
) -> list[Ending]:
    column = _TABLE.c
    wanted = sa.select(
        column.id,
        column.kind,
        column.name,
        column.owner_id,
        column.expires_at,
        column.superseded_by,
    )
    wanted = wanted.where(*seen_by(caller), column.expires_at > now, *clauses)
    with store.reading() as connection:
        rows = connection.execute(wanted.order_by(column.expires_at).limit(limit)).all()
    return [Ending(*row) for row in rows]


def has_credentials(store: Store, caller: Caller) -> bool:
    """Whether there is any credential, besides passwords of people, that a caller may see."""
    wanted = sa.select(_TABLE.c.id).where(*seen_by(caller)).limit(1)
    with store.reading() as connection:
        return connection.execute(wanted).first() is not None


def seen_by(caller: Caller) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what is true of the credentials that a caller may see: the tenant's, or their own."""
    mine = _TABLE.c.tenant_id == caller.tenant_id
    if EVERY_KEY in caller.rights:
        return (mine, _of_kinds(_KINDS))
    kinds = [kind for scope, names in _OWN_KINDS if scope in caller.rights for kind in names]
    return (mine, _TABLE.c.owner_id == caller.user_id, _of_kinds(kinds))


def _of_kinds(kinds: Iterable[str]) -> sa.ColumnElement[bool]:
    # What Latchgate's own pages and programs hold is nobody's to look after.
    named = (_TABLE.c.kind.like(f"%.{kind}") for kind in kinds)
    return sa.or_(sa.false(), *named)


def sign_ins(store: Store, caller: Caller, *, own: bool, limit: int) -> list[SignIn]:
    """Return when people signed in last, the latest first: `own` or everybody's of the tenant.

    Own ones are looked for among the tenant's last 2,000. Whoever may not see the journal is
    given their own.
    """
    begun = (_JOURNAL.c.tenant_id == caller.tenant_id, _JOURNAL.c.action == "session.begin")
    wanted = sa.select(_JOURNAL).where(*begun).order_by(_JOURNAL.c.n.desc())
    if own or EVERY_SIGN_IN not in caller.rights:
        last = wanted.limit(SIGN_INS).subquery()
        whose = f"user:{caller.user_id} "
        found = sa.func.substr(last.c.actor, 1, len(whose)) == whose
        wanted = sa.select(last).where(found).order_by(last.c.n.desc())
    with store.reading() as connection:
        rows = connection.execute(wanted.limit(limit)).mappings().all()
        told = [_read(row) for row in rows]
        account = schema.user.c
        ids = {one["user_id"] for one in told}
        named = connection.execute(sa.select(account.id, account.name).where(account.id.in_(ids)))
        names = {one.id: one.name for one in named}
    return [SignIn(name=names.get(one["user_id"], ""), **one) for one in told]


def _read(row: sa.RowMapping) -> dict[str, Any]:
    """Return what a row of the journal says of a sign-in; nothing of it where it was altered."""
    user_id = row["actor"].removeprefix("user:").partition(" ")[0]
    try:
        after = _decode(row["detail"])["after"]
        methods, provider = tuple(map(str, after["methods"])), after.get("provider")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        methods, provider = (), None
    return {
        "at": row["at"],
        "user_id": user_id,
        "address": row["address"],
        "methods": methods,
        "provider": provider,
    }
