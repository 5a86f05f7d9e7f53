"""How long credentials may live: shown and set by kind, and which don't keep to it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.core.kinds.access_key import AccessKey
from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.kinds.app_password import AppPassword
from latchgate.core.kinds.service_key import ServiceKey
from latchgate.core.policy import Policy
from latchgate.doors.console import lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import Own, by_field, lines, or_none, read_spec
from latchgate.manage import lifetimes
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.lifetimes import EVERY_KIND, WARNING_DAYS, LifetimeSpec, StoredLifetime
from latchgate.manage.records import IfMatch

_READ = ("manage:lifetimes.read",)
_WRITE = ("manage:lifetimes.write",)
_LISTED = "/settings/lifetimes"
_FIELDS = ("maximum_life", "rotation_age", "warning_days", "unused_after")
_DONE = {
    "set": N_("It holds from now on, for what is made from now on."),
    "removed": N_("It was taken away."),
}
# Where credentials of a sort are shown, each at its id.
_PAGES = {ServiceKey: "/keys", ApiToken: "/tokens", AccessKey: "/access-keys", AppPassword: "/apps"}
_ONE_EACH = "/apps"  # shows the one that somebody has, by no id


async def show(browser: Browser) -> Reply:
    """Show what holds for each kind."""
    held = await _held(browser)
    kinds = lifetimes.kinds(browser.policy)
    return browser.page(
        "lifetimes.html",
        kinds=[(kind, held.get(kind)) for kind in kinds],
        every=held.get(EVERY_KIND),
        writes=browser.may(*_WRITE),
        done=browser.words(_DONE.get(browser.query.get("done", ""), "")),
        cli=("latchgate lifetime list", "latchgate lifetime overdue"),
    )


async def show_form(browser: Browser) -> Reply:
    """Ask what shall hold for a kind."""
    kind = _kind(browser, browser.query.get("kind", ""))
    held = (await _held(browser)).get(kind)
    days = held.warning_days if held is not None else None
    told = {name: getattr(held, name, None) or "" for name in _FIELDS}
    told["warning_days"] = ", ".join(map(str, WARNING_DAYS if days is None else days))
    told["version"] = str(held.version if held is not None else 0)
    return _form(browser, kind, told)


async def take(browser: Browser) -> Reply:
    """Set it."""
    form, kind = browser.form, _kind(browser, browser.form.get("kind", ""))
    days = lines(form.get("warning_days")) or []
    if not all(one.isascii() and one.isdecimal() and len(one) < 4 for one in days):  # noqa: PLR2004 - digits
        told = Own(browser.words(N_("Write whole days with commas between, such as 30, 7, 1.")))
        return _form(browser, kind, form, {"warning_days": [told]})
    fields = {name: or_none(form.get(name)) for name in _FIELDS}
    try:
        spec = read_spec(LifetimeSpec, {**fields, "warning_days": [int(one) for one in days]})
        await run_in_threadpool(
            lifetimes.set_lifetime,
            browser.door.store,
            browser.policy,
            browser.caller,
            kind,
            spec,
            match=_match(form),
        )
    except InvalidError as error:
        return _form(browser, kind, form, by_field(error))
    return browser.redirect(f"{_LISTED}?done=set")


async def ask_removal(browser: Browser) -> Reply:
    """Ask whether to take away what was set."""
    kind = _kind(browser, browser.query.get("kind", ""))
    held = (await _held(browser)).get(kind)
    if held is None:
        raise NotFoundError(f"no lifetime is set for {kind!r}")
    other = N_("Kinds without a policy of their own are bound by nothing then.")
    if kind != EVERY_KIND:
        other = N_("Then it is bound by what is set for every other kind, or by nothing.")
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Take the expiry policy of %(kind)s away?"), kind=kind),
        what=[browser.words(other), browser.words(N_("What was made under it stays as it is."))],
        action=f"{_LISTED}/remove",
        carried={"kind": kind, "version": held.version},
        verb=browser.words(N_("Take it away")),
        back=_LISTED,
        cli=(f"latchgate lifetime remove '{kind}'",),
    )


async def remove(browser: Browser) -> Reply:
    """Take it away."""
    kind = _kind(browser, browser.form.get("kind", ""))
    await run_in_threadpool(
        lifetimes.remove, browser.door.store, browser.caller, kind, match=_match(browser.form)
    )
    return browser.redirect(f"{_LISTED}?done=removed")


async def show_overdue(browser: Browser) -> Reply:
    """List what doesn't keep to the policy of today."""
    door, asked = browser.door, lists.read(browser, lifetimes.OVERDUE)
    found, following = await run_in_threadpool(
        lifetimes.overdue,
        door.store,
        browser.policy,
        browser.caller,
        asked.query,
        last_uses=door.usage.last_uses,
        now=door.clock(),
    )
    opened = {entry.path for group in browser.menu for entry in group.entries}
    return browser.page(
        "overdue.html",
        asked=asked,
        kinds=lifetimes.kinds(browser.policy),
        found=[(one, _address(browser.policy, opened, one.kind, one.id)) for one in found],
        people="/people" in opened,
        following=following,
        cli=("latchgate lifetime overdue",),
    )


def _address(policy: Policy, opened: set[str], kind: str, record: str) -> str:
    """Return where a credential is shown; nothing where that page is not open to who asks."""
    sort = policy.kinds.get(kind)
    path = next((one for known, one in _PAGES.items() if isinstance(sort, known)), "")
    if path not in opened:
        return ""
    return path if path == _ONE_EACH else f"{path}/{record}"


async def _held(browser: Browser) -> dict[str, StoredLifetime]:
    found = await run_in_threadpool(lifetimes.show, browser.door.store, browser.caller)
    return {one.kind: one for one in found}


def _kind(browser: Browser, told: str) -> str:
    """Return a kind that can be bound; NotFoundError."""
    if told != EVERY_KIND and told not in lifetimes.kinds(browser.policy):
        raise NotFoundError(f"there is no kind {told[:64]!r} with a life of its own")
    return told


def _match(form: Mapping[str, str]) -> IfMatch:
    """Return the version that the form was made of: nobody's later change is overwritten."""
    told = form.get("version", "")
    return IfMatch(frozenset([int(told)] if told.isascii() and told.isdecimal() else []))


def _form(
    browser: Browser,
    kind: str,
    told: Mapping[str, str],
    faults: Mapping[str, list[str] | list[Own]] | None = None,
) -> Reply:
    return browser.page(
        "lifetime.html",
        status=422 if faults else 200,
        kind=kind,
        told=told,
        faults=faults or {},
        cli=(f"latchgate lifetime set '{kind}' --maximum-life 365d --rotation-age 90d --warn 14",),
    )


PAGES = (
    Page(_LISTED, show=show, query=frozenset({"done"}), scopes=_READ),
    Page(
        f"{_LISTED}/set",
        show=show_form,
        take=take,
        fields=frozenset({*_FIELDS, "kind", "version"}),
        query=frozenset({"kind"}),
        scopes=_WRITE,
    ),
    Page(
        f"{_LISTED}/remove",
        show=ask_removal,
        take=remove,
        fields=frozenset({"kind", "version"}),
        query=frozenset({"kind"}),
        scopes=_WRITE,
    ),
    Page(
        f"{_LISTED}/overdue",
        show=show_overdue,
        query=lists.names(lifetimes.OVERDUE),
        scopes=_READ,
    ),
)
