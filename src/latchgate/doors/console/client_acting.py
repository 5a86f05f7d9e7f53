"""Clients that act by themselves in a tenant, as its administrators see them: as whom, with what.

Rule of this file: a client of another tenant is not there.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec, read_version
from latchgate.manage import client_grants, projects, users
from latchgate.manage.client_grants import LISTING, ActingSpec, StoredActor
from latchgate.manage.client_terms import PROTOCOL_SCOPES
from latchgate.manage.errors import ForbiddenError, InvalidError, NotFoundError
from latchgate.manage.listing import Query
from latchgate.oauth.consent import in_words
from latchgate.verify.receipt import Receipt

READ, WRITE = "manage:oauth-clients.read", "manage:oauth-clients.write"
_CHOICES = 200  # of service users and of projects that a form offers


async def show(browser: Browser) -> Reply:
    """List the clients of the tenant that may act by themselves."""
    door = browser.door
    asked = lists.read(browser, LISTING)
    found, following = await run_in_threadpool(
        client_grants.listed, door.store, browser.caller, asked.query, now=door.clock()
    )
    return browser.page(
        "clients_acting.html",
        asked=asked,
        found=found,
        following=following,
        lets=browser.may(WRITE),
        cli=("latchgate oauth-client acting", "latchgate oauth-client act-as ID --user USER"),
    )


async def show_one(browser: Browser) -> Reply:
    """Show as whom one of them acts."""
    return await _one(browser, await _found(browser))


async def ask_act(browser: Browser) -> Reply:
    """Ask as whom it shall act."""
    return await _act(browser, await _found(browser))


async def act(browser: Browser) -> Reply:
    """Let it act as a service user, and say who follows."""
    door, form = browser.door, browser.form
    told = {
        "user_id": form.get("user_id", "").strip(),
        "project_id": or_none(form.get("project_id")),
        "scopes": list(browser.chosen["scopes"]),
    }
    try:
        found, n = await run_in_threadpool(
            client_grants.act_as,
            door.store,
            browser.policy,
            browser.caller,
            browser.id,
            read_spec(ActingSpec, told),
            match=read_version(browser),
            entropy=door.entropy,
        )
    except InvalidError as error:
        faults = by_field(error)
    except ForbiddenError as error:
        faults = {"scopes": [str(error)]}
    except NotFoundError as error:
        await _found(browser)  # the client is there: it is the user who is not
        faults = {"user_id": [str(error)]}
    else:
        done = N_("It acts as this service user from now on; what it acted as before has ended.")
        return await _one(browser, found, done=done, receipt=await door.acknowledged(n))
    return await _act(browser, await _found(browser), faults)


async def ask_nobody(browser: Browser) -> Reply:
    """Ask before a client acts as nobody any more."""
    found = await _found(browser)
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Let %(name)s act as nobody?"), name=found.application_name),
        what=(browser.words(N_("Its tokens end at once, and it is given no others here.")),),
        action=f"/clients/{found.client_id}/act-as-nobody",
        carried={"version": str(found.version)},
        verb=browser.words(N_("End it")),
        back=f"/clients/{found.client_id}/acting",
        cli=(f"latchgate oauth-client act-as-nobody {found.client_id}",),
    )


async def nobody(browser: Browser) -> Reply:
    """Let it act as nobody any more, and say who follows."""
    door = browser.door
    found, n = await run_in_threadpool(
        client_grants.withdraw,
        door.store,
        browser.caller,
        browser.id,
        match=read_version(browser),
    )
    done = N_("It acts as nobody any more.")
    return await _one(browser, found, done=done, receipt=await door.acknowledged(n))


async def _found(browser: Browser) -> StoredActor:
    store = browser.door.store
    return await run_in_threadpool(client_grants.shown, store, browser.caller, browser.id)


async def _one(
    browser: Browser, found: StoredActor, *, done: str = "", receipt: Receipt | None = None
) -> Reply:
    acting = found.acts_as if found.acts_as and found.acts_as.revoked_at is None else None
    used = {}
    if acting is not None:
        used = await run_in_threadpool(browser.door.usage.last_uses, [acting.id])
    return browser.page(
        "clients_acting_one.html",
        one=found,
        acting=acting,
        used_at=used[acting.id].at if acting is not None and acting.id in used else None,
        offered=in_words(browser.policy, tuple(found.scopes)),
        given=in_words(browser.policy, tuple(acting.scopes)) if acting is not None else (),
        lets=browser.may(WRITE),
        done=browser.words(done),
        receipt=receipt,
        cli=(
            f"latchgate oauth-client act-as {found.client_id} --user USER --scope SCOPE",
            f"latchgate oauth-client act-as-nobody {found.client_id}",
        ),
    )


async def _act(
    browser: Browser, found: StoredActor, faults: Mapping[str, list[str]] | None = None
) -> Reply:
    form = browser.form
    offered = [one for one in found.scopes if one not in PROTOCOL_SCOPES]
    mine = [one for one in offered if one in browser.caller.rights]
    acting = found.acts_as
    told = browser.chosen["scopes"] if faults is not None else acting.scopes if acting else mine
    return browser.page(
        "clients_act_as.html",
        status=422 if faults else 200,
        one=found,
        groups=in_words(browser.policy, tuple(mine)),
        lacking=len(offered) - len(mine),
        chosen=frozenset(told),
        users=await _service_users(browser),
        projects=await _projects(browser),
        user_id=form.get("user_id", acting.user_id if acting else ""),
        project_id=form.get("project_id", acting.project_id if acting else ""),
        version=form.get("version", str(found.version)),
        faults=faults or {},
        known=("user_id", "project_id", "scopes"),
        cli=(f"latchgate oauth-client act-as {found.client_id} --user USER --scope SCOPE",),
    )


async def _service_users(browser: Browser) -> list[tuple[str, str]] | None:
    """Return the service users that can be chosen; None where they are somebody else's to see."""
    if not browser.may("manage:users.read"):
        return None
    door = browser.door
    query = Query(limit=_CHOICES, sort=("name",), filters={"user_sort": "service"})
    found, _ = await run_in_threadpool(
        users.listed, door.store, browser.caller, query, now=door.clock()
    )
    return [(one.id, one.name) for one in found if one.active]


async def _projects(browser: Browser) -> list[tuple[str, str]] | None:
    """Return the projects that can be chosen; None where they are somebody else's to see."""
    if not browser.may("manage:projects.read"):
        return None
    door = browser.door
    query = Query(limit=_CHOICES, sort=("name",), filters={"active": "true"})
    found, _ = await run_in_threadpool(
        projects.listed, door.store, browser.caller, query, now=door.clock()
    )
    return [(one.id, one.name) for one in found]


PAGES = (
    Page("/clients/acting", show=show, query=lists.names(LISTING), scopes=(READ,)),
    Page("/clients/{id}/acting", show=show_one, scopes=(READ,)),
    Page(
        "/clients/{id}/act-as",
        show=ask_act,
        take=act,
        fields=frozenset({"user_id", "project_id", "scopes", "version"}),
        several=frozenset({"scopes"}),
        scopes=(WRITE,),
    ),
    Page(
        "/clients/{id}/act-as-nobody",
        show=ask_nobody,
        take=nobody,
        fields=frozenset({"version"}),
        scopes=(WRITE,),
    ),
)
