"""Webhooks: where alerts and other events are sent, and how what was sent fared.

Rule of this file: a secret is in the answer to the form that drew it, and nowhere else.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.core.event import Event
from latchgate.core.secret import Secret
from latchgate.doors.console import lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec, read_version
from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.manage import delivery_queue, webhooks
from latchgate.manage.errors import InvalidError
from latchgate.manage.webhooks import StoredWebhook, WebhookPatch, WebhookSpec, Whose

READ, WRITE = "manage:webhooks.read", "manage:webhooks.write"
EVENTS: Mapping[Event, str] = {
    Event.ALERT_RAISED: N_("An alert was raised"),
    Event.CREDENTIAL_EXPIRING: N_("A credential expires soon"),
    Event.CREDENTIAL_ROTATION_DUE: N_("A credential should be rotated"),
    Event.CREDENTIAL_UNUSED: N_("An unused credential will be disabled"),
    Event.CREDENTIAL_DISABLED: N_("An unused credential was disabled"),
    Event.CREDENTIAL_ROTATED: N_("A credential was rotated"),
    Event.CREDENTIAL_GRACE_ENDED: N_("A rotated credential has ended"),
    Event.CREDENTIAL_LEAKED: N_("A credential was found in public"),
    Event.WEBHOOK_TEST: N_("A test"),
}
_WHOSE: Mapping[Whose, str] = {
    Whose.TENANT: N_("This organisation"),
    Whose.OPERATOR: N_("Nobody in particular (for operators)"),
}
_STATES = {
    "pending": N_("on its way"),
    "delivered": N_("delivered"),
    "failed": N_("failed"),
}
_DONE = {
    "again": N_(
        "It was made when you sent the form before, and its secret was shown then. If that is"
        " lost, draw a new one."
    ),
    "changed": N_("The webhook was changed."),
    "deleted": N_("The webhook was deleted, with what was on its way to it."),
    "tested": N_("A test is on its way. Load this page again to see how it went."),
}
_BASE = "/alerts/webhooks"
_KNOWN = ("url", "events", "description", "whose")


async def show_all(browser: Browser) -> Reply:
    """List them."""
    asked = lists.read(browser, webhooks.LISTING)
    door = browser.door
    found, following = await run_in_threadpool(
        webhooks.listed, door.store, browser.caller, asked.query, now=door.clock()
    )
    return browser.page(
        "webhooks.html",
        found=found,
        following=following,
        asked=asked,
        events=EVENTS,
        operator=browser.may(webhooks.OPERATOR),
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
        cli=("latchgate webhook list",),
    )


async def show(browser: Browser) -> Reply:
    """Show one, and what was sent to it."""
    asked = lists.read(browser, delivery_queue.LISTING)
    door, caller = browser.door, browser.caller
    one = await run_in_threadpool(webhooks.shown, door.store, caller, browser.id)
    sent, following = await run_in_threadpool(
        webhooks.deliveries, door.store, caller, one.id, asked.query, now=door.clock()
    )
    return browser.page(
        "webhook.html",
        one=one,
        sent=sent,
        following=following,
        asked=asked,
        events=EVENTS,
        whose=_WHOSE,
        states=_STATES,
        choices=browser.choices(_STATES),
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
        cli=(
            f"latchgate webhook show {one.id}",
            f"latchgate webhook test {one.id}",
            f"latchgate webhook deliveries {one.id}",
        ),
    )


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return _new(browser, {"whose": str(Whose.TENANT)}, ())


async def take_new(browser: Browser) -> Reply:
    """Make it, and show its secret."""
    door, form = browser.door, browser.form
    chosen = browser.chosen["events"]
    told = {
        "url": form.get("url", "").strip(),
        "events": list(chosen),
        "description": form.get("description", ""),
        "whose": or_none(form.get("whose")),
    }
    try:
        spec = read_spec(WebhookSpec, told)
        made, secret = await run_in_threadpool(
            webhooks.create,
            door.store,
            browser.caller,
            spec,
            master=lambda: master.load(door.master_key),
            allowed=door.webhook_networks,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return _new(browser, form, chosen, error)
    except KeyringError as error:
        return browser.repeat(503, f"{error}.")
    if secret is None:
        return browser.redirect(f"{_BASE}/{made.id}?done=again")
    return _once(browser, made, secret, N_("The webhook was made."))


async def show_change(browser: Browser) -> Reply:
    """Show the form that changes one."""
    one = await _one(browser)
    told = {"url": one.url, "description": one.description}
    return _change(browser, one, told | {"active": "on" if one.active else ""}, one.events)


async def take_change(browser: Browser) -> Reply:
    """Change it."""
    one, form, chosen = await _one(browser), browser.form, browser.chosen["events"]
    told: dict[str, Any] = {
        "url": form.get("url", "").strip(),
        "events": list(chosen),
        "description": form.get("description", ""),
        "active": "active" in form,
    }
    try:
        await run_in_threadpool(
            webhooks.change_webhook,
            browser.door.store,
            browser.caller,
            one.id,
            read_spec(WebhookPatch, told),
            allowed=browser.door.webhook_networks,
            match=read_version(browser),
        )
    except InvalidError as error:
        return _change(browser, one, form, chosen, error)
    return browser.redirect(f"{_BASE}/{one.id}?done=changed")


async def test(browser: Browser) -> Reply:
    """Send a test to it."""
    door = browser.door
    await run_in_threadpool(
        webhooks.test, door.store, browser.caller, browser.id, entropy=door.entropy
    )
    return browser.redirect(f"{_BASE}/{browser.id}?done=tested")


async def show_secret(browser: Browser) -> Reply:
    """Ask whether a new secret shall be drawn."""
    one = await _one(browser)
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Draw a new secret?")),
        what=(
            browser.words(N_("For a day, what is sent is signed with the old secret and the new.")),
            browser.words(N_("Put the new one where %(url)s checks signatures."), url=one.url),
        ),
        action=f"{_BASE}/{one.id}/secret",
        carried={"version": f"{one.version}"},
        verb=browser.words(N_("Draw it")),
        back=f"{_BASE}/{one.id}",
        cli=(f"latchgate webhook new-secret {one.id}",),
    )


async def take_secret(browser: Browser) -> Reply:
    """Draw it, and show it."""
    door = browser.door
    try:
        one, secret = await run_in_threadpool(
            webhooks.renew_secret,
            door.store,
            browser.caller,
            browser.id,
            master=lambda: master.load(door.master_key),
            entropy=door.entropy,
            match=read_version(browser),
        )
    except KeyringError as error:
        return browser.repeat(503, f"{error}.")
    return _once(browser, one, secret, N_("The new secret was drawn."))


async def show_delete(browser: Browser) -> Reply:
    """Ask whether it shall go."""
    one = await _one(browser)
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Delete this webhook?")),
        what=(
            browser.words(N_("Nothing is sent to %(url)s any more, at once."), url=one.url),
            browser.words(N_("What is on its way to it now is lost.")),
        ),
        action=f"{_BASE}/{one.id}/delete",
        carried={"version": f"{one.version}"},
        verb=browser.words(N_("Delete it")),
        back=f"{_BASE}/{one.id}",
        cli=(f"latchgate webhook delete {one.id}",),
    )


async def take_delete(browser: Browser) -> Reply:
    """Delete it."""
    match = read_version(browser)
    await run_in_threadpool(
        webhooks.delete, browser.door.store, browser.caller, browser.id, match=match
    )
    return browser.redirect(f"{_BASE}?done=deleted")


async def _one(browser: Browser) -> StoredWebhook:
    return await run_in_threadpool(webhooks.shown, browser.door.store, browser.caller, browser.id)


def _once(browser: Browser, one: StoredWebhook, secret: Secret, done: str) -> Reply:
    """Show a secret in this one answer."""
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("The secret of a webhook")),
        done=browser.words(done),
        name=one.url,
        parts=(
            (browser.words(N_("Id")), one.id),
            (browser.words(N_("Signing secret")), secret.reveal()),
        ),
        samples=(),
        back=f"{_BASE}/{one.id}",
    )


def _new(
    browser: Browser,
    told: Mapping[str, str],
    chosen: tuple[str, ...],
    error: InvalidError | None = None,
) -> Reply:
    command = ["latchgate", "webhook", "create", "--url", "https://hooks.example.com/latchgate"]
    return browser.page(
        "webhook_new.html",
        status=422 if error else 200,
        told=told,
        chosen=chosen,
        known=_KNOWN,
        faults=by_field(error) if error else {},
        events=browser.choices(EVENTS),
        whose=browser.choices(_WHOSE) if browser.may(webhooks.OPERATOR) else [],
        cli=(shlex.join([*command, "--event", str(Event.ALERT_RAISED)]),),
    )


def _change(
    browser: Browser,
    one: StoredWebhook,
    told: Mapping[str, str],
    chosen: tuple[str, ...] | list[str],
    error: InvalidError | None = None,
) -> Reply:
    return browser.page(
        "webhook_change.html",
        status=422 if error else 200,
        one=one,
        told=told,
        chosen=chosen,
        version=told.get("version", f"{one.version}"),
        known=_KNOWN,
        faults=by_field(error) if error else {},
        events=browser.choices(EVENTS),
        cli=(f"latchgate webhook update {one.id} --inactive",),
    )


_SEVERAL = frozenset({"events"})
_VERSION = frozenset({"version"})
PAGES = (
    Page(
        _BASE,
        show=show_all,
        query=lists.names(webhooks.LISTING) | {"done"},
        scopes=(READ,),
    ),
    Page(
        f"{_BASE}/new",
        show=show_new,
        take=take_new,
        fields=frozenset(_KNOWN),
        several=_SEVERAL,
        scopes=(WRITE,),
    ),
    Page(
        f"{_BASE}/{{id}}",
        show=show,
        query=lists.names(delivery_queue.LISTING) | {"done"},
        scopes=(READ,),
    ),
    Page(
        f"{_BASE}/{{id}}/change",
        show=show_change,
        take=take_change,
        fields=frozenset({"url", "events", "description", "active", "version"}),
        several=_SEVERAL,
        scopes=(WRITE,),
    ),
    Page(f"{_BASE}/{{id}}/test", take=test, scopes=(WRITE,)),
    Page(
        f"{_BASE}/{{id}}/secret",
        show=show_secret,
        take=take_secret,
        fields=_VERSION,
        scopes=(WRITE,),
    ),
    Page(
        f"{_BASE}/{{id}}/delete",
        show=show_delete,
        take=take_delete,
        fields=_VERSION,
        scopes=(WRITE,),
    ),
)
