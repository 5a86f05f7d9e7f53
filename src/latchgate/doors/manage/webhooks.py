"""Webhooks: made with a secret that is shown once, changed, tested, and what was sent to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from latchgate.core.secret import Secret
from latchgate.core.timestamp import rfc3339
from latchgate.doors.lists import read_query
from latchgate.doors.manage.answers import creation, json_answer, problem, told
from latchgate.doors.manage.door import Door, caller
from latchgate.doors.manage.openapi import Operation
from latchgate.doors.manage.reading import read_body, read_match, read_once
from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.manage import delivery_queue, webhooks
from latchgate.manage.webhooks import WebhookPatch, WebhookSpec, Whose

_PATH = "/manage/v1/webhooks"
_ONE = "/manage/v1/webhooks/{webhook_id}"


class Webhook(msgspec.Struct, frozen=True):
    """Where a tenant hears of events, of all where `events` is empty; never its secret.

    `whose` is `operator` for what belongs to no tenant: leaked application keys, alerts of what
    everybody's requests come to. `last_status` is an HTTP status or why there was none.
    """

    id: str
    url: str
    events: list[str]
    description: str
    active: bool
    created_at: str
    created_by: str
    last_status: str | None
    last_at: str | None
    version: int
    whose: Whose


class NewWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook with the secret that it was just given, which is shown this once."""

    secret: str


class WebhookPage(msgspec.Struct, frozen=True):
    """A page of webhooks, oldest first; `next` is the `after` of the following page."""

    webhooks: list[Webhook]
    next: str | None


class Delivery(msgspec.Struct, frozen=True):
    """An event on its way to a webhook; `event_id` is its `webhook-id`."""

    id: str
    event_id: str
    event: str
    at: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    next_attempt_at: str | None
    settled_at: str | None
    last_error: str | None


class DeliveryPage(msgspec.Struct, frozen=True):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]
    next: str | None


async def create_webhook(door: Door, request: HttpRequest) -> Response:
    """Make a webhook; its secret is in this answer only."""
    spec = await read_body(request, WebhookSpec)
    try:
        made, secret = await run_in_threadpool(
            webhooks.create,
            door.store,
            caller(request),
            spec,
            master=lambda: master.load(door.master_key),
            allowed=door.webhook_networks,
            now=door.clock(),
            entropy=door.entropy,
            once=read_once(request, spec),
        )
    except KeyringError as error:
        return _unsealed(error)
    shape = _with_secret(made, secret) if secret is not None else told(made, Webhook)
    return creation(shape, f"{_PATH}/{made.id}", made.version, new=secret is not None)


async def list_webhooks(door: Door, request: HttpRequest) -> Response:
    """List the webhooks of the caller's tenant, and the operator's to who may see them."""
    query = read_query(list(request.query_params.multi_items()), webhooks.LISTING)
    found, following = await run_in_threadpool(
        webhooks.listed, door.store, caller(request), query, now=door.clock()
    )
    return json_answer(WebhookPage([told(one, Webhook) for one in found], following))


async def show_webhook(door: Door, request: HttpRequest) -> Response:
    """Show a webhook."""
    webhook_id = request.path_params["webhook_id"]
    found = await run_in_threadpool(webhooks.shown, door.store, caller(request), webhook_id)
    return json_answer(told(found, Webhook), version=found.version)


async def change_webhook(door: Door, request: HttpRequest) -> Response:
    """Change a webhook, or switch it off and on."""
    webhook_id, match = request.path_params["webhook_id"], read_match(request)
    patch = await read_body(request, WebhookPatch)
    found = await run_in_threadpool(
        webhooks.change_webhook,
        door.store,
        caller(request),
        webhook_id,
        patch,
        allowed=door.webhook_networks,
        match=match,
    )
    return json_answer(told(found, Webhook), version=found.version)


async def renew_webhook_secret(door: Door, request: HttpRequest) -> Response:
    """Draw a new secret; it is in this answer only."""
    webhook_id, match = request.path_params["webhook_id"], read_match(request)
    try:
        found, secret = await run_in_threadpool(
            webhooks.renew_secret,
            door.store,
            caller(request),
            webhook_id,
            master=lambda: master.load(door.master_key),
            entropy=door.entropy,
            match=match,
        )
    except KeyringError as error:
        return _unsealed(error)
    return json_answer(_with_secret(found, secret), version=found.version)


async def delete_webhook(door: Door, request: HttpRequest) -> Response:
    """Delete a webhook and what was on its way to it."""
    webhook_id, match = request.path_params["webhook_id"], read_match(request)
    gone = await run_in_threadpool(
        webhooks.delete, door.store, caller(request), webhook_id, match=match
    )
    return json_answer(told(gone, Webhook))


