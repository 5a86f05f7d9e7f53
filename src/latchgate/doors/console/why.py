"""Why? A refusal that happened, or a request that nobody made, told step by step.

Rule of this file: what was pasted decides and is gone. Headers come back on no page, and of an
address only what was kept of it, masked; nothing of either is ever in the console's own addresses.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.core.explain import masked_path
from latchgate.core.model import Noun
from latchgate.core.reason import Reason, Step
from latchgate.doors.console import places
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec
from latchgate.manage import decisions, naming
from latchgate.manage.decisions import ExplainRequest, Kept
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.naming import Named

SCOPES = (decisions.TENANT, decisions.EVERYTHING, *decisions.OWN)
LENGTH = 20  # refusals of a page
_ID = re.compile(r"[0-9a-z]{8,40}")
_USER_INFO = re.compile(r"^((?i:https?)://)[^/]*@")
_REQUEST = frozenset({"method", "url", "headers", "client"})
_NO_ID = N_("This is not the id of a refusal: it has letters and digits alone, and no key is one.")

# What a decision looks at, as a heading of what it found there.
STEPS: Mapping[str, str] = {
    Step.REQUEST: N_("Request"),
    Step.PATH: N_("Path"),
    Step.AREA: N_("Area"),
    Step.RULE: N_("Method"),
    Step.READ: N_("What was presented"),
    Step.RECORD: N_("Credential"),
    Step.SECRET: N_("Secret"),
    Step.STATE: N_("State"),
    Step.OWNER: N_("Owner"),
    Step.NETWORK: N_("Network"),
    Step.BASIC: N_("Basic"),
    Step.SERVICE: N_("Service"),
    Step.SCOPE: N_("Scope"),
    Step.ACCESS_RULE: N_("Access rules"),
    Step.APPLICATION: N_("Application"),
    Step.TLS: N_("TLS"),
}

# Where the smallest change is made, by what it concerns.
_ANEW = ("new", "credential")
_CHANGED_AT: Mapping[Reason, tuple[str, ...]] = {
    Reason.CREDENTIAL_MISSING: ("new",),
    Reason.CREDENTIAL_NOT_ACCEPTED: ("new",),
    Reason.CREDENTIAL_UNKNOWN: ("new",),
    Reason.SECRET_WRONG: ("new",),
    Reason.CREDENTIAL_REVOKED: _ANEW,
    Reason.CREDENTIAL_EXPIRED: _ANEW,
    Reason.CREDENTIAL_SUPERSEDED: ("successor", "credential"),
    Reason.CREDENTIAL_DISABLED: ("credential",),
    Reason.OWNER_MISSING: ("new",),
    Reason.OWNER_DISABLED: ("owner",),
    Reason.OWNER_WITHOUT_API: ("owner",),
    Reason.TENANT_SUSPENDED: ("tenant",),
    Reason.PROJECT_DISABLED: ("project",),
    Reason.PARENT_GONE: ("new",),
    Reason.ROLES_WITHDRAWN: ("owner",),
    Reason.BASIC_NOT_ENABLED: ("basic", "owner"),
    Reason.NETWORK_NOT_ALLOWED: _ANEW,
    Reason.SERVICE_NOT_GRANTED: _ANEW,
    Reason.SCOPE_NOT_GRANTED: (*_ANEW, "owner"),
    Reason.OWNER_LACKS_SCOPE: ("owner",),
    Reason.PARENT_LACKS_SCOPE: ("new",),
    Reason.ACCESS_RULE_MISSING: _ANEW,
    Reason.APPLICATION_KEY_REVOKED: ("application",),
    Reason.APPLICATION_KEY_OF_ANOTHER: ("application",),
    Reason.APPLICATION_NOT_APPROVED: ("application",),
    Reason.APPLICATION_BLOCKED: ("application",),
}
_OPENS: Mapping[str, str] = {
    "new": N_("Make another"),
    "credential": N_("Open the credential"),
    "successor": N_("Open its successor"),
    "owner": N_("Open the owner"),
    "project": N_("Open the project"),
    "tenant": N_("Open the tenant"),
    "application": N_("Open the application"),
    "basic": N_("Open the apps connection"),
}


@dataclass(frozen=True, slots=True)
class Lead:
    """Where a change is made: an address, and what the link to it says."""

    address: str
    title: str


@dataclass(frozen=True, slots=True)
class Told:
    """A decision as the page shows it: what was kept, worded, and names beside its ids."""

    kept: Kept
    credential: Named | None
    credential_at: str  # address of its page, empty for none
    owner: str
    leads: tuple[Lead, ...]


async def show(browser: Browser) -> Reply:
    """Show a refusal by its id, or the forms that ask why."""
    wanted = browser.query.get("id", "").strip()
    if not wanted:
        return await _page(browser)
    known = _ID.fullmatch(wanted) is not None
    found = await browser.door.refusal(wanted) if known else None
    store, caller = browser.door.store, browser.caller
    try:
        kept = await run_in_threadpool(decisions.shown, store, caller, wanted, found)
    except NotFoundError:
        words = browser.words(
            N_("No refusal of this id is kept for you to see. They are kept for %(days)s days."),
            days=decisions.KEEP_DAYS,
        )
        asked = {"id": wanted if known else ""}
        return await _page(browser, status=404, asked=asked, faults={"id": [words]})
    cli = (f"latchgate explain --id {wanted}",)
    return await _page(browser, kept=kept, asked={"id": wanted}, cli=cli)


async def take(browser: Browser) -> Reply:
    """Go to a refusal whose id was typed, or decide a request that was described."""
    form = browser.form
    if "id" in form and not _REQUEST & set(form):
        wanted = form["id"].strip().lower()
        if _ID.fullmatch(wanted):
            return browser.redirect(f"/why?id={wanted}")
        # Perhaps a key, by mistake: it is neither shown nor led to.
        return await _page(browser, status=422, faults={"id": [browser.words(_NO_ID)]})
    door = browser.door
    asked = _echoed(browser)
    try:
        request = decisions.described(_read(browser))
        decision = await run_in_threadpool(door.engine.explain, request)
        kept = await run_in_threadpool(
            decisions.explained,
            door.store,
            browser.caller,
            decision,
            request,
            now=door.clock(),
            redact=door.redact,
        )
    except InvalidError as error:
        # What is wrong with a header's name is told of the whole; nothing else is.
        faults = {
            "headers" if name == "form" else name: [door.redact(problem) for problem in problems]
            for name, problems in by_field(error).items()
        }
        return await _page(browser, status=422, asked=asked, faults=faults)
    except NotFoundError:
        words = browser.words(N_("What is presented here is not known as one that you may see."))
        return await _page(browser, status=404, asked=asked, faults={"headers": [words]})
    told = [asked["method"], asked["url"]]
    told += ["--client", asked["client"]] if asked["client"] else []
    return await _page(
        browser, kept=kept, asked=asked, cli=(f"latchgate explain -H @- {shlex.join(told)}",)
    )


def _read(browser: Browser) -> ExplainRequest:
    form = browser.form
    return read_spec(
        ExplainRequest,
        {
            "method": form.get("method", "").strip(),
            "url": form.get("url", "").strip(),
            "headers": _headers(browser, form.get("headers", "")),
            "client": or_none(form.get("client")),
        },
    )


def _headers(browser: Browser, text: str) -> dict[str, str]:
    """Read headers as pasted, one a line; InvalidError names a line, never what it says."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            words = N_("Line %(number)s is no header: write NAME: VALUE.")
            raise InvalidError([("headers", browser.words(words, number=number))])
        if name.strip().lower() in {known.lower() for known in found}:
            words = N_("Line %(number)s gives a header for the second time.")
            raise InvalidError([("headers", browser.words(words, number=number))])
        # One space after the colon is the header's syntax; any other belongs to the value.
        found[name.strip()] = value.removeprefix(" ")
    return found


