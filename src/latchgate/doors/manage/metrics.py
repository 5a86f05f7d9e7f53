"""Metrics in Prometheus' text format: made anew for each scrape, right for all workers together.

Rule of this file: labels come from the policy and from lists of this program, never from requests,
so that nobody who asks can make more series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import product

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.reason import Reason
from latchgate.doors.listener import TURNED_AWAY
from latchgate.doors.manage.door import Door
from latchgate.doors.manage.openapi import Operation
from latchgate.store.usage import Ever

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class _Scrape(Collector):
    """What one scrape answers."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def show_metrics(door: Door, _request: HttpRequest) -> Response:
    """Answer the metrics of the whole server."""
    body = await run_in_threadpool(_scraped, door)
    return Response(body, headers={"Cache-Control": "no-store", "Content-Type": _TEXT})


def _scraped(door: Door) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Scrape([*_of_use(door.usage.ever()), *_of_records(door)]))
    return generate_latest(registry)


def _of_use(counts: Iterable[Ever]) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "latchgate_decisions",
        "Decisions made, by the path of their area, their outcome and its exact reason",
        labels=("area", "outcome", "reason"),
    )
    dropped = CounterMetricFamily(
        "latchgate_usage_dropped",
        "Refusals that were not kept, decisions that were not counted, and lines that are missing"
        " in the access log, for want of room",
        labels=("what",),
    )
    turned_away = CounterMetricFamily(
        "latchgate_requests_turned_away",
        "Requests that a listener answered or ended itself: unreadable, over a limit, too slow",
        labels=("listener", "reason"),
    )
    lost = {"count": 0, "line": 0, "refusal": 0}
    away = dict.fromkeys(product(("api", "console", "verify"), TURNED_AWAY), 0)
    for one in counts:
        if one.counted == "dropped":
            lost[one.reason] = one.count
            continue
        if one.counted == "turned_away":
            away[one.area, one.reason] = one.count
            continue
        outcome = "allowed" if one.reason == Reason.ALLOWED else "refused"
        decisions.add_metric((one.area, outcome, one.reason), one.count)
    for what, number in lost.items():
        dropped.add_metric((what,), number)
    for where, number in away.items():
        turned_away.add_metric(where, number)
    yield decisions
    yield dropped
    yield turned_away


def _of_records(door: Door) -> Iterator[Metric]:
    credentials = GaugeMetricFamily(
        "latchgate_credentials",
        "Credentials, by kind and state, as this worker counted them last: once more when a"
        " hundred times as long has passed as counting took",
        labels=("kind", "state"),
    )
    for labels, number in sorted(door.census.counts().items()):
        credentials.add_metric(labels, number)
    yield credentials
    yield GaugeMetricFamily(
        "latchgate_journal_head", "Number of the last change", value=door.engine.head()
    )
    yield GaugeMetricFamily(
        "latchgate_verifiers",
        "Caches that follow the journal",
        value=_followers(door),
    )
    yield GaugeMetricFamily(
        "latchgate_policy_version", "The policy in force", value=door.engine.policy.version
    )
    yield InfoMetricFamily(
        "latchgate_build", "The program", value={"version": version("latchgate")}
    )


def _followers(door: Door) -> int:
    bell = door.store.bell
    here = len(bell.listeners()) if bell is not None else 0
    return here + len(door.verifiers.looked().followers)


OPERATIONS = (
    Operation(
        "GET",
        "/metrics",
        show_metrics,
        "Metrics for Prometheus",
        "operator:metrics.read",
        answer=None,
        media=_TEXT,
    ),
)
