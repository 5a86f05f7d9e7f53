"""One API key: what it is and may do, how it is used, and how far its rotation is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.core.explain import worded
from latchgate.core.timestamp import rfc3339
from latchgate.doors.console import chart
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.manage import keys, narrowing, rotation, usage, users
from latchgate.manage.keys import StoredKey
from latchgate.manage.narrowing import Unused
from latchgate.manage.rotation import StoredRotation
from latchgate.manage.states import state_of
from latchgate.manage.usage import Asked
from latchgate.oauth.consent import Group, in_words
from latchgate.store.usage import LastUse, Period, Source
from latchgate.verify.receipt import Receipt

DAYS = 30  # of the chart, and of the places that it is used from
REFUSALS = 10
_DAY = 86_400
_DONE: Mapping[str, str] = {
    "changed": N_("It was changed."),
    "again": N_(
        "This form was sent before, and made this key then. Its secret was in that answer alone;"
        " if it is lost, rotate the key."
    ),
    "rotated": N_(
        "This form was sent before, and rotated the key then. The new secret was in that answer"
        " alone; if it is lost, rotate the new key."
    ),
}


@dataclass(frozen=True, slots=True)
class Used:
    """How a key is used; what somebody may not see is None."""

    last: LastUse | None
    sources: list[Source]
    drawn: chart.Chart | None
    refusals: list[dict[str, Any]] | None


async def show(browser: Browser) -> Reply:
    """Show it."""
    return await one(browser, done=_DONE.get(browser.query.get("done", ""), ""))


async def one(browser: Browser, *, done: str = "", receipt: Receipt | None = None) -> Reply:
    """Show a key as it is now, below what was just done to it and who follows."""
    door, caller, now = browser.door, browser.caller, browser.door.clock()
    key = await run_in_threadpool(found, browser, "read")
    unused = await run_in_threadpool(
        narrowing.unused,
        door.store,
        door.usage,
        browser.policy,
        caller,
        key.id,
        *keys.reach(caller, "read"),
        days=narrowing.DAYS,
        now=now,
    )
    people = await run_in_threadpool(users.names, door.store, caller, [key.owner_id])
    titles = {one.id: one.title for one in browser.policy.services.values()}
    shown = f"/keys/{key.id}"
    return browser.page(
        "key.html",
        key=key,
        state=state_of(key, now),
        owner=people.get(key.owner_id, key.owner_id),
        services=[titles.get(one, one) for one in key.services],
        scopes=_in_words(browser, unused),
        unused=unused,
        narrowable=narrowable(key, unused),
        used=await run_in_threadpool(used, browser, key, now),
        rotated=await run_in_threadpool(_rotated, browser, key),
        may_change=keys.is_reached(caller, "write", key),
        done=browser.words(done),
        receipt=receipt,
        shown=shown,
        now=now,
        cli=(
            f"latchgate key show {key.id}",
            f"latchgate key unused {key.id}",
            f"latchgate usage show --credential {key.id} --by outcome,day",
        ),
    )


def found(browser: Browser, verb: keys.Verb) -> StoredKey:
    """Return the key of a page's address; NotFoundError unless it is there for who asks."""
    caller = browser.caller
    return keys.shown(browser.door.store, caller, browser.id, *keys.reach(caller, verb))


def narrowable(key: StoredKey, unused: Unused) -> bool:
    """Whether a key holds something that it is known not to need."""
    return key.revoked_at is None and unused.proven and bool(unused.unused)


def used(browser: Browser, key: StoredKey, now: float) -> Used:
    """Return how a key is used, as far as who asks may see it."""
    reader, caller = browser.door.usage, browser.caller
    mine = key.owner_id == caller.owner.id
    refusals = None
    if mine or browser.may("manage:decisions.read", "operator:decisions.read"):
        kept = reader.refusals(caller.tenant_id, limit=REFUSALS, credential_id=key.id)
        refusals = [worded(one) for one in kept]
    return Used(
        reader.last_uses([key.id]).get(key.id),
        reader.sources(key.id, since=now - DAYS * _DAY),
        _drawn(browser, key, now) if mine or browser.may("manage:usage.read") else None,
        refusals,
    )


def _drawn(browser: Browser, key: StoredKey, now: float) -> chart.Chart:
    """Draw what was allowed and refused on each of the last days."""
    first = Period.DAY.start(now) - (DAYS - 1) * _DAY
    asked = Asked(("outcome", "day"), Period.DAY, first, now + 1, {"credential": key.id})
    rows = usage.report(browser.door.usage, browser.caller, asked).rows
    counts = {(row["outcome"], row["at"]): row["count"] for row in rows}
    days = [rfc3339(first + number * _DAY) for number in range(DAYS)]
    return chart.drawn(
        (browser.words(N_("allowed")), browser.words(N_("refused"))),
        [
            chart.Bar(
                day.partition("T")[0],
                (counts.get(("allowed", day), 0), counts.get(("refused", day), 0)),
            )
            for day in days
        ],
    )


def _in_words(browser: Browser, unused: Unused) -> tuple[Group, ...]:
    return in_words(browser.policy, tuple(unused.scopes))


def _rotated(browser: Browser, key: StoredKey) -> StoredRotation | None:
    """Return how far the rotation is that gave a key its successor."""
    if key.superseded_by is None:
        return None
    caller = browser.caller
    rows = keys.rows(caller, *keys.reach(caller, "read"))
    return rotation.shown(browser.door.store, key.id, rows)
