"""API keys: their list, and the pages of each.

Rule of this file: whose keys somebody may see is asked of the rules (`manage.keys.reach`) and
is part of the query, never taken out of its answer.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import key_changes, key_new, key_rotation, key_shown, lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.key_new import titled
from latchgate.doors.console.page import Page
from latchgate.manage import keys, users
from latchgate.manage.key_terms import handed_out
from latchgate.manage.states import STATES, state_of

READ = ("manage:keys.read", "own:keys.read")
WRITE = ("manage:keys.write", "own:keys.write")
NEWEST = "-created_at"
MOST_SCOPES = 12  # that a row of the list spells out; the key's own page has all


async def show(browser: Browser) -> Reply:
    """List the keys that somebody may see."""
    door, caller, now = browser.door, browser.caller, browser.door.clock()
    asked = lists.read(browser, keys.LISTING, sort=NEWEST)
    whose = keys.reach(caller, "read")
    found, following = await run_in_threadpool(
        keys.listed, door.store, caller, asked.query, *whose, now=now
    )
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    everyone = browser.may("manage:keys.read")
    owners = {one.owner_id for one in found} | {asked.value("owner_id")} - {""}
    named = await run_in_threadpool(users.names, door.store, caller, owners) if everyone else {}
    services = {one.id: one.title for one in browser.policy.services.values()}
    return browser.page(
        "keys.html",
        asked=asked,
        following=following,
        rows=[(one, state_of(one, now), uses.get(one.id)) for one in found],
        services=services,
        offered=[(one.id, one.title) for one in titled(browser.policy)],
        states=STATES,
        owners=named,
        everyone=everyone,
        most=MOST_SCOPES,
        may_make=browser.may(*WRITE) and bool(handed_out(browser.policy, caller.rights)),
        cli=("latchgate key list --sort=-created_at",),
    )


_ONE = "/keys/{id}"
PAGES = (
    Page("/keys", show=show, query=lists.names(keys.LISTING), scopes=READ),
    Page(
        "/keys/new",
        show=key_new.show,
        take=key_new.create,
        fields=key_new.FIELDS,
        several=key_new.SEVERAL,
        scopes=WRITE,
    ),
    Page(_ONE, show=key_shown.show, query=frozenset({"done"}), scopes=READ),
    Page(
        f"{_ONE}/change",
        show=key_changes.show_change,
        take=key_changes.change,
        fields=frozenset({"name", "description", "version"}),
        scopes=WRITE,
    ),
    Page(
        f"{_ONE}/narrow",
        show=key_changes.show_narrow,
        take=key_changes.narrow,
        fields=frozenset({"version"}),
        several=frozenset({"scopes"}),
        scopes=WRITE,
    ),
    Page(
        f"{_ONE}/rotate",
        show=key_rotation.show,
        take=key_rotation.rotate,
        fields=frozenset({"grace", "until_quiet", "version"}),
        scopes=WRITE,
    ),
    Page(f"{_ONE}/disable", show=key_changes.ask_disable, take=key_changes.disable, scopes=WRITE),
    Page(f"{_ONE}/enable", show=key_changes.ask_enable, take=key_changes.enable, scopes=WRITE),
    Page(f"{_ONE}/revoke", show=key_changes.ask_revoke, take=key_changes.revoke, scopes=WRITE),
)
