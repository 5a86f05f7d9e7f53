"""Looks at what was counted, and raises the alerts that it reaches.

Rule of this file: one question a kind, whatever the number of alerts, over the periods that are
under way; what was raised before is not raised again (manage/alert_raise.py). A credential counts
for the tenant, project and owner that it was used for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from latchgate.core.price import amount_text
from latchgate.core.reason import Reason
from latchgate.core.timestamp import rfc3339
from latchgate.jobs.job import ACTOR, Job, Work
from latchgate.manage.alert_raise import Finding, raise_new
from latchgate.manage.alerts import Per, StoredAlert, Watch, active
from latchgate.store import schema
from latchgate.store.usage import Column, Period, Total

SECONDS = 10.0
BILLING_SECONDS = 60.0
FORGET_SECONDS = 3_600.0
KEEP_SECONDS = 400 * 86_400.0  # longer than any period that is told once
FORGOTTEN = 5_000  # rows in one transaction
MINUTES_BACK = 120.0  # so that the end of a minute is seen, though it was written after it
_REFUSED = [str(one) for one in Reason if one is not Reason.ALLOWED]
_WHO = (Column.TENANT, Column.PROJECT, Column.CREDENTIAL)
_SUBJECT = {
    Per.CREDENTIAL: Column.CREDENTIAL,
    Per.PROJECT: Column.PROJECT,
    Per.TENANT: Column.TENANT,
}


def run(work: Work) -> None:
    """Evaluate what changes by the minute and by the day."""
    now = work.clock()
    found = [*_refusals(work, now), *_requests(work, now)]
    raise_new(work.store, ACTOR, found, entropy=work.entropy)


def bill(work: Work) -> None:
    """Evaluate what a month has cost so far."""
    found = _billing(work, work.clock())
    raise_new(work.store, ACTOR, found, entropy=work.entropy)


def _refusals(work: Work, now: float) -> Iterator[Finding]:
    alerts = active(work.store, Watch.REFUSALS_PER_MINUTE)
    everybody = [one for one in alerts if one.per is Per.EVERYBODY]
    own = [one for one in alerts if one.per is not Per.EVERYBODY]
    if everybody:
        for total in _refused(work, now, (Column.AT,), {}):
            for alert in everybody:
                if total.count >= alert.limit:
                    yield Finding(alert, "", _hour(total.by[Column.AT]), total.count)
    if own:
        minutes: dict[int, list[Total]] = defaultdict(list)
        for total in _refused(work, now, (*_WHO, Column.AT), {Column.TENANT: _tenants(own)}):
            minutes[total.by[Column.AT]].append(total)
        for minute, those in minutes.items():
            for alert in own:
                # Told once an hour: a flood that lasts is one flood.
                yield from _reached(alert, _sums(alert, those), _hour(minute))


def _refused(
    work: Work, now: float, by: tuple[Column, ...], only: dict[Column, list[str]]
) -> list[Total]:
    return work.usage.totals(
        by,
        period=Period.MINUTE,
        since=now - MINUTES_BACK,
        until=now + 1,
        only=only | {Column.REASON: _REFUSED},
    )


def _requests(work: Work, now: float) -> Iterator[Finding]:
    alerts = active(work.store, Watch.REQUESTS_PER_DAY)
    if not alerts:
        return
    totals = work.usage.totals(
        _WHO, period=Period.DAY, since=now, until=now + 1, only={Column.TENANT: _tenants(alerts)}
    )
    day = rfc3339(Period.DAY.start(now))[:10]
    for alert in alerts:
        yield from _reached(alert, _sums(alert, totals), day)


def _billing(work: Work, now: float) -> Iterator[Finding]:
    alerts = active(work.store, Watch.BILLING)
    if not alerts:
        return
    begun = datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0)
    totals = work.usage.totals(
        (*_WHO, Column.PRICE, Column.CURRENCY),
        period=Period.DAY,
        since=begun.replace(microsecond=0).timestamp(),
        until=now + 1,
        only={Column.TENANT: _tenants(alerts)},
    )
    for alert in alerts:
        own = [one for one in totals if one.by[Column.CURRENCY] == alert.currency]
        for subject, amount in _sums(alert, own, priced=True).items():
            if amount >= alert.limit:
                yield Finding(alert, subject, begun.strftime("%Y-%m"), amount_text(amount))


def _reached(alert: StoredAlert, sums: dict[str, int], period: str) -> Iterator[Finding]:
    for subject, count in sums.items():
        if count >= alert.limit:
            yield Finding(alert, subject, period, count)


def _sums(alert: StoredAlert, totals: Iterable[Total], *, priced: bool = False) -> dict[str, int]:
    """Add up what an alert watches, by its subject."""
    sums: dict[str, int] = defaultdict(int)
    column = _SUBJECT[alert.per]
    for total in totals:
        told = total.by
        if told[Column.TENANT] != alert.tenant_id:
            continue
        if alert.project_id not in {None, told[Column.PROJECT]}:
            continue
        if alert.credential_id not in {None, told[Column.CREDENTIAL]}:
            continue
        if told[column]:
            sums[told[column]] += total.count * (told[Column.PRICE] if priced else 1)
    return sums


def _tenants(alerts: Sequence[StoredAlert]) -> list[str]:
    return sorted({one.tenant_id for one in alerts})


def _hour(at: float) -> str:
    return rfc3339(Period.HOUR.start(at))


def forget(work: Work) -> None:
    """Drop what was raised long ago, so that the history of an alert has an end."""
    table = schema.alert_raised
    old = sa.select(table.c.id).where(table.c.at < work.clock() - KEEP_SECONDS).limit(FORGOTTEN)
    with work.store.reading() as connection:
        if connection.execute(old.limit(1)).first() is None:
            return
    gone = FORGOTTEN
    while gone == FORGOTTEN:
        with work.store.change(ACTOR) as change:
            gone = change.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount


JOB = Job("alerts", SECONDS, run)
HISTORY = Job("alert history", FORGET_SECONDS, forget)
BILLING = Job("billing alerts", BILLING_SECONDS, bill)
