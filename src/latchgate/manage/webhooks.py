"""Webhooks: where a tenant, or the operator, hears of events; made, changed, tested, deleted.

Rule of this file: a secret is shown once, when it is drawn, and is kept sealed under the master
key. A tenant hears of its own events only, the operator of those that are no tenant's. Source: the
Standard Webhooks specification.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa

from latchgate.core.destination import MAX_URL, read_destination
from latchgate.core.event import Event
from latchgate.core.model import Noun
from latchgate.core.network import Networks
from latchgate.core.secret import Secret
from latchgate.keyring.master import MasterKey
from latchgate.manage import delivery_queue
from latchgate.manage.actor import Caller
from latchgate.manage.delivery_queue import StoredDelivery
from latchgate.manage.errors import ForbiddenError, InvalidError
from latchgate.manage.idempotency import Once, recall, remember
from latchgate.manage.keys import Text
from latchgate.manage.listing import Filter, Listing, Query, by, page, truth
from latchgate.manage.notifications import notify
from latchgate.manage.records import ANY, IfMatch, alter, asked, find, new_id
from latchgate.store import schema
from latchgate.store.errors import ConflictError
from latchgate.store.journal import Store

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES = 32
FORMER_SECONDS = 86_400.0  # how long what is sent is signed with the secret before, too
MAX_WEBHOOKS = 20
OPERATOR = "operator:webhooks.write"  # whose holders see and change those of no tenant
_TABLE = schema.webhook
_Url = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URL)]
_Events = Annotated[list[Event], msgspec.Meta(max_length=32)]


class Whose(StrEnum):
    """Whose events a webhook hears of; the operator's are those that are no tenant's."""

    TENANT = "tenant"
    OPERATOR = "operator"


class WebhookSpec(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a new webhook shall be; no events means every one, also those of later versions."""

    url: _Url
    events: _Events = []
    description: Text = ""
    whose: Whose = Whose.TENANT


class WebhookPatch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What shall change about a webhook; absent stays (RFC 7396)."""

    url: _Url | msgspec.UnsetType = msgspec.UNSET
    events: _Events | msgspec.UnsetType = msgspec.UNSET
    description: Text | msgspec.UnsetType = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET


class StoredWebhook(msgspec.Struct, frozen=True):
    """A webhook as stored, without its secret; `last_status` tells how the last attempt went."""

    id: str
    url: str
    events: list[str]
    description: str
    active: bool
    created_at: float
    created_by: str
    last_status: str | None
    last_at: float | None
    version: int
    whose: Whose


def _of(text: str, _now: float) -> sa.ColumnElement[bool]:
    of_operator = _TABLE.c.tenant_id.is_(None)
    return of_operator if Whose(text) is Whose.OPERATOR else sa.not_(of_operator)


LISTING = Listing(
    table=_TABLE,
    searched=("id", "url", "description"),
    filters={
        "active": truth(_TABLE.c.active),
        "whose": Filter({"type": "string", "enum": list(Whose)}, _of),
    },
    sorts={"created_at": by(_TABLE.c.created_at), "url": by(_TABLE.c.url)},
)


def create(
    store: Store,
    caller: Caller,
    spec: WebhookSpec,
    *,
    master: Callable[[], MasterKey],
    allowed: Networks,
    now: float,
    entropy: Callable[[int], bytes],
    once: Once | None = None,
) -> tuple[StoredWebhook, Secret | None]:
    """Make a webhook of the actor's tenant or the operator's; returns it and its secret, once.

    `allowed` are networks of the operator's that may be sent to. A repeat of `once` finds it
    without its secret. InvalidError names the field, KeyringError says that nothing can be sealed,
    ForbiddenError that the operator's are not the actor's to make.
    """
    before = recall(store, caller, once, now)
    if before is not None:
        return shown(store, caller, before), None
    _check_url(spec.url, allowed)
    tenant_id = None if spec.whose == Whose.OPERATOR else caller.tenant_id
    if tenant_id is None and OPERATOR not in caller.rights:
        raise ForbiddenError(f"the operator's webhooks are for holders of {OPERATOR}")
    webhook_id, secret = new_id("wh", entropy), _draw(entropy)
    row: dict[str, Any] = {
        "id": webhook_id,
        "tenant_id": tenant_id,
        "url": spec.url,
        "events": sorted({str(event) for event in spec.events}),
        "description": spec.description,
        "sealed_secret": _sealed(master(), webhook_id, secret, entropy),
        "sealed_former": None,
        "former_until": None,
        "active": True,
        "created_by": caller.actor.name,
        "last_status": None,
        "last_at": None,
    }
    with store.change(caller.actor) as change:
        remember(change, caller, once, webhook_id)
        mine = _TABLE.c.tenant_id.is_not_distinct_from(tenant_id)
        count = change.execute(sa.select(sa.func.count()).select_from(_TABLE).where(mine))
        if count.scalar_one() >= MAX_WEBHOOKS:
            raise ConflictError(f"There are {MAX_WEBHOOKS} webhooks already; delete one first.")
        row["created_at"] = change.at
        n = change.add("webhook.create", Noun.WEBHOOK, _TABLE, row, tenant_id=tenant_id)
    return _stored(row | {"version": n}), secret


def listed(
    store: Store, caller: Caller, query: Query, *, now: float
) -> tuple[list[StoredWebhook], str | None]:
    """Return a page of the actor's webhooks, oldest first unless told, and the next cursor."""
    with store.reading() as connection:
        rows, following = page(connection, LISTING, query, _mine(caller), now=now)
    return [_stored(row) for row in rows], following


