"""The forms that make and change OAuth2 clients.

Rule of this file: what was typed stays when it can't be taken, and each fault stands at its field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.clients import GRANTS, WRITE, has_clients, page_of
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, lines, or_none, read_spec, read_version
from latchgate.manage import applications, oauth_clients, tenants
from latchgate.manage.applications import ApplicationSpec, State
from latchgate.manage.client_terms import PROTOCOL_SCOPES, Terms, check
from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import Query
from latchgate.manage.oauth_clients import ClientPatch, ClientSpec, StoredClient
from latchgate.oauth.consent import Group, in_words
from latchgate.store.errors import ConflictError

_OF_APPLICATION = ("name", "vendor", "contact", "developer", "purpose")
_TERMS = ("scopes", "grant_types", "redirect_uris", "post_logout_redirect_uris")
_KNOWN = (*_OF_APPLICATION, *_TERMS, "application_id", "tenant_id")
_CHOICES = 100  # of applications and tenants that a form proposes; any other is typed
_USUAL = ("authorization_code", "refresh_token")
_LINE = "1 to 120 characters on one line"
# What the shapes say by patterns, as people need it.
_RULES = {
    "name": _LINE,
    "vendor": _LINE,
    "contact": "an e-mail address such as keys@example.com",
    "developer": "one of the three",
    "purpose": "1 to 2,000 characters, without control characters",
    "grant_types": "choose one at least",
}


async def ask_new(browser: Browser) -> Reply:
    """Ask what a new client shall be."""
    told = {"application_id": browser.query.get("application_id", "")}
    return await _new(browser, told, {"grant_types": _USUAL, "scopes": ()})


async def make(browser: Browser) -> Reply:
    """Make a client; its secret is in this answer only."""
    door = browser.door
    try:
        spec = _spec(browser)
        made, issued, new = await run_in_threadpool(
            oauth_clients.create,
            door.store,
            browser.policy,
            browser.caller,
            spec,
            now=door.clock(),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return await _new(browser, browser.form, browser.chosen, _worded(error))
    except ConflictError as error:
        # Of the application: it is not approved, or has its confidential client already.
        faults = {"application_id": [str(error)]}
        return await _new(browser, browser.form, browser.chosen, faults)
    if not new:
        done = N_("This form made it before. Its secret was shown then, and is not shown again.")
        return await page_of(browser, made, done=done)
    if issued is None:
        return await page_of(browser, made, done=N_("It was made. It is public: it has no secret."))
    return browser.page(
        "shown_once.html",
        heading=browser.words(N_("The new client's secret")),
        done=browser.words(N_("The client was made.")),
        name=made.application_name,
        parts=(
            (browser.words(N_("Client id")), made.id),
            (browser.words(N_("Client secret")), issued.secret.reveal()),
        ),
        samples=(),
        back=f"/clients/{made.id}",
    )


async def ask_change(browser: Browser) -> Reply:
    """Ask what shall be otherwise about a client."""
    found = await _found(browser)
    told = {
        "redirect_uris": "\n".join(found.redirect_uris),
        "post_logout_redirect_uris": "\n".join(found.post_logout_redirect_uris),
        "version": str(found.version),
    }
    chosen = {"grant_types": tuple(found.grant_types), "scopes": tuple(found.scopes)}
    return _change(browser, found, told, chosen)


async def change(browser: Browser) -> Reply:
    """Change a client, and say who follows."""
    door = browser.door
    try:
        found, n = await run_in_threadpool(
            oauth_clients.change_client,
            door.store,
            browser.policy,
            browser.caller,
            browser.id,
            read_spec(ClientPatch, _terms(browser)),
            match=read_version(browser),
        )
    except InvalidError as error:
        found = await _found(browser)
        return _change(browser, found, browser.form, browser.chosen, _worded(error))
    done = N_("It was changed. What it may do no more was taken from what it held.")
    return await page_of(browser, found, done=done, receipt=await door.acknowledged(n))


def _spec(browser: Browser) -> ClientSpec:
    """Read a new client; InvalidError names each field, those of a new application too."""
    form = browser.form
    faults: list[tuple[str, str]] = []
    told: dict[str, Any] = {
        **_terms(browser),
        "tenant_id": or_none(form.get("tenant_id")),
        "public": form.get("kind") == "public",
        "first_party": "first_party" in form,
    }
    if form.get("of") == "new":
        try:
            told["application"] = _application(form)
        except InvalidError as error:
            faults += error.faults
    else:
        told["application_id"] = or_none(form.get("application_id"))
        if told["application_id"] is None:
            faults.append(("application_id", "name an approved application, or make a new one"))
    try:
        spec = read_spec(ClientSpec, told)
    except InvalidError as error:
        raise InvalidError([*faults, *error.faults]) from error
    if faults:
        check(browser.policy, Terms.of(spec), *faults)  # with whatever else is wrong
    return spec


def _application(form: Mapping[str, str]) -> ApplicationSpec:
    """Read what a new application shall be; InvalidError names each field that can't be taken."""
    told = {name: form.get(name, "").replace("\r\n", "\n").strip() for name in _OF_APPLICATION}
    faults: list[tuple[str, str]] = []
    sound = {"developer": "corporation", "contact": "a@example.com"}
    for name, text in told.items():
        others = {one: sound.get(one, "x") for one in told if one != name}
        try:
            read_spec(ApplicationSpec, {**others, name: text})
        except InvalidError as error:
            faults += error.faults
    if faults:
        raise InvalidError(faults)
    return read_spec(ApplicationSpec, told)


