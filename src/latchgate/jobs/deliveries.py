"""Brings notifications to webhooks and mailboxes: a durable queue, tried again ever later.

Rule of this file: what is to be sent and how often it was tried is in the database before and
after each attempt, so a crash repeats an attempt at most; receivers know a repeat by its id.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.destination import read_destination
from latchgate.core.model import Noun
from latchgate.core.timestamp import rfc3339
from latchgate.jobs.job import ACTOR, Work
from latchgate.jobs.mail import written
from latchgate.jobs.sending import SendError, post, signed
from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.manage import delivery_queue, webhooks
from latchgate.manage.delivery_queue import MAIL, WEBHOOK
from latchgate.store import schema
from latchgate.store.journal import Change, stored

OPERATOR = "operator"  # the target of mail that is for no user
# Seconds after each attempt that failed; after the last it is given up. 75 hours in all.
WAITS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
KEEP_SECONDS = 30 * 86_400.0
TRIM_SECONDS = 3_600.0
ROUTED = 200  # notifications in one transaction
AT_ONCE = 16
TO_ONE = 2  # of these to one place, so that a slow one holds up nobody else
OF_ONE = 6  # of one tenant
ROUND_SECONDS = 2.0  # other jobs wait no longer, but for what is under way
MAX_ERROR = 200
TRIMMED = 5_000  # rows in one transaction
GONE = 410
_NOTIFICATION, _DELIVERY, _WEBHOOK = schema.notification, schema.delivery, schema.webhook
_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went: a status where there was one, else why there was none.

    `final` says that another attempt would meet the same.
    """

    status: int | None = None
    error: str | None = None
    final: bool = False

    @property
    def delivered(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's own

    @property
    def word(self) -> str:
        """The status, or why there was none."""
        return str(self.status) if self.status is not None else (self.error or "not sent")


class Deliveries:
    """The queue's worker; it remembers only when it last cleaned up."""

    def __init__(self) -> None:
        self._trimmed: float | None = None

    def run(self, work: Work) -> None:
        """Route what is new, send what is due, and drop what is old."""
        while route(work) == ROUTED:
            pass
        begun = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE, "deliveries") as pool:
            while time.monotonic() - begun < ROUND_SECONDS:
                due = _due(work)
                if not due:
                    break
                tried = list(pool.map(lambda row: attempt(work, row), due))
                with work.store.change(ACTOR) as change:
                    for row, outcome in zip(due, tried, strict=True):
                        settle(change, row, outcome)
        now = work.clock()
        if self._trimmed is None or now - self._trimmed >= TRIM_SECONDS:
            self._trimmed = now
            trim(work)


def route(work: Work) -> int:
    """Make deliveries of notifications that have none yet, up to ROUTED; returns how many."""
    fresh = (
        sa.select(_NOTIFICATION)
        .where(_NOTIFICATION.c.routed.is_(False))
        .order_by(_NOTIFICATION.c.at, _NOTIFICATION.c.id)
        .limit(ROUTED)
    )
    with work.store.reading() as connection:
        if connection.execute(fresh.limit(1)).first() is None:
            return 0
    with work.store.change(ACTOR) as change:
        rows = change.execute(fresh).mappings().all()
        waiting = delivery_queue.waiting(change)
        for row in rows:
            for channel, target in _targets(change.connection, work, row):
                if waiting[target] >= delivery_queue.MAX_WAITING:
                    _log.warning("too much waits for %s: %s is not queued", target, row["id"])
                    continue
                waiting[target] += 1
                delivery_queue.add(change, row["id"], channel, target, entropy=work.entropy)
        ids = [row["id"] for row in rows]
        change.execute(
            sa.update(_NOTIFICATION).where(_NOTIFICATION.c.id.in_(ids)).values(routed=True)
        )
    return len(rows)