def shown(store: Store, caller: Caller, webhook_id: str) -> StoredWebhook:
    """Return one of the actor's webhooks; NotFoundError."""
    with store.reading() as connection:
        return _stored(_own(connection, caller, webhook_id))


def change_webhook(
    store: Store,
    caller: Caller,
    webhook_id: str,
    patch: WebhookPatch,
    *,
    allowed: Networks,
    match: IfMatch = ANY,
) -> StoredWebhook:
    """Change a webhook; NotFoundError, StaleError, InvalidError naming the field.

    One that is switched on again goes on with what happens from then on.
    """
    told = asked(patch)
    if "url" in told:
        _check_url(told["url"], allowed)
    if "events" in told:
        told["events"] = sorted({str(event) for event in told["events"]})
    with store.change(caller.actor) as change:
        row = _own(change.connection, caller, webhook_id, match=match)
        who = {"tenant_id": row["tenant_id"]}
        alter(change, "webhook.change", Noun.WEBHOOK, _TABLE, row, told, **who)
    return _stored(row)


def renew_secret(
    store: Store,
    caller: Caller,
    webhook_id: str,
    *,
    master: Callable[[], MasterKey],
    entropy: Callable[[int], bytes],
    match: IfMatch = ANY,
) -> tuple[StoredWebhook, Secret]:
    """Draw a new secret, shown this once; for a day what is sent is signed with both.

    NotFoundError, StaleError, KeyringError.
    """
    secret = _draw(entropy)
    sealed = _sealed(master(), webhook_id, secret, entropy)
    with store.change(caller.actor) as change:
        row = _own(change.connection, caller, webhook_id, match=match)
        new = {
            "sealed_secret": sealed,
            "sealed_former": row["sealed_secret"],
            "former_until": change.at + FORMER_SECONDS,
        }
        who = {"tenant_id": row["tenant_id"]}
        n = change.alter("webhook.renew_secret", Noun.WEBHOOK, _TABLE, row, new, **who)
    return _stored(row | {"version": n}), secret


def delete(store: Store, caller: Caller, webhook_id: str, *, match: IfMatch = ANY) -> StoredWebhook:
    """Delete a webhook and what was on its way to it; NotFoundError, StaleError."""
    with store.change(caller.actor) as change:
        row = _own(change.connection, caller, webhook_id, match=match)
        told = {"before": {"url": row["url"]}, "after": None}
        change.note(
            "webhook.delete", Noun.WEBHOOK, webhook_id, tenant_id=row["tenant_id"], detail=told
        )
        change.execute(sa.delete(schema.delivery).where(delivery_queue.to(webhook_id)))
        change.execute(sa.delete(_TABLE).where(_TABLE.c.id == webhook_id))
    return _stored(row)


