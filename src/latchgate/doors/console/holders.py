"""Who holds roles in a project, or a role anywhere, as those pages show them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.manage import holdings, users
from latchgate.manage.holdings import Holding
from latchgate.manage.listing import Query
from latchgate.manage.users import StoredUser

FIRST = 50  # that are shown; the list of people has the rest

Holders = list[tuple[StoredUser, list[Holding]]]


async def holders(browser: Browser, wanted: Mapping[str, str]) -> tuple[Holders | None, bool]:
    """Return the first holders with what they hold that meets `wanted`, and whether there are more.

    `wanted` names `project_id` or `role_id`. None for who may not list people.
    """
    if not browser.may("manage:users.read"):
        return None, False
    return await run_in_threadpool(_holders, browser, wanted)


def _holders(browser: Browser, wanted: Mapping[str, str]) -> tuple[Holders, bool]:
    store, caller, now = browser.door.store, browser.caller, browser.door.clock()
    query = Query(limit=FIRST, sort=("name",), filters=wanted)
    found, following = users.listed(store, caller, query, now=now)
    meant = {one.id: [held for held in one.roles if _meets(held, wanted)] for one in found}
    every = holdings.named(store, caller, [held for one in meant.values() for held in one])
    named = {(one.project_id, one.role_id): one for one in every}
    told = [
        (
            one,
            [
                named[held.project_id, held.role_id]
                for held in meant[one.id]
                if (held.project_id, held.role_id) in named
            ],
        )
        for one in found
    ]
    return told, following is not None


def _meets(held: users.Held, wanted: Mapping[str, str]) -> bool:
    told = {"project_id": held.project_id, "role_id": held.role_id}
    return all(told[name] == value for name, value in wanted.items())
