"""Who is signed in: their account, its unique id, and what their roles let them do."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.core.policy import Policy
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.page import Page
from latchgate.manage import profile
from latchgate.manage.passwords import NAMESPACE
from latchgate.manage.profile import HeldProject, HeldRole
from latchgate.oauth.consent import Group, in_words


async def show(browser: Browser) -> Reply:
    """Show it."""
    found = await run_in_threadpool(profile.shown, browser.door.store, browser.person)
    others = {name: login for name, login in found.logins.items() if name != NAMESPACE}
    return browser.page(
        "profile.html",
        found=found,
        login=found.logins.get(NAMESPACE),
        logins=others,
        projects=[(one, _in_words(browser.policy, one)) for one in found.projects],
        now_in=browser.standing.caller.credential.project_id if browser.standing.caller else "",
        cli=("latchgate whoami",),
    )


def _in_words(policy: Policy, project: HeldProject) -> list[tuple[HeldRole, tuple[Group, ...]]]:
    return [(one, in_words(policy, tuple(one.scopes))) for one in project.roles]


PAGES = (Page("/profile", show=show),)