def _targets(connection: sa.Connection, work: Work, row: sa.RowMapping) -> list[tuple[str, str]]:
    """Return (channel, target) of everybody who hears of a notification; None is the operator."""
    whose = _WEBHOOK.c.tenant_id.is_not_distinct_from(row["tenant_id"])
    hears = sa.select(_WEBHOOK.c.id, _WEBHOOK.c.events).where(whose, _WEBHOOK.c.active.is_(True))
    found: list[tuple[str, str]] = []
    for one in connection.execute(hears).all():
        events = _decode(one.events)
        if not events or row["event"] in events:
            found.append((WEBHOOK, one.id))
    if work.mail is None:
        return found
    if row["tenant_id"] is None and work.mail.operator is not None:
        found.append((MAIL, OPERATOR))
    user_id = row["user_id"]
    if user_id is None:
        return found
    if connection.execute(_address(user_id)).scalar_one_or_none() is not None:
        found.append((MAIL, user_id))
    return found


def _address(user_id: str) -> sa.Select[Any]:
    """Select where a user is written to; nowhere once they are disabled or gone."""
    table = schema.user
    here = sa.and_(table.c.id == user_id, table.c.active.is_(True), table.c.deleted_at.is_(None))
    return sa.select(table.c.email).where(here)


def _due(work: Work) -> list[dict[str, Any]]:
    """Return deliveries that are due, few to one place or of one tenant.

    Each tenant's first comes before any other's second: who has much waiting, at a place that is
    slow, holds up nobody else.
    """
    by_age = (_DELIVERY.c.next_at, _DELIVERY.c.id)
    place = sa.func.row_number().over(partition_by=_DELIVERY.c.target, order_by=by_age)
    mine = (_DELIVERY.c.state == "pending", _DELIVERY.c.next_at <= work.clock())
    due = sa.select(_DELIVERY, place.label("place")).where(*mine).subquery()
    age = (due.c.next_at, due.c.id)
    turn = sa.func.row_number().over(partition_by=_NOTIFICATION.c.tenant_id, order_by=age)
    few = (
        sa.select(
            due,
            _NOTIFICATION.c.event,
            _NOTIFICATION.c.record,
            _NOTIFICATION.c.tenant_id,
            _NOTIFICATION.c.at.label("happened_at"),
            _NOTIFICATION.c.data,
            turn.label("turn"),
        )
        .join(_NOTIFICATION, _NOTIFICATION.c.id == due.c.notification_id)
        .where(due.c.place <= TO_ONE)
        .subquery()
    )
    wanted = (
        sa.select(few)
        .where(few.c.turn <= OF_ONE)
        .order_by(few.c.turn, few.c.next_at, few.c.id)
        .limit(AT_ONCE)
    )
    with work.store.reading() as connection:
        return [stored(row) for row in connection.execute(wanted).mappings()]


def attempt(work: Work, row: dict[str, Any]) -> Outcome:
    """Send one delivery; whatever goes wrong is its outcome."""
    try:
        return _mailed(work, row) if row["channel"] == MAIL else _posted(work, row)
    except SendError as error:
        return Outcome(error=str(error))
    except KeyringError:
        return Outcome(error="the webhook's secret can't be opened: the master key is not there")
    except Exception:  # noqa: BLE001 - it is tried again, and the others go on
        _log.exception("the delivery %s failed", row["id"])
        return Outcome(error="it could not be sent")


def _posted(work: Work, row: dict[str, Any]) -> Outcome:
    with work.store.reading() as connection:
        found = connection.execute(sa.select(_WEBHOOK).where(_WEBHOOK.c.id == row["target"]))
        webhook = found.mappings().one_or_none()
    if webhook is None or not webhook["active"]:
        return Outcome(error="the webhook is switched off", final=True)
    try:
        to = read_destination(webhook["url"], work.webhook_networks)
    except ValueError as error:
        return Outcome(error=str(error))
    now = work.clock()
    try:
        keys = webhooks.signing_keys(master.load(work.master_key), dict(webhook), now)
    except ValueError:
        return Outcome(error="the webhook's secret can't be opened; draw a new one")
    body = payload(row)
    headers = signed(row["notification_id"], int(now), body, keys)
    allowed = work.webhook_networks
    return Outcome(status=post(to, body, headers, allowed=allowed, look_up=work.resolve))