def _echoed(browser: Browser) -> dict[str, str]:
    """Return what is shown again of a request: no headers, no query, nothing that is a secret."""
    redact, form = browser.door.redact, browser.form
    url = _USER_INFO.sub(r"\1", form.get("url", "").strip().partition("?")[0], count=1)
    return {
        "method": redact(form.get("method", "").strip())[:40],
        "url": masked_path(url[:3072], redact)[:2048],
        "client": redact(form.get("client", "").strip())[:64],
    }


async def _page(
    browser: Browser,
    *,
    status: int = 200,
    kept: Kept | None = None,
    asked: Mapping[str, str] | None = None,
    faults: Mapping[str, list[str]] | None = None,
    cli: tuple[str, ...] = ("latchgate explain --id ID", "latchgate explain GET URL -H @-"),
) -> Reply:
    values = await run_in_threadpool(_looked_up, browser, kept)
    return browser.page(
        "why.html",
        status=status,
        asked={"id": "", "method": "GET", "url": "", "client": "", **(asked or {})},
        faults=faults or {},
        titles=STEPS,
        address=browser.address,
        everything=browser.may(decisions.EVERYTHING),
        own=not browser.may(decisions.TENANT, decisions.EVERYTHING),
        days=decisions.KEEP_DAYS,
        cli=cli,
        **values,
    )


