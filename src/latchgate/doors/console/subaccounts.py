"""Subaccounts as UpCloud has them: made with a user name and a password that open its API at once.

Rule of this file: no password is worked on in the event loop or in a transaction, and none is
shown again. Source: providers/upcloud, "HTTP Basic authentication".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
from starlette.concurrency import run_in_threadpool

from latchgate.core.policy import Policy
from latchgate.core.secret import Secret
from latchgate.doors.console import faults, reach
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import or_none
from latchgate.doors.typed import hashed
from latchgate.manage import identities, passwords, subaccounts
from latchgate.manage.accounts import NAMESPACE
from latchgate.manage.errors import InvalidError
from latchgate.manage.subaccounts import AccountChange
from latchgate.manage.users import Email
from latchgate.signin.rules import normalized, password_faults
from latchgate.store.errors import ConflictError

SCOPES = ("upcloud:account",)
_FIELDS = frozenset({"username", "password", "repeated", "email", "allow_api"}) | reach.FIELDS
_DONE = N_("The subaccount was made.")
_ADDRESS = N_("Write it as NAME@HOST.")
_UNEQUAL = N_("The two passwords are not the same.")


def offered(policy: Policy) -> bool:
    """Whether the policy has accounts as UpCloud's are."""
    return NAMESPACE in passwords.namespaces(policy)


async def show_new(browser: Browser) -> Reply:
    """Show the form for a new one."""
    return _new(browser, {"allow_api": "on", **reach.shown(None)})


async def take_new(browser: Browser) -> Reply:
    """Make one, and show it to who may look at people."""
    form, door = browser.form, browser.door
    username = form.get("username", "").strip()
    try:
        n = await _make(browser, username)
    except InvalidError as error:
        return _new(browser, form, faults.told(browser, error))
    except ConflictError as error:
        return _new(browser, form, faults.taken(error, "username"))
    await door.acknowledged(n)
    if not browser.may("manage:users.read"):
        return browser.redirect("/people/subaccount?done=made")
    made_id = await run_in_threadpool(
        identities.user_named,
        door.store,
        NAMESPACE,
        username,
        tenant_id=browser.caller.tenant_id,
        tenant=None,
    )
    return browser.redirect(f"/people/{made_id}?done=subaccount")


async def _make(browser: Browser, username: str) -> int:
    """Make what the form asks for; returns the number that verifiers must reach."""
    form, door, policy = browser.form, browser.door, browser.policy
    told = AccountChange(
        contact={},
        targets={},
        email=_email(browser),
        allow_api=form.get("allow_api") == "on",
        ip_filters=_filters(browser),
    )
    await run_in_threadpool(subaccounts.check_new, door.store, browser.caller, username)
    wanted = await _chosen(browser, username)
    drawn = passwords.draw(policy, NAMESPACE, entropy=door.entropy)
    made = await hashed(door, Secret(wanted))
    return await run_in_threadpool(
        subaccounts.create,
        door.store,
        policy,
        browser.caller,
        username,
        told,
        issued=replace(drawn, digest=made),
        entropy=door.entropy,
    )


def _email(browser: Browser) -> str | None:
    text = or_none(browser.form.get("email"))
    try:
        return msgspec.convert(text, Email) if text is not None else None
    except msgspec.ValidationError as error:
        raise InvalidError([("email", browser.words(_ADDRESS))]) from error


def _filters(browser: Browser) -> list[str]:
    """Return what is typed, none of them for everywhere: these accounts know no nowhere."""
    filters = reach.read(browser)
    if filters == []:
        raise InvalidError([("ip_filters", browser.words(N_("Name at least one.")))])
    return filters or []


async def _chosen(browser: Browser, username: str) -> str:
    """Return the password that was typed twice; InvalidError says why it can't be one."""
    form = browser.form
    wanted = normalized(form.get("password", ""))
    if wanted != normalized(form.get("repeated", "")):
        raise InvalidError([("repeated", browser.words(_UNEQUAL))])
    known = [username, *passwords.provider_words(browser.policy), form.get("email", "")]
    wrong = await run_in_threadpool(password_faults, wanted, known=known)
    if wrong:
        raise InvalidError([("password", one) for one in wrong])
    return wanted


def _new(
    browser: Browser, form: Mapping[str, str], wrong: dict[str, list[str]] | None = None
) -> Reply:
    return browser.page(
        "people_subaccount.html",
        status=422 if wrong else 200,
        form=form,
        faults=wrong or {},
        done=browser.words(_DONE) if browser.query.get("done") == "made" else "",
        reaches=[one for one in reach.CHOICES if one[0] != reach.NOWHERE],
        address=browser.address,
        limits=(subaccounts.MIN_USERNAME, subaccounts.MAX_USERNAME),
    )


PAGES = (
    Page(
        "/people/subaccount",
        show=show_new,
        take=take_new,
        query=frozenset({"done"}),
        fields=_FIELDS,
        scopes=SCOPES,
        offered=offered,
    ),
)
