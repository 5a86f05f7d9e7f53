"""Looks at where credentials came from for the first time: networks, environments, programs.

Rule of this file: only credentials with a source that was first seen of late are looked at, and of
those every source that is kept; so what is told rests on all that is known.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from latchgate.core.policy import Policy
from latchgate.jobs.job import ACTOR, Job, Work
from latchgate.manage.alert_raise import Finding, raise_new
from latchgate.manage.alerts import StoredAlert, Watch, active
from latchgate.store import schema
from latchgate.store.usage import Source

SECONDS = 10.0
LATE_SECONDS = 3_600.0  # how far back a first use is looked for: a job that was stopped catches up
FIRST_DAY = 86_400.0
PAGE = 1_000  # credentials looked at together
_V4, _V6 = 24, 48
_KINDS = (Watch.NEW_NETWORK, Watch.ENVIRONMENTS, Watch.APPLICATIONS)


class _Watched(msgspec.Struct, frozen=True):
    id: str
    tenant_id: str
    project_id: str
    environment: str | None


def run(work: Work) -> None:
    """Evaluate what is new of sources."""
    alerts = active(work.store, *_KINDS)
    if not alerts:
        return
    found = list(_found(work, alerts))
    raise_new(work.store, ACTOR, found, entropy=work.entropy)


def _found(work: Work, alerts: list[StoredAlert]) -> Iterator[Finding]:
    since = work.clock() - LATE_SECONDS
    labels = labels_of(work.policy())
    for one in _watched(work, alerts, since):
        sources = work.usage.sources(one.id, since=0.0)
        for alert in alerts:
            if not _watches(alert, one):
                continue
            if alert.kind is Watch.NEW_NETWORK:
                yield from _networks(alert, one, sources, since)
            elif alert.kind is Watch.ENVIRONMENTS:
                yield from _environments(alert, one, sources, labels)
            else:
                yield from _applications(alert, one, sources)


def _watched(work: Work, alerts: list[StoredAlert], since: float) -> Iterator[_Watched]:
    """Yield the newcomers that an alert may watch, every one: a busy hour hides nobody."""
    column = schema.credential.c
    tenants = sorted({one.tenant_id for one in alerts})
    told = sa.select(column.id, column.tenant_id, column.project_id, column.environment)
    after = ""
    while ids := work.usage.newcomers(since=since, limit=PAGE, after=after):
        after = ids[-1]
        wanted = told.where(column.id.in_(ids), column.tenant_id.in_(tenants))
        with work.store.reading() as connection:
            rows = connection.execute(wanted.order_by(column.id)).all()
        yield from (_Watched(*row) for row in rows)


def _watches(alert: StoredAlert, one: _Watched) -> bool:
    return (
        alert.tenant_id == one.tenant_id
        and alert.project_id in {None, one.project_id}
        and alert.credential_id in {None, one.id}
    )


def _networks(
    alert: StoredAlert, one: _Watched, sources: list[Source], since: float
) -> Iterator[Finding]:
    """Tell of networks first seen of late, a day and more after the first use of all."""
    first: dict[str, Source] = {}
    for source in sources:
        if source.address is not None:
            network = network_of(source.address)
            if network not in first or source.first_at < first[network].first_at:
                first[network] = source
    begun = min((source.first_at for source in sources), default=0.0)
    for network, source in first.items():
        if source.first_at >= since and source.first_at >= begun + FIRST_DAY:
            more = {"address": source.address, "agent": source.agent}
            yield Finding(alert, one.id, network, network, more)


def _environments(
    alert: StoredAlert, one: _Watched, sources: list[Source], labels: dict[str, str]
) -> Iterator[Finding]:
    """Tell of a key that was used in areas of more than one label, its own counted in."""
    areas = {labels[source.area]: source.area for source in sources if source.area in labels}
    used = sorted({*areas, *([one.environment] if one.environment is not None else [])})
    if areas and len(used) > 1:
        told = "+".join(used)
        more = {"environment": one.environment, "areas": sorted(areas.values())}
        yield Finding(alert, one.id, told, told, more)


def _applications(alert: StoredAlert, one: _Watched, sources: list[Source]) -> Iterator[Finding]:
    """Tell of a credential that more than one program used."""
    used = sorted({source.application_id for source in sources if source.application_id})
    if len(used) > 1:
        yield Finding(alert, one.id, "+".join(used), len(used), {"applications": used})


def labels_of(policy: Policy) -> dict[str, str]:
    """Return the environment label of each area path that has one, and no other elsewhere."""
    found: dict[str, set[str | None]] = {}
    for area in policy.areas:
        found.setdefault(area.path, set()).add(area.environment)
    return {
        path: label
        for path, (label, *more) in ((path, tuple(told)) for path, told in found.items())
        if label is not None and not more
    }


def network_of(address: str) -> str:
    """Return the /24 or /48 that an address is in: about as much as one place has."""
    length = _V6 if ":" in address else _V4
    return str(ipaddress.ip_network(f"{address}/{length}", strict=False))


JOB = Job("source alerts", SECONDS, run)
