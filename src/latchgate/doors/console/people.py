"""People: users and subaccounts of a tenant, listed, made, shown, changed and switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import faults, lists, reach, subaccounts
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.person import DONE, person_page, who_of
from latchgate.doors.console.reading import or_none, read_spec, read_version
from latchgate.manage import identities, users
from latchgate.manage.errors import InvalidError
from latchgate.manage.passwords import NAMESPACE
from latchgate.manage.users import UserPatch, UserSpec
from latchgate.store.errors import ConflictError

READ, WRITE = ("manage:users.read",), ("manage:users.write",)
_EMAIL = N_("Write it as NAME@HOST.")
_CLI = ("latchgate user list",)


async def show_list(browser: Browser) -> Reply:
    """List them."""
    asked = lists.read(browser, users.LISTING)
    found, following = await run_in_threadpool(
        users.listed, browser.door.store, browser.caller, asked.query, now=browser.door.clock()
    )
    logins = await run_in_threadpool(
        identities.login_names, browser.door.store, NAMESPACE, [one.id for one in found]
    )
    return browser.page(
        "people.html",
        asked=asked,
        people=[(one, len({held.project_id for held in one.roles})) for one in found],
        logins=logins,
        following=following,
        subaccounts=subaccounts.offered(browser.policy) and browser.may(*subaccounts.SCOPES),
        cli=_CLI,
    )


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return _new(browser, {"sort": "sub", "allow_api": "on", **reach.shown(None)})


async def take_new(browser: Browser) -> Reply:
    """Make a user, and show them."""
    form, door = browser.form, browser.door
    told = {"name": (form.get("name") or "").strip(), "sort": form.get("sort")}
    told |= {"email": or_none(form.get("email"))}
    try:
        allow = form.get("allow_api") == "on"
        given = {**told, "allow_api": allow, "ip_filters": reach.read(browser)}
        spec = read_spec(UserSpec, given)
        made, new = await run_in_threadpool(
            users.create,
            door.store,
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
    return browser.redirect(f"/people/{made.id}?done={'made' if new else 'before'}")


def _new(
    browser: Browser, form: Mapping[str, str], wrong: dict[str, list[str]] | None = None
) -> Reply:
    return browser.page(
        "people_new.html",
        status=422 if wrong else 200,
        form=form,
        faults=wrong or {},
        reaches=reach.CHOICES,
        address=browser.address,
        cli=("latchgate user create --name NAME --email NAME@HOST",),
    )


async def show(browser: Browser) -> Reply:
    """Show one person."""
    return await person_page(browser, done=DONE.get(browser.query.get("done", ""), ""))


async def show_change(browser: Browser) -> Reply:
    """Show the form that changes one."""
    one = await who_of(browser)
    form = {"name": one.name, "email": one.email or "", "version": f"{one.version}"}
    form |= {"allow_api": "on" if one.allow_api else "", **reach.shown(one.ip_filters)}
    return await _change(browser, form)


async def take_change(browser: Browser) -> Reply:
    """Change one, and say who follows; who would shut themselves out is asked once more."""
    form, door = browser.form, browser.door
    told: dict[str, Any] = {"name": (form.get("name") or "").strip()}
    told |= {"email": or_none(form.get("email")), "allow_api": form.get("allow_api") == "on"}
    try:
        told["ip_filters"] = reach.read(browser)
        if reach.wants_proof(browser, browser.id, told["ip_filters"]):
            return await _change(browser, form, shut_out=True)
        nothing = {name: None for name, value in told.items() if value is None}
        patch = msgspec.structs.replace(read_spec(UserPatch, told), **nothing)
        _, n = await run_in_threadpool(
            users.change_user,
            door.store,
            browser.caller,
            browser.id,
            patch,
            match=read_version(browser),
        )
    except InvalidError as error:
        return await _change(browser, form, faults.told(browser, error, email=_EMAIL))
    except ConflictError as error:
        if told["name"] == (await who_of(browser)).name:
            raise  # so it is not the name that somebody else has
        return await _change(browser, form, faults.taken(error, "name"))
    return await person_page(
        browser, done=N_("They were changed."), receipt=await door.acknowledged(n)
    )


async def _change(
    browser: Browser,
    form: Mapping[str, str],
    wrong: dict[str, list[str]] | None = None,
    *,
    shut_out: bool = False,
) -> Reply:
    one = await who_of(browser)
    return browser.page(
        "people_change.html",
        status=422 if wrong or shut_out else 200,
        one=one,
        form=form,
        faults=wrong or {},
        shut_out=shut_out,
        reaches=reach.CHOICES,
        address=browser.address,
        cli=(f"latchgate user update {one.id} --name NAME --allow-ip-range RANGE",),
    )


async def ask_disable(browser: Browser) -> Reply:
    """Ask once before somebody is disabled."""
    one = await who_of(browser)
    what = [N_("No credential of theirs is accepted any more, and their sessions end, at once.")]
    if one.id == browser.who.user_id:
        what.append(N_("This is you: you are signed out, and can't come back by yourself."))
    what.append(N_("Nothing is deleted: whoever manages people can enable them again."))
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Disable %(name)s?"), name=one.name),
        what=[browser.words(text) for text in what],
        action=f"/people/{one.id}/disable",
        verb=browser.words(N_("Disable")),
        back=f"/people/{one.id}",
        carried={"version": one.version},
        cli=(f"latchgate user disable {one.id}",),
    )


async def disable(browser: Browser) -> Reply:
    """Disable somebody, and say who follows."""
    return await _switch(browser, N_("They were disabled."), active=False)


async def enable(browser: Browser) -> Reply:
    """Enable somebody, and say who follows."""
    return await _switch(browser, N_("They were enabled."), active=True)


async def _switch(browser: Browser, done: str, *, active: bool) -> Reply:
    door = browser.door
    _, n = await run_in_threadpool(
        users.switch,
        door.store,
        browser.caller,
        browser.id,
        active=active,
        match=read_version(browser),
    )
    receipt = await door.acknowledged(n)
    if browser.id == browser.who.user_id and not active:
        return browser.redirect("/sign-in")
    return await person_page(browser, done=done, receipt=receipt)


async def ask_api(browser: Browser) -> Reply:
    """Ask once before somebody's programs are kept out."""
    one = await who_of(browser)
    what = (
        N_("No key, token or password of theirs is accepted by any API, from now on."),
        N_("They can still sign in to this console, and you can switch it on again."),
    )
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Switch API access off for %(name)s?"), name=one.name),
        what=[browser.words(text) for text in what],
        action=f"/people/{one.id}/api",
        verb=browser.words(N_("Switch it off")),
        back=f"/people/{one.id}",
        carried={"version": one.version, "allow": "off"},
        cli=(f"latchgate user update {one.id} --no-api",),
    )


