"""Tells owners that a credential ends, is old or unused, and disables what was unused too long.

Rule of this file: what somebody was warned of is written with the warning, so a crash neither
loses nor doubles one, and a late run sends the nearest only. Nothing is disabled that its owner
was not told of a week before, nor while use can't be read: a lost usage database disables nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.model import Noun
from latchgate.core.timestamp import rfc3339
from latchgate.jobs.job import ACTOR, Work
from latchgate.manage.lifetimes import DAY, NOTICE, Lifetime, Lifetimes, alive, kinds
from latchgate.manage.notifications import about, notify
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.journal import Change

PAGE = 500
PAGES = 20  # in one run; the next goes on where this one ended
END_SECONDS = 300.0  # between passes over what ends soon
AGE_SECONDS = 3_600.0  # between passes over everything
ONCE = 0  # the threshold of what is told once ever
_TABLE, _WARNED = schema.credential, schema.warned
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Something to tell of a credential; `threshold` tells it from what was told before."""

    event: Event
    threshold: int
    more: dict[str, Any]


class Warnings:
    """Two passes over the credentials, each from page to page, begun anew when its time has come.

    What it remembers is only where it is: forgotten, it looks again and warns of nothing twice.
    """

    def __init__(self) -> None:
        self._ends = _Pass(END_SECONDS)
        self._ages = _Pass(AGE_SECONDS)

    def run(self, work: Work) -> None:
        """Look at the next pages of each pass that is under way."""
        now = work.clock()
        passes = ((self._ends, expiring), (self._ages, aging))
        due = [(one, look) for one, look in passes if one.begin(now)]
        if not due:
            return
        with work.store.reading() as connection:
            held = Lifetimes.read(connection)
        for one, look in due:
            for _ in range(PAGES):
                one.after = look(work, held, one.after)
                if one.after is None:
                    break


