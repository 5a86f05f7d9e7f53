"""Alerts: what a tenant wants to be told of, made, changed and deleted, and when each was raised.

Rule of this file: what an alert may watch, and from which number on, is `manage.alerts`'s to say;
here its kinds and its raises are put into words.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec, read_version, read_whole
from latchgate.manage import alerts, projects
from latchgate.manage.alerts import COUNTED, AlertPatch, AlertSpec, Per, StoredAlert, Watch
from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import MAX_PAGE, Query

READ, WRITE = "manage:alerts.read", "manage:alerts.write"
KINDS: Mapping[Watch, str] = {
    Watch.REQUESTS_PER_DAY: N_("Requests in a day"),
    Watch.REFUSALS_PER_MINUTE: N_("Refusals in a minute"),
    Watch.NEW_NETWORK: N_("Use from a new network"),
    Watch.ENVIRONMENTS: N_("One key in several environments"),
    Watch.APPLICATIONS: N_("One credential with several applications"),
    Watch.BILLING: N_("What a month costs"),
}
PER: Mapping[Per, str] = {
    Per.CREDENTIAL: N_("Each credential"),
    Per.PROJECT: N_("Each project"),
    Per.TENANT: N_("The whole organisation"),
    Per.EVERYBODY: N_("Everybody (for operators)"),
}
_DONE = {
    "made": N_("The alert was made."),
    "changed": N_("The alert was changed."),
    "deleted": N_("The alert was deleted, with its history."),
}
_KNOWN = (
    "name",
    "kind",
    "threshold",
    "amount",
    "currency",
    "per",
    "project_id",
    "credential_id",
)


async def show_all(browser: Browser) -> Reply:
    """List them."""
    asked = lists.read(browser, alerts.LISTING)
    door = browser.door
    found, following = await run_in_threadpool(
        alerts.listed, door.store, browser.caller, asked.query, now=door.clock()
    )
    return browser.page(
        "alerts.html",
        found=found,
        following=following,
        asked=asked,
        kinds=KINDS,
        choices=browser.choices(KINDS),
        per=PER,
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
        cli=("latchgate alert list",),
    )


async def show(browser: Browser) -> Reply:
    """Show one, and when it was raised."""
    asked = lists.read(browser, alerts.HISTORY)
    door, caller = browser.door, browser.caller
    one = await run_in_threadpool(alerts.shown, door.store, caller, browser.id)
    raised, following = await run_in_threadpool(
        alerts.history, door.store, caller, one.id, asked.query, now=door.clock()
    )
    return browser.page(
        "alert.html",
        one=one,
        raised=raised,
        following=following,
        asked=asked,
        kinds=KINDS,
        per=PER,
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
        cli=(f"latchgate alert show {one.id}", f"latchgate alert history {one.id}"),
    )


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one; the address may name the credential that it is to watch."""
    told = {"kind": str(Watch.REQUESTS_PER_DAY), "per": str(Per.CREDENTIAL)}
    return await _new(browser, told | dict(browser.query))


async def take_new(browser: Browser) -> Reply:
    """Make it."""
    door, form = browser.door, browser.form
    try:
        spec = read_spec(AlertSpec, _told(form))
        made, _ = await run_in_threadpool(
            alerts.create,
            door.store,
            browser.caller,
            spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return await _new(browser, form, error)
    return browser.redirect(f"/alerts/{made.id}?done=made")


async def show_change(browser: Browser) -> Reply:
    """Show the form that changes one."""
    one = await _one(browser)
    told = {"name": one.name, "active": "on" if one.active else ""}
    told |= {"threshold": f"{one.threshold or ''}", "amount": one.amount or ""}
    return _change(browser, one, told)


async def take_change(browser: Browser) -> Reply:
    """Change it."""
    one, form = await _one(browser), browser.form
    told: dict[str, Any] = {"name": form.get("name", ""), "active": "active" in form}
    try:
        if one.kind in COUNTED:
            told["threshold"] = read_whole("threshold", form.get("threshold"))
        if one.kind is Watch.BILLING:
            told["amount"] = form.get("amount", "").strip()
        await run_in_threadpool(
            alerts.change_alert,
            browser.door.store,
            browser.caller,
            one.id,
            read_spec(AlertPatch, told),
            match=read_version(browser),
        )
    except InvalidError as error:
        return _change(browser, one, form, error)
    return browser.redirect(f"/alerts/{one.id}?done=changed")


async def show_delete(browser: Browser) -> Reply:
    """Ask whether it shall go."""
    one = await _one(browser)
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Delete the alert %(name)s?"), name=one.name),
        what=(
            browser.words(N_("Nothing is watched by it any more, at once.")),
            browser.words(N_("The list of when it was raised is deleted with it.")),
        ),
        action=f"/alerts/{one.id}/delete",
        carried={"version": f"{one.version}"},
        verb=browser.words(N_("Delete it")),
        back=f"/alerts/{one.id}",
        cli=(f"latchgate alert delete {one.id}",),
    )