def test(
    store: Store, caller: Caller, webhook_id: str, *, entropy: Callable[[int], bytes]
) -> StoredDelivery:
    """Send an event to one webhook and to nobody else; returns the delivery, which is pending.

    NotFoundError; ForbiddenError for one that is switched off, ConflictError where too much waits.
    """
    with store.change(caller.actor) as change:
        row = _own(change.connection, caller, webhook_id)
        if not row["active"]:
            raise ForbiddenError("the webhook is switched off; switch it on first")
        if delivery_queue.waiting(change)[webhook_id] >= delivery_queue.MAX_WAITING:
            raise ConflictError("Too much is on its way to the webhook already; wait.")
        notification = notify(
            change,
            Event.WEBHOOK_TEST,
            webhook_id,
            tenant_id=row["tenant_id"],
            user_id=None,
            data={"webhook_id": webhook_id},
            entropy=entropy,
        )
        table = schema.notification
        change.execute(sa.update(table).where(table.c.id == notification).values(routed=True))
        delivery = delivery_queue.add(
            change, notification, delivery_queue.WEBHOOK, webhook_id, entropy=entropy
        )
        change.note(
            "webhook.test",
            Noun.WEBHOOK,
            webhook_id,
            tenant_id=row["tenant_id"],
            detail={"delivery": delivery["id"]},
        )
    return delivery_queue.shown(delivery, str(Event.WEBHOOK_TEST))


def deliveries(
    store: Store, caller: Caller, webhook_id: str, query: Query, *, now: float
) -> tuple[list[StoredDelivery], str | None]:
    """Return a page of what was sent to a webhook, newest first unless told; NotFoundError."""
    with store.reading() as connection:
        _own(connection, caller, webhook_id)
        return delivery_queue.listed(connection, webhook_id, query, now=now)


def signing_keys(master: MasterKey, row: dict[str, Any], now: float) -> list[bytes]:
    """Return the keys that what is sent to a webhook is signed with, the newest first.

    ValueError when they were sealed under another master key.
    """
    sealed = [row["sealed_secret"]]
    if row["former_until"] is not None and now < row["former_until"]:
        sealed.append(row["sealed_former"])
    return [master.open(bytes(one), _about(row["id"])) for one in sealed]


def _check_url(url: str, allowed: Networks) -> None:
    try:
        read_destination(url, allowed)
    except ValueError as error:
        raise InvalidError([("url", str(error))]) from error


def _draw(entropy: Callable[[int], bytes]) -> Secret:
    return Secret(SECRET_PREFIX + base64.b64encode(entropy(SECRET_BYTES)).decode())


def _sealed(
    master: MasterKey, webhook_id: str, secret: Secret, entropy: Callable[[int], bytes]
) -> bytes:
    plain = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
    return master.seal(plain, _about(webhook_id), entropy)


def _about(webhook_id: str) -> bytes:
    return b"webhook " + webhook_id.encode()


def _own(
    connection: sa.Connection, caller: Caller, webhook_id: str, *, match: IfMatch = ANY
) -> dict[str, Any]:
    return find(connection, _TABLE, webhook_id, _mine(caller), noun="webhook", match=match)


def _mine(caller: Caller) -> sa.ColumnElement[bool]:
    """Return what is true of webhooks that a caller may see and change."""
    mine = _TABLE.c.tenant_id == caller.tenant_id
    if OPERATOR not in caller.rights:
        return mine
    return sa.or_(mine, _TABLE.c.tenant_id.is_(None))


def _stored(row: dict[str, Any]) -> StoredWebhook:
    told = row | {"whose": Whose.OPERATOR if row["tenant_id"] is None else Whose.TENANT}
    return StoredWebhook(**{name: told[name] for name in StoredWebhook.__struct_fields__})
