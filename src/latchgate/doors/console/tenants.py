"""Tenants, for operators: listed, made with what they begin with, renamed, suspended."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import faults, lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import or_none, read_spec, read_version
from latchgate.manage import tenants
from latchgate.manage.errors import InvalidError
from latchgate.manage.tenants import StoredTenant, TenantPatch, TenantSpec
from latchgate.store.errors import ConflictError
from latchgate.verify.receipt import Receipt

_READ, _WRITE = ("operator:tenants.read",), ("operator:tenants.write",)
_DONE = {
    "before": N_("This form was sent before, and its token was shown then. Here is what it made."),
    "renamed": N_("The tenant was renamed."),
}
_EMAIL = N_("Write it as NAME@HOST.")


async def show_list(browser: Browser) -> Reply:
    """List them."""
    asked = lists.read(browser, tenants.LISTING)
    found, following = await run_in_threadpool(
        tenants.listed, browser.door.store, asked.query, now=browser.door.clock()
    )
    return browser.page(
        "tenants.html",
        asked=asked,
        tenants=found,
        following=following,
        cli=("latchgate tenant list",),
    )


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return _new(browser, {"project": "default"})


async def take_new(browser: Browser) -> Reply:
    """Make a tenant, and show its first token this once."""
    form, door = browser.form, browser.door
    told = {name: form.get(name, "").strip() for name in ("name", "user", "project")}
    try:
        spec = read_spec(TenantSpec, {**told, "email": or_none(form.get("email"))})
        made, first = await run_in_threadpool(
            tenants.create,
            door.store,
            browser.policy,
            browser.caller,
            spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return _new(browser, form, faults.told(browser, error, email=_EMAIL))
    except ConflictError as error:
        return _new(browser, form, faults.taken(error, "name"))
    if first is None:
        return browser.redirect(f"/tenants/{made.id}?done=before")
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("First token of %(name)s"), name=made.name),
        done=browser.words(N_("The tenant was made, with a user, a project and a role.")),
        name=made.name,
        parts=(
            (browser.words(N_("Tenant")), made.id),
            (browser.words(N_("User")), first.user_id),
            (browser.words(N_("Project")), first.project_id),
            (browser.words(N_("Token")), first.token.secret.reveal()),
        ),
        samples=(),
        back=f"/tenants/{made.id}",
    )


def _new(
    browser: Browser, form: Mapping[str, str], wrong: dict[str, list[str]] | None = None
) -> Reply:
    return browser.page(
        "tenants_new.html",
        status=422 if wrong else 200,
        form=form,
        faults=wrong or {},
        cli=("latchgate tenant create --name NAME --user NAME",),
    )


async def show(browser: Browser) -> Reply:
    """Show one tenant."""
    return await _tenant(browser, done=_DONE.get(browser.query.get("done", ""), ""))


async def _tenant(browser: Browser, *, done: str = "", receipt: Receipt | None = None) -> Reply:
    one = await _of(browser)
    return browser.page(
        "tenant.html",
        one=one,
        done=browser.words(done),
        receipt=receipt,
        mine=one.id == browser.caller.tenant_id,
        cli=(f"latchgate tenant show {one.id}",),
    )


async def _of(browser: Browser) -> StoredTenant:
    return await run_in_threadpool(tenants.shown, browser.door.store, browser.id)


async def show_rename(browser: Browser) -> Reply:
    """Show the form that renames one."""
    one = await _of(browser)
    return _rename(browser, one, {"name": one.name, "version": f"{one.version}"})


async def take_rename(browser: Browser) -> Reply:
    """Rename one, and show it."""
    form, one = browser.form, await _of(browser)
    try:
        patch = read_spec(TenantPatch, {"name": form.get("name", "").strip()})
        await run_in_threadpool(
            tenants.change_tenant,
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
    return browser.redirect(f"/tenants/{browser.id}?done=renamed")


def _rename(
    browser: Browser,
    one: StoredTenant,
    form: Mapping[str, str],
    wrong: dict[str, list[str]] | None = None,
) -> Reply:
    return browser.page(
        "tenants_rename.html",
        status=422 if wrong else 200,
        one=one,
        form=form,
        faults=wrong or {},
        cli=(f"latchgate tenant update {one.id} --name NAME",),
    )


async def ask_suspend(browser: Browser) -> Reply:
    """Ask once before a tenant is suspended."""
    one = await _of(browser)
    what = (
        N_("No credential of any of its users is accepted, and nobody of it can sign in, at once."),
        N_("Nothing is deleted: you can reinstate it, and all of it works as before."),
    )
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Suspend %(name)s?"), name=one.name),
        what=[browser.words(text) for text in what],
        action=f"/tenants/{one.id}/suspend",
        verb=browser.words(N_("Suspend the tenant")),
        back=f"/tenants/{one.id}",
        carried={"version": one.version},
        cli=(f"latchgate tenant suspend {one.id}",),
    )


async def suspend(browser: Browser) -> Reply:
    """Suspend a tenant, and say who follows."""
    return await _switch(browser, N_("The tenant was suspended."), active=False)


async def reinstate(browser: Browser) -> Reply:
    """Reinstate a tenant, and say who follows."""
    return await _switch(browser, N_("The tenant was reinstated."), active=True)


async def _switch(browser: Browser, done: str, *, active: bool) -> Reply:
    door = browser.door
    _, n = await run_in_threadpool(
        tenants.switch,
        door.store,
        browser.caller,
        browser.id,
        active=active,
        match=read_version(browser),
    )
    return await _tenant(browser, done=done, receipt=await door.acknowledged(n))


_NAME, _VERSION = frozenset({"name"}), frozenset({"version"})
PAGES = (
    Page("/tenants", show=show_list, query=lists.names(tenants.LISTING), scopes=_READ),
    Page(
        "/tenants/new",
        show=show_new,
        take=take_new,
        fields=_NAME | {"user", "email", "project"},
        scopes=_WRITE,
    ),
    Page("/tenants/{id}", show=show, query=frozenset({"done"}), scopes=_READ),
    Page(
        "/tenants/{id}/rename",
        show=show_rename,
        take=take_rename,
        fields=_NAME | _VERSION,
        scopes=_WRITE,
    ),
    Page("/tenants/{id}/suspend", show=ask_suspend, take=suspend, fields=_VERSION, scopes=_WRITE),
    Page("/tenants/{id}/reinstate", take=reinstate, fields=_VERSION, scopes=_WRITE),
)
