"""Alerts: make, list, show, change, delete, and when each was raised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.timestamp import rfc3339
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import creation, json_answer, told
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.manage import alerts
from latchgate.manage.alerts import AlertPatch, AlertSpec, Per, StoredAlert, Watch

_PATH = "/manage/v1/alerts"
_ONE = f"{_PATH}/{{alert_id}}"
_READ, _WRITE = "manage:alerts.read", "manage:alerts.write"


class Alert(msgspec.Struct, frozen=True):
    """An alert: what it watches, for whom, and from which number or monthly amount on."""

    id: str
    name: str
    kind: Watch
    threshold: int | None
    amount: str | None
    currency: str | None
    per: Per
    project_id: str | None
    credential_id: str | None
    active: bool
    created_at: str
    created_by: str
    last_raised_at: str | None
    version: int


class AlertPage(msgspec.Struct, frozen=True):
    """A page of alerts; `next` is the `after` of the following page."""

    alerts: list[Alert]
    next: str | None


class Raised(msgspec.Struct, frozen=True):
    """One time that an alert was raised; `data` is what was told."""

    at: str
    subject: str
    period: str
    data: dict[str, Any]


class RaisedPage(msgspec.Struct, frozen=True):
    """A page of the times, newest first; `next` is the `after` of the following page."""

    raised: list[Raised]
    next: str | None


class DeletedAlert(msgspec.Struct, frozen=True):
    """An alert that is no more."""

    id: str


async def create_alert(door: Door, request: HttpRequest) -> Response:
    """Make an alert."""
    spec = await read_body(request, AlertSpec)
    one, new = await run_in_threadpool(
        alerts.create,
        door.store,
        caller(request),
        spec,
        now=door.clock(),
        entropy=door.entropy,
        once=read_once(request, spec),
    )
    return creation(_shape(one), f"{_PATH}/{one.id}", one.version, new=new)


async def list_alerts(door: Door, request: HttpRequest) -> Response:
    """Page through the tenant's alerts."""
    query = read_query(request.query_params.multi_items(), alerts.LISTING)
    found, following = await run_in_threadpool(
        alerts.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(AlertPage([_shape(one) for one in found], following))


async def show_alert(door: Door, request: HttpRequest) -> Response:
    """Show one alert."""
    alert_id = request.path_params["alert_id"]
    one = await run_in_threadpool(alerts.shown, door.store, caller(request), alert_id)
    return json_answer(_shape(one), version=one.version)


async def change_alert(door: Door, request: HttpRequest) -> Response:
    """Change an alert, or switch it off or on."""
    alert_id, match = request.path_params["alert_id"], read_match(request)
    patch = await read_body(request, AlertPatch)
    one = await run_in_threadpool(
        alerts.change_alert, door.store, caller(request), alert_id, patch, match=match
    )
    return json_answer(_shape(one), version=one.version)


async def delete_alert(door: Door, request: HttpRequest) -> Response:
    """Delete an alert."""
    alert_id, match = request.path_params["alert_id"], read_match(request)
    one = await run_in_threadpool(alerts.delete, door.store, caller(request), alert_id, match=match)
    return json_answer(DeletedAlert(one.id))


async def list_raised(door: Door, request: HttpRequest) -> Response:
    """Page through the times that an alert was raised."""
    alert_id = request.path_params["alert_id"]
    query = read_query(request.query_params.multi_items(), alerts.HISTORY)
    found, following = await run_in_threadpool(
        alerts.history, door.store, caller(request), alert_id, query, now=door.clock()
    )
    shown = [Raised(rfc3339(one.at), one.subject, one.period, one.data) for one in found]
    return json_answer(RaisedPage(shown, following))


def _shape(one: StoredAlert) -> Alert:
    return told(one, Alert, threshold=one.threshold, amount=one.amount)


OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_alert,
        "Make an alert",
        _WRITE,
        body=AlertSpec,
        answer=Alert,
        status=201,
        replay=Alert,
        refusals=(403, 413, 415, 422),
    ),
    Operation(
        "GET",
        _PATH,
        list_alerts,
        "List alerts, oldest first",
        _READ,
        answer=AlertPage,
        listing=alerts.LISTING,
        refusals=(422,),
    ),
    Operation("GET", _ONE, show_alert, "Show an alert", _READ, answer=Alert, refusals=(404,)),
    Operation(
        "PATCH",
        _ONE,
        change_alert,
        "Change an alert, or switch it off or on",
        _WRITE,
        body=AlertPatch,
        answer=Alert,
        conditional=True,
        refusals=(404, 413, 415, 422),
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_alert,
        "Delete an alert and its history",
        _WRITE,
        answer=DeletedAlert,
        conditional=True,
        refusals=(404,),
    ),
    Operation(
        "GET",
        f"{_ONE}/raised",
        list_raised,
        "List when an alert was raised, newest first",
        _READ,
        answer=RaisedPage,
        listing=alerts.HISTORY,
        refusals=(404, 422),
    ),
)

_AT = "2026-10-01T09:30:00Z"
_ALERT = {
    "id": "alert-5d1n8v3jy6g2s0qe",
    "name": "Spending",
    "kind": "billing",
    "threshold": None,
    "amount": "100.00",
    "currency": "EUR",
    "per": "project",
    "project_id": None,
    "credential_id": None,
    "active": True,
    "created_at": _AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "last_raised_at": _AT,
    "version": 54,
}
_RAISED = {
    "at": _AT,
    "subject": "p-2b7wq9h4zk3m6t1x",
    "period": "2026-10",
    "data": {"alert": _ALERT["id"], "kind": "billing", "value": "103.20", "amount": "100.00"},
}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    AlertSpec: {name: _ALERT[name] for name in ("name", "kind", "amount", "currency", "per")},
    AlertPatch: {"amount": "150.00"},
    Alert: _ALERT,
    AlertPage: {"alerts": [_ALERT], "next": None},
    Raised: _RAISED,
    RaisedPage: {"raised": [_RAISED], "next": None},
    DeletedAlert: {"id": _ALERT["id"]},
}
