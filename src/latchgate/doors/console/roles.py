"""Roles: listed, shown in words, made, changed, deleted.

Rule of this file: a form offers what its user may hand out, and what the role holds already, so
that it can be taken out; whether they may is asked where it always is (`manage.gate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.core.scope import ALL, EVERY, Scopes
from latchgate.doors.console import faults, lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.holders import FIRST, holders
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import read_spec, read_version
from latchgate.manage import holdings, roles
from latchgate.manage.errors import InvalidError
from latchgate.manage.holdings import Offered
from latchgate.manage.roles import RolePatch, RoleSpec, StoredRole
from latchgate.oauth.consent import Group, in_words
from latchgate.store.errors import ConflictError
from latchgate.verify.receipt import Receipt

_READ, _WRITE = ("manage:roles.read",), ("manage:roles.write",)
_DONE = {
    "made": N_("The role was made. Give it to somebody on their page."),
    "before": N_("This form was sent before: here is what it made."),
    "deleted": N_("The role was deleted."),
}


async def show_list(browser: Browser) -> Reply:
    """List them."""
    asked, door = lists.read(browser, roles.LISTING), browser.door
    found, following = await run_in_threadpool(
        roles.listed, door.store, browser.caller, asked.query, now=door.clock()
    )
    known = {one.id: one for one in await _offered(browser)}
    return browser.page(
        "roles.html",
        asked=asked,
        roles=found,
        known=known,
        every=ALL,
        following=following,
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
        cli=("latchgate role list",),
    )


async def show(browser: Browser) -> Reply:
    """Show one role."""
    return await _role(browser, done=_DONE.get(browser.query.get("done", ""), ""))


async def _role(browser: Browser, *, done: str = "", receipt: Receipt | None = None) -> Reply:
    one, policy = await _of(browser), browser.policy
    known = {role.id: role for role in await _offered(browser)}
    own, reached = Scopes.of(one.scopes), known[one.id].scopes
    people, more = await holders(browser, {"role_id": one.id})
    through = () if own == ALL else holdings.spelled_out(policy, reached)
    return browser.page(
        "role.html",
        one=one,
        done=browser.words(done),
        receipt=receipt,
        everything=reached == ALL,
        own=() if own == ALL else in_words(policy, holdings.spelled_out(policy, own)),
        through=in_words(policy, tuple(name for name in through if name not in own)),
        implied=[known[role_id] for role_id in one.implies if role_id in known],
        people=people,
        more=more,
        first=FIRST,
        cli=(
            f"latchgate role show {one.id}",
            f"latchgate user list --filter role_id={one.id}",
        ),
    )


async def _of(browser: Browser) -> StoredRole:
    return await run_in_threadpool(roles.shown, browser.door.store, browser.caller, browser.id)


async def _offered(browser: Browser) -> list[Offered]:
    return await run_in_threadpool(holdings.offered, browser.door.store, browser.caller)


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return await _form(browser, None, {}, (), ())


async def take_new(browser: Browser) -> Reply:
    """Make a role, and show it."""
    door, told = browser.door, _told(browser)
    try:
        spec = read_spec(RoleSpec, told)
        made, new = await run_in_threadpool(
            roles.create,
            door.store,
            browser.policy,
            browser.caller,
            spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return await _again(browser, None, faults.told(browser, error))
    except ConflictError as error:
        return await _again(browser, None, faults.taken(error, "name"))
    return browser.redirect(f"/roles/{made.id}?done={'made' if new else 'before'}")


async def show_change(browser: Browser) -> Reply:
    """Show the form that changes one."""
    one = await _of(browser)
    form = {"name": one.name, "version": f"{one.version}"}
    return await _form(browser, one, form, one.scopes, one.implies)


async def take_change(browser: Browser) -> Reply:
    """Change a role for all who hold it, and say who follows."""
    door, one, told = browser.door, await _of(browser), _told(browser)
    try:
        _, n = await run_in_threadpool(
            roles.change_role,
            door.store,
            browser.policy,
            browser.caller,
            browser.id,
            read_spec(RolePatch, told),
            match=read_version(browser),
        )
    except InvalidError as error:
        return await _again(browser, one, faults.told(browser, error))
    except ConflictError as error:
        field = "name" if told["name"] != one.name else "scopes"
        return await _again(browser, one, faults.taken(error, field))
    done = N_("The role was changed for all who hold it.")
    return await _role(browser, done=done, receipt=await door.acknowledged(n))


def _told(browser: Browser) -> dict[str, Any]:
    chosen = browser.chosen
    return {
        "name": browser.form.get("name", "").strip(),
        "scopes": list(chosen["scopes"]),
        "implies": list(chosen["implies"]),
    }


async def _again(browser: Browser, one: StoredRole | None, wrong: dict[str, list[str]]) -> Reply:
    chosen = browser.chosen
    return await _form(browser, one, browser.form, chosen["scopes"], chosen["implies"], wrong=wrong)


async def _form(
    browser: Browser,
    one: StoredRole | None,
    form: Mapping[str, str],
    scopes: Iterable[str],
    implies: Iterable[str],
    *,
    wrong: dict[str, list[str]] | None = None,
) -> Reply:
    held = Scopes.of(one.scopes) if one is not None else Scopes.of(())
    offered = await _offered(browser)
    named = "ID" if one is None else one.id
    verb = "create" if one is None else f"update {named}"
    return browser.page(
        "roles_form.html",
        status=422 if wrong else 200,
        one=one,
        form=form,
        faults=wrong or {},
        everything=EVERY if held == ALL else "",
        groups=_choices(browser, held),
        lower=_below(offered, one),
        scopes=frozenset(scopes),
        implies=frozenset(implies),
        cli=(f"latchgate role {verb} --name NAME --scope SCOPE --implies ROLE",),
    )


def _choices(browser: Browser, held: Scopes) -> tuple[Group, ...]:
    """Return what can be put into a role or is in it, by service."""
    policy = browser.policy
    mine = holdings.scopes_to_hand_out(policy, browser.caller)
    left = () if held == ALL else held.listed()
    return in_words(policy, tuple(dict.fromkeys((*mine, *left))))


def _below(offered: list[Offered], one: StoredRole | None) -> list[Offered]:
    """Return the roles that one can imply, or does: none that implies it."""
    if one is None:
        return [role for role in offered if role.handable]
    return [
        role
        for role in offered
        if role.id in one.implies
        or (role.handable and role.id != one.id and one.id not in role.below)
    ]


async def ask_delete(browser: Browser) -> Reply:
    """Ask once before a role is deleted."""
    one = await _of(browser)
    what = N_("It is gone for good. That can be done while nobody holds it and no role implies it.")
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Delete the role %(name)s?"), name=one.name),
        what=[browser.words(what)],
        action=f"/roles/{one.id}/delete",
        verb=browser.words(N_("Delete the role")),
        back=f"/roles/{one.id}",
        carried={"version": one.version},
        cli=(f"latchgate role delete {one.id}",),
    )


async def delete(browser: Browser) -> Reply:
    """Delete a role, and show those that are left."""
    await run_in_threadpool(
        roles.delete,
        browser.door.store,
        browser.caller,
        browser.id,
        match=read_version(browser),
    )
    return browser.redirect("/roles?done=deleted")


_NAME, _VERSION = frozenset({"name"}), frozenset({"version"})
_SEVERAL = frozenset({"scopes", "implies"})
PAGES = (
    Page("/roles", show=show_list, query=lists.names(roles.LISTING) | {"done"}, scopes=_READ),
    Page(
        "/roles/new",
        show=show_new,
        take=take_new,
        fields=_NAME,
        several=_SEVERAL,
        scopes=_WRITE,
    ),
    Page("/roles/{id}", show=show, query=frozenset({"done"}), scopes=_READ),
    Page(
        "/roles/{id}/change",
        show=show_change,
        take=take_change,
        fields=_NAME | _VERSION,
        several=_SEVERAL,
        scopes=_WRITE,
    ),
    Page("/roles/{id}/delete", show=ask_delete, take=delete, fields=_VERSION, scopes=_WRITE),
)