async def switch_api(browser: Browser) -> Reply:
    """Let somebody's programs in, or keep them out, and say who follows."""
    door, allow = browser.door, browser.form.get("allow") == "on"
    _, n = await run_in_threadpool(
        users.change_user,
        door.store,
        browser.caller,
        browser.id,
        UserPatch(allow_api=allow),
        match=read_version(browser),
    )
    done = N_("API access is on.") if allow else N_("API access is off.")
    return await person_page(browser, done=done, receipt=await door.acknowledged(n))


_FORM = frozenset({"name", "sort", "email", "allow_api"}) | reach.FIELDS
_VERSION = frozenset({"version"})
PAGES = (
    Page("/people", show=show_list, query=lists.names(users.LISTING), scopes=READ),
    Page("/people/new", show=show_new, take=take_new, fields=_FORM, scopes=WRITE),
    Page("/people/{id}", show=show, query=frozenset({"done"}), scopes=READ),
    Page(
        "/people/{id}/change",
        show=show_change,
        take=take_change,
        fields=(_FORM | _VERSION) - {"sort"},
        scopes=WRITE,
    ),
    Page("/people/{id}/disable", show=ask_disable, take=disable, fields=_VERSION, scopes=WRITE),
    Page("/people/{id}/enable", take=enable, fields=_VERSION, scopes=WRITE),
    Page(
        "/people/{id}/api",
        show=ask_api,
        take=switch_api,
        fields=_VERSION | {"allow"},
        scopes=WRITE,
    ),
)
