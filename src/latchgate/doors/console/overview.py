"""The overview: what happened of late, and what wants doing.

Rule of this file: it shows what is found elsewhere, a few of each, and where the rest is; what
somebody may not see is not asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.core.timestamp import rfc3339
from latchgate.doors.console.alerts import KINDS
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.chart import Chart
from latchgate.doors.console.counted import charted
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.manage import alerts, applications, lifetimes, narrowing, overview
from latchgate.manage.listing import Query
from latchgate.manage.overview import Counts
from latchgate.manage.usage import EVERY_TENANT, Table
from latchgate.store.usage import Period

FEW = 5  # of each sort
LOOKED_AT = 25  # of the oldest credentials, for rights that they don't use
LATELY = 7 * 86_400.0  # that an alert was raised
FAULTS = {
    "maximum_life": N_("lives longer than it may"),
    "rotation_age": N_("should be rotated"),
    "unused_after": N_("was not used for long"),
}
# Where credentials of a kind are seen, by the end of its name.
_PLACES = {
    "service_key": ("/keys", "/keys/{}"),
    "imported_key": ("/keys", "/keys/{}"),
    "api_token": ("/tokens", "/tokens"),
    "access_key": ("/access-keys", "/access-keys"),
    "app_password": ("/apps", "/apps"),
}
# The pages that somebody new begins at, each with what to do there and why.
_STEPS = (
    ("/keys", "/keys/new", N_("Make an API key"), N_("It lets a program of yours use the API.")),
    (
        "/security",
        "/security",
        N_("Add a passkey or an authenticator app"),
        N_("A password alone is too little for what opens your keys."),
    ),
    ("/people", "/people", N_("Bring in others"), N_("Give each person their own sign-in.")),
    (
        "/alerts",
        "/alerts/new",
        N_("Make an alert"),
        N_("Be told when something is used as it never was, or costs too much."),
    ),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A credential that something is said of; `place` is where it is seen, empty for nowhere."""

    name: str
    place: str
    told: Any


async def show(browser: Browser) -> Reply:
    """Show it."""
    if browser.standing.caller is None or not browser.standing.projects:
        return browser.page("overview_nothing.html")
    return browser.page("overview.html", **await run_in_threadpool(_looked_at, browser))


def _looked_at(browser: Browser) -> dict[str, Any]:
    """Return what is shown, by its name in the template."""
    store, caller, now = browser.door.store, browser.caller, browser.door.clock()
    places = _places(browser)
    few = FEW + 1  # one more tells that there are more
    begun = overview.has_credentials(store, caller)
    ending = overview.ending(store, caller, now=now, limit=few) if begun else []
    rotating = overview.rotating(store, caller, now=now, limit=few) if begun else []
    hours, days, own = _charts(browser, now)
    return {
        "hours": hours,
        "days": days,
        "own": own,
        "everybody": browser.may(EVERY_TENANT),
        "new": not begun and days.empty,
        "steps": _steps(places),
        "places": places,
        "ending": _items(ending, places),
        "rotating": _items(rotating, places),
        "overdue": _items(_overdue(browser, now), places),
        "unused": _items(_unused(browser, now), places),
        "few": FEW,
        "faults_of_life": FAULTS,
        "raised": _raised(browser, now),
        "kinds": KINDS,
        "waiting": applications.undecided(store) if _reviews(browser) else 0,
        "mine": overview.sign_ins(store, caller, own=True, limit=FEW),
        "theirs": _theirs(browser),
        "cli": _commands(browser),
    }


def _charts(browser: Browser, now: float) -> tuple[Chart, Chart, bool]:
    door = browser.door
    found = overview.requests(door.store, door.usage, browser.caller, now=now)
    hours = charted(browser, _table(found.hours), found.hours, Period.HOUR)
    days = charted(browser, _table(found.days), found.days, Period.DAY)
    return hours, days, found.own


def _table(counts: Counts) -> Table:
    rows = [
        {"at": rfc3339(at), "reason": reason, "count": count}
        for at, reasons in counts.items()
        for reason, count in reasons.items()
    ]
    return Table(("at", "reason", "count"), rows)


def _places(browser: Browser) -> frozenset[str]:
    """Return the paths that the menu offers to who asks."""
    seen = browser.frame.menu.seen_with(browser.caller.rights, browser.policy)
    return frozenset(entry.path for group in seen for entry in group.entries)


def _steps(places: Collection[str]) -> list[tuple[str, str, str]]:
    return [(path, what, why) for offered, path, what, why in _STEPS if offered in places]


def _items(found: Collection[Any], places: Collection[str]) -> list[Item]:
    return [Item(one.name or one.id, _place(one.kind, one.id, places), one) for one in found]


def _place(kind: str, record: str, places: Collection[str]) -> str:
    listed, path = _PLACES.get(kind.rpartition(".")[2], ("", ""))
    return path.format(record) if listed in places else ""


def _overdue(browser: Browser, now: float) -> list[lifetimes.Overdue]:
    if not browser.may("manage:lifetimes.read"):
        return []
    door = browser.door
    found, _ = lifetimes.overdue(
        door.store,
        browser.policy,
        browser.caller,
        Query(limit=FEW + 1),
        last_uses=door.usage.last_uses,
        now=now,
    )
    return found


def _unused(browser: Browser, now: float) -> list[narrowing.Unused]:
    """Return the oldest credentials that hold rights which they did not use for long."""
    if not browser.may(overview.EVERY_KEY):
        return []
    door, query = browser.door, Query(limit=LOOKED_AT)
    found, _ = narrowing.listed(
        door.store, door.usage, browser.policy, browser.caller, query, now=now
    )
    return [one for one in found if one.proven and one.unused][: FEW + 1]


def _raised(browser: Browser, now: float) -> list[alerts.StoredAlert]:
    if not browser.may("manage:alerts.read"):
        return []
    return alerts.lately(browser.door.store, browser.caller, since=now - LATELY, limit=FEW)


def _reviews(browser: Browser) -> bool:
    return browser.may("operator:applications.read")


def _theirs(browser: Browser) -> list[overview.SignIn]:
    if not browser.may(overview.EVERY_SIGN_IN):
        return []
    return overview.sign_ins(browser.door.store, browser.caller, own=False, limit=FEW)


def _commands(browser: Browser) -> tuple[str, ...]:
    told = (
        (overview.EVERY_USE, "latchgate usage show --by day,reason --since 30d"),
        ("manage:lifetimes.read", "latchgate lifetime overdue"),
        (overview.EVERY_KEY, "latchgate key unused"),
        (
            overview.EVERY_SIGN_IN,
            "latchgate audit list --action session.begin",
        ),
    )
    shown = tuple(command for scope, command in told if browser.may(scope))
    return shown or ("latchgate whoami",)


PAGES = (Page("/overview", show=show),)
