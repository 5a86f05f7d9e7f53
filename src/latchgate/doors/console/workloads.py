"""Workloads of a tenant: programs elsewhere that are let in by what their issuer signs of them."""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from latchgate.core.duration import duration_text
from latchgate.doors.console import lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.clients import has_clients
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Handler, Page
from latchgate.doors.console.reading import read_version
from latchgate.manage import workloads
from latchgate.manage.workloads import LISTING, StoredWorkload
from latchgate.oauth.consent import in_words
from latchgate.verify.receipt import Receipt

_READ, _WRITE = "manage:workloads.read", "manage:workloads.write"
_CREATE = (
    "latchgate workload create --name NAME --issuer URL --claim NAME=VALUE --user ID --scope SCOPE"
)


async def show(browser: Browser) -> Reply:
    """List them."""
    return await _list(browser)


async def show_one(browser: Browser) -> Reply:
    """Show one: what is believed about it, and what that opens."""
    found = await run_in_threadpool(workloads.shown, browser.door.store, browser.caller, browser.id)
    return await _one(browser, found)


async def delete(browser: Browser) -> Reply:
    """Delete one with its tokens, and say who follows."""
    door = browser.door
    _, n = await run_in_threadpool(
        workloads.delete, door.store, browser.caller, browser.id, match=read_version(browser)
    )
    done = N_("It was deleted; nothing that is said about it lets anything in.")
    return await _list(browser, done=done, receipt=await door.acknowledged(n))


def _ask(question: str, what: tuple[str, ...], verb: str, below: str) -> Handler:
    """Return what asks before a workload is switched off or deleted."""

    async def ask(browser: Browser) -> Reply:
        found = await run_in_threadpool(
            workloads.shown, browser.door.store, browser.caller, browser.id
        )
        return browser.page(
            "confirm.html",
            question=browser.words(question, name=found.name),
            what=tuple(browser.words(one) for one in what),
            action=f"/workloads/{found.id}/{below}",
            carried={"version": str(found.version)},
            verb=browser.words(verb),
            back=f"/workloads/{found.id}",
            cli=(f"latchgate workload {below} {found.id}",),
        )

    return ask


def _switch(act: Callable[..., tuple[StoredWorkload, int]], done: str) -> Handler:
    """Return what switches a workload, and says who follows."""

    async def switch(browser: Browser) -> Reply:
        door = browser.door
        found, n = await run_in_threadpool(
            act, door.store, browser.caller, browser.id, match=read_version(browser)
        )
        return await _one(browser, found, done=done, receipt=await door.acknowledged(n))

    return switch


async def _list(browser: Browser, *, done: str = "", receipt: Receipt | None = None) -> Reply:
    door = browser.door
    browser.path = "/workloads"
    asked = lists.read(browser, LISTING)
    found, following = await run_in_threadpool(
        workloads.listed, door.store, browser.caller, asked.query, now=door.clock()
    )
    uses = await run_in_threadpool(door.usage.last_uses, [one.grant_id for one in found])
    return browser.page(
        "workloads.html",
        asked=asked,
        found=found,
        following=following,
        uses=uses,
        done=browser.words(done),
        receipt=receipt,
        cli=(_CREATE, "latchgate workload list"),
    )


async def _one(
    browser: Browser, found: StoredWorkload, *, done: str = "", receipt: Receipt | None = None
) -> Reply:
    uses = await run_in_threadpool(browser.door.usage.last_uses, [found.grant_id])
    return browser.page(
        "workloads_one.html",
        one=found,
        used_at=uses[found.grant_id].at if found.grant_id in uses else None,
        lifetime=duration_text(found.lifetime),
        claims={
            name: told if isinstance(told, list) else [told] for name, told in found.claims.items()
        },
        groups=in_words(browser.policy, tuple(found.scopes)),
        changes=browser.may(_WRITE),
        done=browser.words(done),
        receipt=receipt,
        cli=(
            f"latchgate workload show {found.id}",
            f"latchgate workload update {found.id} --claim NAME=VALUE",
        ),
    )


_VERSION = frozenset({"version"})
PAGES = (
    Page(
        "/workloads",
        show=show,
        query=lists.names(LISTING),
        scopes=(_READ,),
        offered=has_clients,
    ),
    Page("/workloads/{id}", show=show_one, scopes=(_READ,)),
    Page(
        "/workloads/{id}/disable",
        show=_ask(
            N_("Switch off %(name)s?"),
            (
                N_("Nothing that its issuer says of it is believed, and its tokens end at once."),
                N_("It can be switched on again."),
            ),
            N_("Switch off"),
            "disable",
        ),
        take=_switch(workloads.disable, N_("It is switched off; its tokens have ended.")),
        fields=_VERSION,
        scopes=(_WRITE,),
    ),
    Page(
        "/workloads/{id}/enable",
        take=_switch(workloads.enable, N_("It is switched on again.")),
        fields=_VERSION,
        scopes=(_WRITE,),
    ),
    Page(
        "/workloads/{id}/delete",
        show=_ask(
            N_("Delete %(name)s?"),
            (N_("It is let in no more, and its tokens end at once. It can't be brought back."),),
            N_("Delete"),
            "delete",
        ),
        take=delete,
        fields=_VERSION,
        scopes=(_WRITE,),
    ),
)