async def take_delete(browser: Browser) -> Reply:
    """Delete it."""
    await run_in_threadpool(
        alerts.delete,
        browser.door.store,
        browser.caller,
        browser.id,
        match=read_version(browser),
    )
    return browser.redirect("/alerts?done=deleted")


async def _one(browser: Browser) -> StoredAlert:
    return await run_in_threadpool(alerts.shown, browser.door.store, browser.caller, browser.id)


def _told(form: Mapping[str, str]) -> dict[str, object]:
    """Return a form's fields as those of what is asked for; empty ones are absent."""
    told: dict[str, object] = {name: or_none(form.get(name)) for name in _KNOWN}
    currency = or_none(form.get("currency"))
    number = read_whole("threshold", form.get("threshold"))
    return told | {
        "name": form.get("name", "").strip(),
        "threshold": number,
        "currency": currency.upper() if currency else None,
    }


async def _new(
    browser: Browser, told: Mapping[str, str], error: InvalidError | None = None
) -> Reply:
    per = {one: words for one, words in PER.items() if _offered(browser, one)}
    return browser.page(
        "alert_new.html",
        status=422 if error else 200,
        told=told,
        faults=by_field(error) if error else {},
        known=_KNOWN,
        kinds=browser.choices(KINDS),
        per=browser.choices(per),
        currencies=_currencies(browser),
        projects=await _projects(browser),
        cli=(_command(told),),
    )


def _offered(browser: Browser, per: Per) -> bool:
    return per is not Per.EVERYBODY or browser.may(alerts.EVERYBODY)


def _currencies(browser: Browser) -> list[str]:
    """Return those that the policy's prices are in."""
    services = browser.policy.services.values()
    return sorted({price.currency for one in services for price in one.prices.values()})


async def _projects(browser: Browser) -> list[tuple[str, str]]:
    """Return ids and names of the projects that may be chosen: all that one may see."""
    if not browser.may("manage:projects.read"):
        return [(one.id, one.name) for one in browser.standing.projects]
    door = browser.door
    query = Query(limit=MAX_PAGE, sort=("name",))
    found, _ = await run_in_threadpool(
        projects.listed, door.store, browser.caller, query, now=door.clock()
    )
    return [(one.id, one.name) for one in found]


def _change(
    browser: Browser,
    one: StoredAlert,
    told: Mapping[str, str],
    error: InvalidError | None = None,
) -> Reply:
    return browser.page(
        "alert_change.html",
        status=422 if error else 200,
        one=one,
        told=told,
        version=told.get("version", f"{one.version}"),
        faults=by_field(error) if error else {},
        kinds=KINDS,
        per=PER,
        cli=(f"latchgate alert update {one.id} --inactive",),
    )


def _command(told: Mapping[str, str]) -> str:
    """Return the command that makes the same; what is not told yet stands as an example."""
    words = ["latchgate", "alert", "create", "--name", or_none(told.get("name")) or "NAME"]
    kind = told.get("kind", "")
    words += ["--kind", kind or str(Watch.REQUESTS_PER_DAY)]
    limits = {"threshold": "10000"} if kind in COUNTED else {}
    if kind == Watch.BILLING:
        limits = {"amount": "100.00", "currency": "EUR"}
    for name, example in limits.items():
        words += [f"--{name}", or_none(told.get(name)) or example]
    return shlex.join(words)


_FIELDS = frozenset(_KNOWN)
PAGES = (
    Page(
        "/alerts",
        show=show_all,
        query=lists.names(alerts.LISTING) | {"done"},
        scopes=(READ,),
    ),
    Page(
        "/alerts/new",
        show=show_new,
        take=take_new,
        fields=_FIELDS,
        query=_FIELDS,
        scopes=(WRITE,),
    ),
    Page(
        "/alerts/{id}",
        show=show,
        query=lists.names(alerts.HISTORY) | {"done"},
        scopes=(READ,),
    ),
    Page(
        "/alerts/{id}/change",
        show=show_change,
        take=take_change,
        fields=frozenset({"name", "threshold", "amount", "active", "version"}),
        scopes=(WRITE,),
    ),
    Page(
        "/alerts/{id}/delete",
        show=show_delete,
        take=take_delete,
        fields=frozenset({"version"}),
        scopes=(WRITE,),
    ),
)