async def test_webhook(door: Door, request: HttpRequest) -> Response:
    """Send an event to one webhook; how it went is seen in its deliveries."""
    webhook_id = request.path_params["webhook_id"]
    queued = await run_in_threadpool(
        webhooks.test, door.store, caller(request), webhook_id, entropy=door.entropy
    )
    return json_answer(_shown(queued), status=202)


async def list_deliveries(door: Door, request: HttpRequest) -> Response:
    """List what was sent to a webhook, and how that went."""
    query = read_query(list(request.query_params.multi_items()), delivery_queue.LISTING)
    webhook_id = request.path_params["webhook_id"]
    found, following = await run_in_threadpool(
        webhooks.deliveries, door.store, caller(request), webhook_id, query, now=door.clock()
    )
    return json_answer(DeliveryPage([_shown(one) for one in found], following))


def _shown(one: delivery_queue.StoredDelivery) -> Delivery:
    return told(one, Delivery, at=rfc3339(one.at))


def _with_secret(made: webhooks.StoredWebhook, secret: Secret) -> NewWebhook:
    return told(made, NewWebhook, secret=secret.reveal())


def _unsealed(error: KeyringError) -> Response:
    return problem(503, "sealing_unavailable", f"{error}.")


_READ, _WRITE = "manage:webhooks.read", "manage:webhooks.write"
OPERATIONS = (
    Operation(
        "POST",
        _PATH,
        create_webhook,
        "Make a webhook",
        _WRITE,
        body=WebhookSpec,
        answer=NewWebhook,
        status=201,
        replay=Webhook,
        refusals=(403, 409, 413, 415, 422),
    ),
    Operation(
        "GET",
        _PATH,
        list_webhooks,
        "List webhooks",
        _READ,
        answer=WebhookPage,
        listing=webhooks.LISTING,
        refusals=(422,),
    ),
    Operation("GET", _ONE, show_webhook, "Show a webhook", _READ, answer=Webhook, refusals=(404,)),
    Operation(
        "PATCH",
        _ONE,
        change_webhook,
        "Change a webhook",
        _WRITE,
        body=WebhookPatch,
        answer=Webhook,
        conditional=True,
        refusals=(404, 413, 415, 422),
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_webhook,
        "Delete a webhook",
        _WRITE,
        answer=Webhook,
        conditional=True,
        refusals=(404,),
    ),
    Operation(
        "POST",
        f"{_ONE}/secret",
        renew_webhook_secret,
        "Draw a new secret; for a day both sign",
        _WRITE,
        answer=NewWebhook,
        conditional=True,
        refusals=(404,),
    ),
    Operation(
        "POST",
        f"{_ONE}/test",
        test_webhook,
        "Send a webhook.test event to a webhook",
        _WRITE,
        answer=Delivery,
        status=202,
        refusals=(404, 409),
    ),
    Operation(
        "GET",
        f"{_ONE}/deliveries",
        list_deliveries,
        "List what was sent to a webhook",
        _READ,
        answer=DeliveryPage,
        listing=delivery_queue.LISTING,
        refusals=(404, 422),
    ),
)

_AT = "2026-10-01T09:30:00Z"
_SPEC = {
    "url": "https://hooks.example.com/latchgate",
    "events": ["credential.expiring", "credential.disabled"],
    "description": "The team's chat",
    "whose": "tenant",
}
_WEBHOOK = {
    "id": "wh-4k8m2p6r0t3v7x1z",
    **_SPEC,
    "active": True,
    "created_at": _AT,
    "created_by": "user:u-7h4c0p2rw9x5f3am key:k3v9q1m7x2ab",
    "last_status": "200",
    "last_at": _AT,
    "version": 62,
}
_DELIVERY = {
    "id": "dl-9f3kq2m7x1vb4c8d",
    "event_id": "evt-0199f6d0a7c0-2b7f9c1e5d3a4860",
    "event": "credential.expiring",
    "at": _AT,
    "state": "delivered",
    "attempts": 1,
    "next_attempt_at": None,
    "settled_at": _AT,
    "last_error": None,
}
EXAMPLES: Mapping[type, dict[str, Any]] = {
    WebhookSpec: _SPEC,
    WebhookPatch: {"active": False},
    Webhook: _WEBHOOK,
    NewWebhook: {**_WEBHOOK, "secret": "shown this once"},
    WebhookPage: {"webhooks": [_WEBHOOK], "next": None},
    Delivery: _DELIVERY,
    DeliveryPage: {"deliveries": [_DELIVERY], "next": None},
}
