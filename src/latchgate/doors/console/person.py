"""One person's page: who they are, what they hold, how they sign in, and what just changed.

Rule of this file: whatever was changed about somebody ends here, with its receipt.
"""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.core.policy import Policy
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.manage import authenticators, holdings, identities, links, projects, storage, users
from latchgate.manage.listing import Query
from latchgate.manage.projects import StoredProject
from latchgate.manage.users import StoredUser
from latchgate.signin import session
from latchgate.verify.receipt import Receipt

MOST = 200  # that a choice offers; where there are more, the id is typed
SIGN_INS = "manage:audit.read"  # as for the journal, which says the same
DONE = {
    "made": N_("They were made. Give them a role in a project next, then a password."),
    "before": N_("This form was sent before: here is what it made."),
    "subaccount": N_("The subaccount was made. Its password opens the API from now on."),
    "storage": N_("Their storage was changed."),
    "linked": N_("They can sign in with that account from now on."),
    "factors": N_("They sign in with the password alone now."),
}
# Pages with what somebody has, and the scope that shows other people's there.
_THEIRS = (
    ("/keys", N_("Their API keys"), "manage:keys.read"),
    ("/audit", N_("What they did"), "manage:audit.read"),
)


async def who_of(browser: Browser) -> StoredUser:
    """Return the person that the path names; NotFoundError."""
    return await run_in_threadpool(users.shown, browser.door.store, browser.caller, browser.id)


async def person_page(browser: Browser, *, done: str = "", receipt: Receipt | None = None) -> Reply:
    """Show the person that the path names; `done` is what just happened, to be put in words."""
    one = await who_of(browser)
    about = await run_in_threadpool(_about, browser, one)
    return browser.page(
        "person.html",
        one=one,
        done=browser.words(done),
        receipt=receipt,
        mine=one.id == browser.who.user_id,
        theirs=_theirs(browser, one.id),
        providers=browser.door.providers.providers,
        cli=(
            f"latchgate user show {one.id}",
            f"latchgate user give-role {one.id} PROJECT ROLE",
            f"latchgate account password issue --user {one.id}",
        ),
        **about,
    )


def keeps_storage(policy: Policy) -> bool:
    """Whether programs are told of somebody's storage (TeraCLOUD's are)."""
    return any(area.dialect == "teracloud" for area in policy.areas)


def projects_of(browser: Browser) -> list[StoredProject] | None:
    """Return the projects to choose among, by name; None where they are too many, or not told."""
    if not browser.may("manage:projects.read"):
        return None
    wanted = Query(limit=MOST, sort=("name",), filters={"active": "true"})
    store, now = browser.door.store, browser.door.clock()
    found, more = projects.listed(store, browser.caller, wanted, now=now)
    return None if more else found


def _about(browser: Browser, one: StoredUser) -> dict[str, Any]:
    store, caller = browser.door.store, browser.caller
    sessions = None
    if browser.may(SIGN_INS):
        sessions = session.listed(store, one.id, now=browser.door.clock())
    roles = holdings.offered(store, caller) if browser.may("manage:roles.read") else None
    handable = None if roles is None else [role for role in roles if role.handable]
    return {
        "held": holdings.named(store, caller, one.roles),
        "logins": identities.logins_of(store, one.id),
        "linked": links.listed(store, caller, one.id),
        "stored": storage.shown(store, caller, one.id) if keeps_storage(browser.policy) else None,
        "factors": authenticators.factors(store, one.id),
        "sessions": sessions,
        "roles": None if handable is None or len(handable) > MOST else handable,
        "projects": projects_of(browser),
    }


def _theirs(browser: Browser, user_id: str) -> list[tuple[str, str]]:
    """Return where to see what somebody has: addresses with their titles."""
    there = {one.path for group in browser.frame.menu.groups for one in group.entries}
    query = {"/keys": f"owner_id={user_id}", "/audit": f"actor=user%3A{user_id}"}
    return [
        (f"{path}?{query[path]}", browser.words(title))
        for path, title, scope in _THEIRS
        if path in there and browser.may(scope)
    ]