def _terms(browser: Browser) -> dict[str, list[str]]:
    form = browser.form
    return {
        "scopes": list(browser.chosen["scopes"]),
        "grant_types": list(browser.chosen["grant_types"]),
        "redirect_uris": lines(form.get("redirect_uris")) or [],
        "post_logout_redirect_uris": lines(form.get("post_logout_redirect_uris")) or [],
    }


def _worded(error: InvalidError) -> dict[str, list[str]]:
    """Return what is wrong by field, patterns in the words that people need."""
    shapes = ("Expected", "Invalid", "Object")
    return {
        field: [_RULES.get(field, one) if one.startswith(shapes) else one for one in problems]
        for field, problems in by_field(error).items()
    }


async def _new(
    browser: Browser,
    told: Mapping[str, str],
    chosen: Mapping[str, tuple[str, ...]],
    faults: Mapping[str, list[str]] | None = None,
) -> Reply:
    makes = browser.may(oauth_clients.MAKES_APPLICATIONS)
    return browser.page(
        "clients_new.html",
        status=422 if faults else 200,
        told=told,
        of=told.get("of", "existing" if told.get("application_id") or not makes else "new"),
        makes=makes,
        applications=await _applications(browser),
        tenants=await _tenants(browser),
        **_choices(browser, chosen, faults),
        cli=("latchgate oauth-client create --application NAME --scope SCOPE --redirect-uri URI",),
    )


def _change(
    browser: Browser,
    found: StoredClient,
    told: Mapping[str, str],
    chosen: Mapping[str, tuple[str, ...]],
    faults: Mapping[str, list[str]] | None = None,
) -> Reply:
    return browser.page(
        "clients_change.html",
        status=422 if faults else 200,
        one=found,
        told=told,
        **_choices(browser, chosen, faults),
        cli=(f"latchgate oauth-client update {found.id} --scope SCOPE --redirect-uri URI",),
    )


def _choices(
    browser: Browser,
    chosen: Mapping[str, tuple[str, ...]],
    faults: Mapping[str, list[str]] | None,
) -> dict[str, Any]:
    """Return what both forms offer: ways to tokens, scopes in words, and what is wrong."""
    return {
        "grants": tuple((name, browser.words(words)) for name, words in GRANTS.items()),
        "groups": _groups(browser, frozenset(chosen["scopes"])),
        "chosen": {name: frozenset(held) for name, held in chosen.items()},
        "faults": faults or {},
        "known": _KNOWN,
    }


def _groups(browser: Browser, chosen: frozenset[str]) -> tuple[Group, ...]:
    """Return every scope that a client can be given, and those that it has, in words."""
    services = browser.policy.services.values()
    known = [*sorted(PROTOCOL_SCOPES), *(scope for one in services for scope in one.scopes)]
    return in_words(browser.policy, tuple(dict.fromkeys([*known, *sorted(chosen)])))


async def _found(browser: Browser) -> StoredClient:
    door = browser.door
    return await run_in_threadpool(
        oauth_clients.shown, door.store, browser.policy, browser.id, now=door.clock()
    )


async def _applications(browser: Browser) -> list[tuple[str, str]]:
    """Return approved applications to choose from, for whoever may see them."""
    if not browser.may("operator:applications.read"):
        return []
    door = browser.door
    query = Query(limit=_CHOICES, sort=("-created_at",), filters={"state": str(State.APPROVED)})
    found, _ = await run_in_threadpool(applications.listed, door.store, query, now=door.clock())
    return [(one.id, one.name) for one in found]


async def _tenants(browser: Browser) -> list[tuple[str, str]]:
    """Return tenants to choose from, for whoever may see them."""
    if not browser.may("operator:tenants.read"):
        return []
    door = browser.door
    query = Query(limit=_CHOICES, sort=("name",))
    found, _ = await run_in_threadpool(tenants.listed, door.store, query, now=door.clock())
    return [(one.id, one.name) for one in found]


_BOXES = frozenset({"scopes", "grant_types"})
_CHANGED = frozenset(_TERMS)
PAGES = (
    Page(
        "/clients/new",
        show=ask_new,
        take=make,
        query=frozenset({"application_id"}),
        fields=_CHANGED
        | frozenset(_OF_APPLICATION)
        | {"of", "application_id", "kind", "first_party", "tenant_id"},
        several=_BOXES,
        scopes=(WRITE,),
        offered=has_clients,
    ),
    Page(
        "/clients/{id}/change",
        show=ask_change,
        take=change,
        fields=_CHANGED | {"version"},
        several=_BOXES,
        scopes=(WRITE,),
    ),
)
