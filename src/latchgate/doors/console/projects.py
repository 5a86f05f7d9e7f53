"""Projects of a tenant: listed, made, renamed, switched off, and who holds which roles there."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import faults, lists
from latchgate.doors.console.browser import NOTHING, Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.holders import FIRST, holders
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import read_spec, read_version
from latchgate.manage import projects
from latchgate.manage.errors import InvalidError
from latchgate.manage.projects import ProjectPatch, ProjectSpec, StoredProject
from latchgate.store.errors import ConflictError
from latchgate.verify.receipt import Receipt

_READ, _WRITE = ("manage:projects.read",), ("manage:projects.write",)
_DONE = {
    "made": N_("The project was made. Give somebody a role in it next."),
    "before": N_("This form was sent before: here is what it made."),
    "renamed": N_("The project was renamed."),
}


async def show_list(browser: Browser) -> Reply:
    """List them."""
    asked = lists.read(browser, projects.LISTING)
    found, following = await run_in_threadpool(
        projects.listed, browser.door.store, browser.caller, asked.query, now=browser.door.clock()
    )
    return browser.page(
        "projects.html",
        asked=asked,
        projects=found,
        following=following,
        cli=("latchgate project list",),
    )


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return _new(browser, NOTHING)


async def take_new(browser: Browser) -> Reply:
    """Make a project, and show it."""
    form, door = browser.form, browser.door
    try:
        spec = read_spec(ProjectSpec, {"name": form.get("name", "").strip()})
        made, new = await run_in_threadpool(
            projects.create,
            door.store,
            browser.caller,
            spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return _new(browser, form, faults.told(browser, error))
    except ConflictError as error:
        return _new(browser, form, faults.taken(error, "name"))
    return browser.redirect(f"/projects/{made.id}?done={'made' if new else 'before'}")


def _new(
    browser: Browser, form: Mapping[str, object], wrong: dict[str, list[str]] | None = None
) -> Reply:
    return browser.page(
        "projects_new.html",
        status=422 if wrong else 200,
        one=None,
        form=form,
        faults=wrong or {},
        cli=("latchgate project create --name NAME",),
    )


async def show(browser: Browser) -> Reply:
    """Show one project."""
    return await _project(browser, done=_DONE.get(browser.query.get("done", ""), ""))


async def _project(browser: Browser, *, done: str = "", receipt: Receipt | None = None) -> Reply:
    one = await _of(browser)
    people, more = await holders(browser, {"project_id": one.id})
    return browser.page(
        "project.html",
        one=one,
        done=browser.words(done),
        receipt=receipt,
        here=one.id == browser.caller.credential.project_id,
        people=people,
        more=more,
        first=FIRST,
        cli=(
            f"latchgate project show {one.id}",
            f"latchgate user list --filter project_id={one.id}",
        ),
    )


async def _of(browser: Browser) -> StoredProject:
    return await run_in_threadpool(projects.shown, browser.door.store, browser.caller, browser.id)


async def show_rename(browser: Browser) -> Reply:
    """Show the form that renames one."""
    one = await _of(browser)
    return _rename(browser, one, {"name": one.name, "version": f"{one.version}"})


async def take_rename(browser: Browser) -> Reply:
    """Rename one, and show it."""
    form, one = browser.form, await _of(browser)
    try:
        patch = read_spec(ProjectPatch, {"name": form.get("name", "").strip()})
        await run_in_threadpool(
            projects.change_project,
            browser.door.store,
            browser.caller,
            browser.id,
            patch,
            match=read_version(browser),
        )
    except InvalidError as error:
        return _rename(browser, one, form, faults.told(browser, error))
    except ConflictError as error:
        return _rename(browser, one, form, faults.taken(error, "name"))
    return browser.redirect(f"/projects/{browser.id}?done=renamed")


def _rename(
    browser: Browser,
    one: StoredProject,
    form: Mapping[str, object],
    wrong: dict[str, list[str]] | None = None,
) -> Reply:
    return browser.page(
        "projects_new.html",
        status=422 if wrong else 200,
        one=one,
        form=form,
        faults=wrong or {},
        cli=(f"latchgate project update {one.id} --name NAME",),
    )


async def ask_disable(browser: Browser) -> Reply:
    """Ask once before a project is disabled."""
    one = await _of(browser)
    what = [N_("Roles held in it give nothing, and no credential of it is accepted, from now on.")]
    if one.id == browser.caller.credential.project_id:
        what.append(
            N_("You work in it now: you go on in another project of yours, if you have one.")
        )
    what.append(N_("Nothing is deleted: whoever manages projects can enable it again."))
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Disable %(name)s?"), name=one.name),
        what=[browser.words(text) for text in what],
        action=f"/projects/{one.id}/disable",
        verb=browser.words(N_("Disable")),
        back=f"/projects/{one.id}",
        carried={"version": one.version},
        cli=(f"latchgate project disable {one.id}",),
    )


async def disable(browser: Browser) -> Reply:
    """Disable a project, and say who follows."""
    return await _switch(browser, N_("The project was disabled."), active=False)


async def enable(browser: Browser) -> Reply:
    """Enable a project, and say who follows."""
    return await _switch(browser, N_("The project was enabled."), active=True)


async def _switch(browser: Browser, done: str, *, active: bool) -> Reply:
    door = browser.door
    _, n = await run_in_threadpool(
        projects.switch,
        door.store,
        browser.caller,
        browser.id,
        active=active,
        match=read_version(browser),
    )
    return await _project(browser, done=done, receipt=await door.acknowledged(n))


_NAME, _VERSION = frozenset({"name"}), frozenset({"version"})
PAGES = (
    Page("/projects", show=show_list, query=lists.names(projects.LISTING), scopes=_READ),
    Page("/projects/new", show=show_new, take=take_new, fields=_NAME, scopes=_WRITE),
    Page("/projects/{id}", show=show, query=frozenset({"done"}), scopes=_READ),
    Page(
        "/projects/{id}/rename",
        show=show_rename,
        take=take_rename,
        fields=_NAME | _VERSION,
        scopes=_WRITE,
    ),
    Page("/projects/{id}/disable", show=ask_disable, take=disable, fields=_VERSION, scopes=_WRITE),
    Page("/projects/{id}/enable", take=enable, fields=_VERSION, scopes=_WRITE),
)