class _Pass:
    """Where a pass is: `after` is the mark of the page before, None between passes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: float | None = None
        self.after: tuple[float, str] | None = None

    def begin(self, now: float) -> bool:
        """Whether there is something to do: a pass under way, or one whose time has come."""
        if self.after is None and self._begun is not None and now - self._begun < self._seconds:
            return False
        if self.after is None:
            self._begun = now
        return True


def expiring(
    work: Work, held: Lifetimes, after: tuple[float, str] | None
) -> tuple[float, str] | None:
    """Warn of a page of credentials that end soon; returns the mark of the next page."""
    now = work.clock()
    column = _TABLE.c
    key = sa.tuple_(column.expires_at, column.id)
    mark = after if after is not None else (now, "")
    wanted = (
        sa.select(_TABLE)
        .where(
            alive(now),
            column.expires_at <= now + held.longest_warning() * DAY,
            key > sa.tuple_(*map(sa.literal, mark)),
        )
        .order_by(column.expires_at, column.id)
        .limit(PAGE)
    )
    with work.store.reading() as connection:
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
    told = kinds(work.policy())
    due = []
    for row in rows:
        found = ending(row, held.of(row["tenant_id"], row["kind"]), now)
        if found is not None and row["kind"] in told:
            due.append((row, found))
    _tell(work, due)
    return (rows[-1]["expires_at"], rows[-1]["id"]) if len(rows) == PAGE else None


def ending(row: dict[str, Any], told: Lifetime, now: float) -> Told | None:
    """Return the nearest warning of an end that is due, or None.

    A warning whose time was before the credential was made, or before its end was set by a
    rotation, is none: who asks for a day's token knows that it ends tomorrow.
    """
    end: float = row["expires_at"]
    since = row["superseded_at"] if row["superseded_at"] is not None else row["created_at"]
    passed = [days for days in told.warning_days if since <= end - days * DAY <= now]
    if not passed:
        return None
    nearest = min(passed)
    more = {"expires_at": rfc3339(end), "warning_days": nearest}
    if row["superseded_by"] is not None:
        more["superseded_by"] = row["superseded_by"]
    return Told(Event.CREDENTIAL_EXPIRING, int(end - nearest * DAY), more)


def aging(work: Work, held: Lifetimes, after: tuple[float, str] | None) -> tuple[float, str] | None:
    """Warn of a page of credentials that are old or unused, and disable some of these."""
    now = work.clock()
    column = _TABLE.c
    wanted = (
        sa.select(_TABLE)
        .where(
            column.id > (after[1] if after is not None else ""),
            alive(now),
            column.superseded_by.is_(None),
            column.kind.in_(kinds(work.policy())),
        )
        .order_by(column.id)
        .limit(PAGE)
    )
    with work.store.reading() as connection:
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
    due, idle = [], []
    for row in rows:
        told = held.of(row["tenant_id"], row["kind"])
        age = now - row["created_at"]
        if told.rotation_age is not None and age >= told.rotation_age:
            more = {"age_days": int(age // DAY)}
            due.append((row, Told(Event.CREDENTIAL_ROTATION_DUE, ONCE, more)))
        if told.unused_after is not None and age >= told.unused_after - NOTICE:
            idle.append((row, told.unused_after))
    _tell(work, due)
    _look_at_use(work, idle)
    return (0.0, rows[-1]["id"]) if len(rows) == PAGE else None


def _look_at_use(work: Work, idle: Sequence[tuple[dict[str, Any], float]]) -> None:
    """Warn of, or disable, those of old credentials that were not used either."""
    if not idle:
        return
    try:
        uses = work.usage.last_uses(row["id"] for row, _ in idle)
    except StoreError:
        _log.warning("use can't be read, so nothing is told of or disabled for not being used")
        return
    now = work.clock()
    ids = [row["id"] for row, _ in idle]
    mine = (_WARNED.c.credential_id.in_(ids), _WARNED.c.event == str(Event.CREDENTIAL_UNUSED))
    with work.store.reading() as connection:
        given = {
            (one.credential_id, one.threshold): one.at
            for one in connection.execute(sa.select(_WARNED).where(*mine))
        }
    for row, unused_after in idle:
        use = uses.get(row["id"])
        last = max(row["created_at"], use.at if use is not None else 0.0)
        said = given.get((row["id"], int(last)))
        early = said is not None and (now - last < unused_after or now - said < NOTICE)
        if now - last >= unused_after - NOTICE and not early:
            with work.store.change(ACTOR) as change:
                _unused(work, change, row, last, unused_after)


def _unused(
    work: Work, change: Change, row: dict[str, Any], last: float, unused_after: float
) -> None:
    """Warn that a credential will be disabled, or disable it a week after that was said."""
    last = max(last, _enabled_at(change, row["id"]))
    if change.at - last < unused_after - NOTICE:
        return
    ends = max(last + unused_after, change.at + NOTICE)
    more = {"last_used_at": rfc3339(last), "disabled_from": rfc3339(ends)}
    told = _told_at(change, row["id"], Event.CREDENTIAL_UNUSED, int(last))
    if told is None:
        _write(work, change, row, Told(Event.CREDENTIAL_UNUSED, int(last), more))
        return
    if change.at - last < unused_after or change.at - told < NOTICE:
        return
    still = sa.select(_TABLE.c.id).where(_TABLE.c.id == row["id"], alive(change.at))
    if change.execute(still).one_or_none() is None:
        return
    before, after = {"id": row["id"], "disabled_at": None}, {"disabled_at": change.at}
    tenant_id = row["tenant_id"]
    change.alter("credential.disable", Noun.CREDENTIAL, _TABLE, before, after, tenant_id=tenant_id)
    more = {"last_used_at": rfc3339(last)}
    _write(work, change, row, Told(Event.CREDENTIAL_DISABLED, int(last), more))


def _enabled_at(change: Change, credential_id: str) -> float:
    """Return when somebody last enabled a credential again, 0 when nobody did."""
    table = schema.journal
    enabled = sa.select(sa.func.max(table.c.at)).where(
        table.c.record == credential_id, table.c.action.like("%.enable")
    )
    at: float | None = change.execute(enabled).scalar_one()
    return at if at is not None else 0.0


def _tell(work: Work, due: Iterable[tuple[dict[str, Any], Told]]) -> None:
    """Write down every warning that was not given before, each with what is remembered of it."""
    listed = list(due)
    if not listed:
        return
    ids = [row["id"] for row, _ in listed]
    known = sa.select(_WARNED).where(_WARNED.c.credential_id.in_(ids))
    with work.store.reading() as connection:
        given = {(one.credential_id, one.event, one.threshold) for one in connection.execute(known)}
    fresh = [
        (row, one) for row, one in listed if (row["id"], str(one.event), one.threshold) not in given
    ]
    if not fresh:
        return
    with work.store.change(ACTOR) as change:
        for row, one in fresh:
            _write(work, change, row, one)


def _told_at(change: Change, credential_id: str, event: Event, threshold: int) -> float | None:
    found = change.execute(
        sa.select(_WARNED.c.at).where(
            _WARNED.c.credential_id == credential_id,
            _WARNED.c.event == str(event),
            _WARNED.c.threshold == threshold,
        )
    )
    at: float | None = found.scalar_one_or_none()
    return at


def _write(work: Work, change: Change, row: dict[str, Any], one: Told) -> None:
    kept = {
        "credential_id": row["id"],
        "event": str(one.event),
        "threshold": one.threshold,
        "at": change.at,
    }
    change.execute(sa.insert(_WARNED).values(kept))
    notify(
        change,
        one.event,
        row["id"],
        tenant_id=row["tenant_id"],
        user_id=row["owner_id"],
        data=about(row) | one.more,
        entropy=work.entropy,
    )
