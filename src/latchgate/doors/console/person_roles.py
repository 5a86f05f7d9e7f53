"""The roles that somebody holds, by project: given and taken."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.person import person_page, who_of
from latchgate.manage import holdings, roles
from latchgate.manage.errors import NotFoundError
from latchgate.manage.users import Held

_WRITE = ("manage:users.write",)
_FIELDS = frozenset({"project_id", "role_id"})


async def give(browser: Browser) -> Reply:
    """Give a role in a project, and say who follows."""
    door, form = browser.door, browser.form
    held = Held(form.get("project_id", "").strip(), form.get("role_id", "").strip())
    _, n = await run_in_threadpool(roles.give, door.store, browser.caller, browser.id, held)
    done = N_("The role was given.")
    return await person_page(browser, done=done, receipt=await door.acknowledged(n))


async def ask_take(browser: Browser) -> Reply:
    """Ask once before a role is taken."""
    one = await who_of(browser)
    held = Held(browser.query.get("project_id", ""), browser.query.get("role_id", ""))
    if held not in one.roles:
        raise NotFoundError("the user does not hold this role in this project")
    (told,) = await run_in_threadpool(holdings.named, browser.door.store, browser.caller, [held])
    names = {"role": told.role, "project": told.project, "name": one.name}
    what = [N_("Whatever it alone lets %(name)s do in %(project)s is refused from now on.")]
    if one.id == browser.who.user_id:
        what.append(
            N_("This is you: pages that you open by this role close, and you may need somebody else"
               " to give it back.")
        )  # fmt: skip
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Take %(role)s in %(project)s from %(name)s?"), **names),
        what=[browser.words(text, **names) for text in what],
        action=f"/people/{one.id}/take",
        verb=browser.words(N_("Take the role")),
        back=f"/people/{one.id}",
        carried={"project_id": held.project_id, "role_id": held.role_id},
        cli=(f"latchgate user take-role {one.id} {held.project_id} {held.role_id}",),
    )


async def take(browser: Browser) -> Reply:
    """Take a role, and say who follows."""
    door, form = browser.door, browser.form
    held = Held(form.get("project_id", ""), form.get("role_id", ""))
    _, n = await run_in_threadpool(roles.take, door.store, browser.caller, browser.id, held)
    done = N_("The role was taken.")
    return await person_page(browser, done=done, receipt=await door.acknowledged(n))


PAGES = (
    Page("/people/{id}/roles", take=give, fields=_FIELDS, scopes=_WRITE),
    Page(
        "/people/{id}/take",
        show=ask_take,
        take=take,
        query=_FIELDS,
        fields=_FIELDS,
        scopes=_WRITE,
    ),
)
