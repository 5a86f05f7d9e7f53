"""Raising an alert: once for each subject and period, told in the transaction that says so.

Rule of this file: whether it was raised before is looked up in the same transaction, so that two
evaluations of the same minute tell once, and a crash tells neither twice nor not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from latchgate.core.event import Event
from latchgate.core.model import Noun
from latchgate.core.timestamp import rfc3339
from latchgate.manage.alerts import RAISED, TABLE, Per, StoredAlert, Watch
from latchgate.manage.notifications import notify
from latchgate.store import schema
from latchgate.store.journal import Actor, Change, Store, stored

MAX_RAISED = 200  # at a time; the others come the next time
_LOOKED_UP = 500
_encode = msgspec.json.Encoder(order="sorted").encode

ADVICE = {
    Watch.REQUESTS_PER_DAY: "Look at its sources; revoke or rotate it if they are not yours.",
    Watch.REFUSALS_PER_MINUTE: "Explain one of the refusals; then mend the program, or revoke"
    " the credential if it is not yours.",
    Watch.NEW_NETWORK: "If that network is not yours, revoke or rotate it; else name the networks"
    " that it may be used from.",
    Watch.ENVIRONMENTS: "Give each environment a key of its own, and rotate this one.",
    Watch.APPLICATIONS: "Give each program a credential of its own, and rotate this one.",
    Watch.BILLING: "Look which scopes it is spent on; narrow or revoke what should not spend it.",
}


class Finding(msgspec.Struct, frozen=True):
    """What an evaluation found: `value` reached in a `period`, for one subject.

    `subject` is a credential's, project's or tenant's id, empty for everybody. `period` is what it
    is told once for; `more` is told beside.
    """

    alert: StoredAlert
    subject: str
    period: str
    value: int | str
    more: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """What it is known by: told once."""
        return f"{self.alert.id}/{self.subject}/{self.period}"


def raise_new(
    store: Store, actor: Actor, findings: Iterable[Finding], *, entropy: Callable[[int], bytes]
) -> int:
    """Tell of the findings that nobody was told of; returns of how many."""
    by_id = {one.id: one for one in findings}
    new = _new(store, by_id)
    if not new:
        return 0
    raised = 0
    with store.change(actor) as change:
        for one in new[:MAX_RAISED]:
            found = sa.select(RAISED.c.id).where(RAISED.c.id == one.id)
            alert = sa.select(TABLE.c.id).where(TABLE.c.id == one.alert.id, TABLE.c.active)
            if change.execute(found).first() is None and change.execute(alert).first():
                _raise(change, one, entropy)
                raised += 1
    return raised


def _new(store: Store, by_id: dict[str, Finding]) -> list[Finding]:
    ids = list(by_id)
    known: set[str] = set()
    with store.reading() as connection:
        for at in range(0, len(ids), _LOOKED_UP):
            wanted = sa.select(RAISED.c.id).where(RAISED.c.id.in_(ids[at : at + _LOOKED_UP]))
            known |= set(connection.execute(wanted).scalars())
    return [one for record, one in by_id.items() if record not in known]


def _raise(change: Change, one: Finding, entropy: Callable[[int], bytes]) -> None:
    alert = one.alert
    everybody = alert.per is Per.EVERYBODY
    owner, name = _owner(change, one)
    data: dict[str, Any] = {
        "alert": alert.id,
        "name": alert.name,
        "kind": str(alert.kind),
        "per": str(alert.per),
        "subject": one.subject,
        "subject_name": name,
        "threshold": alert.threshold,
        "amount": alert.amount,
        "currency": alert.currency,
        "value": one.value,
        "period": one.period,
        "at": rfc3339(change.at),
        "what_to_do": ADVICE[alert.kind],
        **one.more,
    }
    row = {
        "id": one.id,
        "alert_id": alert.id,
        "subject": one.subject,
        "period": one.period,
        "at": change.at,
        "data": _encode(data).decode(),
    }
    change.execute(sa.insert(RAISED).values(row))
    told = {name: data[name] for name in ("kind", "subject", "value", "period")}
    n = change.note("alert.raise", Noun.ALERT, alert.id, tenant_id=alert.tenant_id, detail=told)
    latest = {"last_raised_at": change.at, "version": n}
    change.execute(sa.update(TABLE).where(TABLE.c.id == alert.id).values(latest))
    notify(
        change,
        Event.ALERT_RAISED,
        alert.id,
        tenant_id=None if everybody else alert.tenant_id,
        user_id=owner,
        data=data,
        entropy=entropy,
    )


def _owner(change: Change, one: Finding) -> tuple[str | None, str | None]:
    """Return whose the subject is, and what people know it by."""
    tables = {
        Per.CREDENTIAL: schema.credential,
        Per.PROJECT: schema.project,
        Per.TENANT: schema.tenant,
    }
    table = tables.get(one.alert.per)
    if table is None:
        return None, None
    found = change.execute(sa.select(table).where(table.c.id == one.subject)).mappings().first()
    if found is None:
        return None, None
    row = stored(found)
    return row.get("owner_id"), row["name"]
