"""The access keys of another user of the tenant: listed, and deleted by an administrator.

Rule of this file: nobody's own are here; deleting those takes a proof (`access_keys`).
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.core.model import Noun, Project
from latchgate.doors.console import lists
from latchgate.doors.console.access_keys import offered
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.manage import access_keys, users
from latchgate.manage.access_keys import StoredAccessKey
from latchgate.manage.states import state_of

_OWN = "/access-keys"
_PATH = f"{_OWN}/of/{{id}}"
_KEY = "key"


async def show(browser: Browser) -> Reply:
    """List them; one's own are on a page of their own."""
    door, now = browser.door, browser.door.clock()
    if browser.id == browser.caller.owner.id:
        return browser.redirect(_OWN)
    asked = lists.read(browser, access_keys.LISTING)
    user = await run_in_threadpool(users.shown, door.store, browser.caller, browser.id)
    found, following = await run_in_threadpool(
        access_keys.listed,
        door.store,
        browser.policy,
        browser.caller,
        asked.query,
        now=now,
        user_id=user.id,
    )
    uses = await run_in_threadpool(door.usage.last_uses, [one.id for one in found])
    return browser.page(
        "access_keys.html",
        asked=asked,
        following=following,
        found=[(one, state_of(one, now), uses.get(one.id)) for one in found],
        projects=await run_in_threadpool(_projects, browser, found),
        of=user,
        removes=browser.may("manage:users.write"),
    )


async def confirm(browser: Browser) -> Reply:
    """Ask before one is deleted."""
    key_id = browser.query.get(_KEY, "")
    store, policy, who = browser.door.store, browser.policy, browser.caller
    user = await run_in_threadpool(users.shown, store, who, browser.id)
    key = await run_in_threadpool(access_keys.shown, store, policy, who, key_id, user_id=browser.id)
    what = (
        N_("It and every token of it are refused from that moment, for good."),
        N_("It is another user's: tell them, or their programs stop without a word."),
    )
    return browser.page(
        "confirm.html",
        question=browser.words(
            N_("Delete the access key %(name)s of %(user)s?"), name=key.name, user=user.name
        ),
        what=[browser.words(one) for one in what],
        action=browser.path,
        carried={_KEY: key.id},
        verb=browser.words(N_("Delete it")),
        back=_PATH.replace("{id}", browser.id),
        once="",
    )


async def delete(browser: Browser) -> Reply:
    """Delete one, and say who follows."""
    door, key_id = browser.door, browser.form.get(_KEY, "")
    key, n = await run_in_threadpool(
        access_keys.delete_of, door.store, browser.policy, browser.caller, browser.id, key_id
    )
    return browser.page(
        "credential_ended.html",
        heading=browser.words(N_("The access key was deleted")),
        name=key.name,
        told=(browser.words(N_("Its tokens ended with it, and its name is free again.")),),
        receipt=await door.acknowledged(n),
        back=_PATH.replace("{id}", browser.id),
        back_words=browser.words(N_("Back to their access keys")),
    )


def _projects(browser: Browser, found: list[StoredAccessKey]) -> dict[str, str]:
    """Return the names of the projects of keys, by id."""
    wanted = [(Noun.PROJECT, one) for one in dict.fromkeys(key.project_id for key in found)]
    records = browser.door.engine.records(wanted).values() if wanted else ()
    return {one.id: one.name for one in records if isinstance(one, Project)}


PAGES = (
    Page(
        _PATH,
        show=show,
        query=lists.names(access_keys.LISTING),
        scopes=("manage:users.read",),
        offered=offered,
    ),
    Page(
        f"{_PATH}/delete",
        show=confirm,
        take=delete,
        query=frozenset({_KEY}),
        fields=frozenset({_KEY}),
        scopes=("manage:users.write",),
        offered=offered,
    ),
)