def payload(row: dict[str, Any]) -> bytes:
    """Return what is posted of a notification: the same bytes at each attempt."""
    about = {"tenant_id": row["tenant_id"], "record": row["record"]}
    return _encode(
        {
            "id": row["notification_id"],
            "type": row["event"],
            "timestamp": rfc3339(row["happened_at"]),
            "data": about | row["data"],
        }
    )


def _mailed(work: Work, row: dict[str, Any]) -> Outcome:
    if work.mail is None:
        return Outcome(error="no mail server is configured", final=True)
    email = work.mail.operator if row["target"] == OPERATOR else _email(work, row["target"])
    if email is None:
        return Outcome(error="there is no e-mail address any more", final=True)
    message = written(
        work.mail.sender,
        email,
        row["event"],
        row["data"],
        event_id=row["notification_id"],
        at=row["happened_at"],
    )
    work.mail.send(message)
    return Outcome(status=200)


def _email(work: Work, user_id: str) -> str | None:
    with work.store.reading() as connection:
        found: str | None = connection.execute(_address(user_id)).scalar_one_or_none()
    return found


def settle(change: Change, row: dict[str, Any], outcome: Outcome) -> None:
    """Write down how an attempt went, and when the next one is."""
    tried = row["attempts"] + 1
    values: dict[str, Any] = {"attempts": tried, "last_error": None}
    gone = outcome.status == GONE and row["channel"] == WEBHOOK
    if outcome.delivered:
        values |= {"state": "delivered", "settled_at": change.at}
    else:
        answered = f"it answered {outcome.status}" if outcome.status is not None else None
        values["last_error"] = (answered or outcome.word)[:MAX_ERROR]
        if outcome.final or gone or tried > len(WAITS):
            values |= {"state": "failed", "settled_at": change.at}
        else:
            values["next_at"] = change.at + WAITS[tried - 1]
    mine = sa.and_(_DELIVERY.c.id == row["id"], _DELIVERY.c.state == "pending")
    change.execute(sa.update(_DELIVERY).where(mine).values(values))
    if row["channel"] != WEBHOOK:
        return
    told = {"last_status": outcome.word[:MAX_ERROR], "last_at": change.at}
    here = _WEBHOOK.c.id == row["target"]
    change.execute(sa.update(_WEBHOOK).where(here).values(told))
    active = sa.select(_WEBHOOK.c.active).where(here)
    if gone and change.execute(active).scalar_one_or_none():
        before, after = {"id": row["target"], "active": True}, {"active": False}
        noun, tenant_id = Noun.WEBHOOK, row["tenant_id"]
        change.alter("webhook.gone", noun, _WEBHOOK, before, after, tenant_id=tenant_id)


def trim(work: Work) -> None:
    """Drop deliveries past their age, and a day later the notifications that they show."""
    past = work.clock() - KEEP_SECONDS
    waits = _DELIVERY.c.state == "pending"
    needed = sa.select(_DELIVERY.c.notification_id).where(waits)
    shown = sa.and_(_NOTIFICATION.c.routed.is_(True), _NOTIFICATION.c.id.not_in(needed))
    for table, clause, before in (
        (_DELIVERY, sa.not_(waits), past),
        (_NOTIFICATION, shown, past - 86_400.0),
    ):
        old = sa.select(table.c.id).where(clause, table.c.at < before).limit(TRIMMED)
        gone = TRIMMED
        while gone == TRIMMED:
            with work.store.change(ACTOR) as change:
                gone = change.execute(sa.delete(table).where(table.c.id.in_(old))).rowcount