def _looked_up(browser: Browser, kept: Kept | None) -> dict[str, Any]:
    """Return what the page shows beside its forms; one query for the names on it."""
    store, caller, query = browser.door.store, browser.caller, browser.query
    wanted = or_none(query.get("credential"))
    rows, following = decisions.recent(
        browser.door.usage,
        store,
        caller,
        limit=LENGTH,
        credential=wanted,
        after=or_none(query.get("after")),
    )
    everywhere = browser.may(decisions.EVERYTHING)
    ids = {row["credential"] for row in rows} | {wanted}
    ids |= {kept["credential"]} if kept is not None else set()
    named = naming.credentials(store, caller, ids, everywhere=everywhere)
    return {
        "told": _told(browser, kept, named) if kept is not None else None,
        "refusals": [(row, named.get(row["credential"])) for row in rows],
        "following": following,
        "narrowed": wanted,
        "paged": bool(query.get("after")),
        "named": named,
    }


def _told(browser: Browser, kept: Kept, named: Mapping[str, Named]) -> Told:
    credential = named.get(kept["credential"])
    owner_id = credential.owner_id if credential is not None else kept["named"].get("owner")
    everywhere = browser.may(decisions.EVERYTHING)
    owners = naming.users(browser.door.store, browser.caller, [owner_id], everywhere=everywhere)
    found: dict[str, Lead] = {}
    for what in _CHANGED_AT.get(Reason(kept["reason"]), ()):
        address = _address(browser, what, kept, credential)
        if address:
            found.setdefault(address, Lead(address, _OPENS[what]))
    at = ""
    if credential is not None:
        at = places.of_credential(browser, credential.id, credential.kind)
    owner = owners.get(owner_id or "", owner_id or "")
    return Told(kept, credential, at, owner, tuple(found.values()))


def _address(browser: Browser, what: str, kept: Kept, credential: Named | None) -> str:
    """Return where something of a decision is changed; empty where no page is for that."""
    ids: Mapping[str, str] = kept["named"]
    kind = credential.kind if credential is not None else "service_key"
    if what == "new":
        return places.of_new(browser, kind)
    if what == "basic":
        mine = credential is not None and credential.owner_id == browser.caller.user_id
        return places.of_credential(browser, "", "app_password") if mine else ""
    if what == "owner":
        owner_id = credential.owner_id if credential is not None else ids.get("owner", "")
        return places.of_record(browser, Noun.USER, owner_id) if owner_id else ""
    if what == "application":
        record = ids.get("application", "")
        return places.of_record(browser, Noun.APPLICATION, record) if record else ""
    if credential is None:
        return ""
    if what in {"credential", "successor"}:
        record = credential.id if what == "credential" else ids.get("successor", "")
        return places.of_credential(browser, record, kind) if record else ""
    noun = Noun.PROJECT if what == "project" else Noun.TENANT
    return places.of_record(browser, noun, getattr(credential, f"{what}_id"))


PAGES = (
    Page(
        "/why",
        show=show,
        take=take,
        fields=_REQUEST | {"id"},
        query=frozenset({"id", "credential", "after"}),
        scopes=SCOPES,
    ),
)
