"""Signing in through an external OpenID provider, and linking oneself with one.

Rule of this file: what comes back is looked at only in the browser that was sent away, and once; a
page says no more than that it did not work, the log says why. A provider proves who somebody is;
the second factor that they have here is asked for all the same, unless the provider says that it
asked for one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any, NoReturn

from starlette.concurrency import run_in_threadpool

from latchgate.core.id_assertion import signed_in_at
from latchgate.core.identity_provider import MULTI_FACTOR, IdentityProvider
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.form import FormError
from latchgate.manage import authenticators, identities, links, passwords, provisioning
from latchgate.manage.errors import InvalidError
from latchgate.manage.provisioning import Comer, MappingError, NotAdmittedError
from latchgate.oauth.relying_party import (
    SEED_BYTES,
    DeclinedError,
    Proven,
    ProviderError,
    RelyingParty,
    Round,
    UnavailableError,
)
from latchgate.signin import ceremony
from latchgate.signin.ceremony import Ceremony, Sort
from latchgate.signin.next_path import local
from latchgate.signin.session import FRESH_SECONDS
from latchgate.store.errors import ConflictError

BEGIN, CALLBACK = "/sign-in/provider/", "/sign-in/callback/"
_UNAVAILABLE = N_(
    "%(provider)s can't be reached just now. Try again later, or sign in another way."
)
_ELSEWHERE = N_("This sign-in was not begun in this browser, or it took too long. Start again.")
_log = logging.getLogger(__name__)


async def begin(provider: IdentityProvider, browser: Browser) -> Reply:
    """Send the browser to a provider; whoever is signed in goes on, unless they must prove it."""
    following = local(browser.query.get("next"))
    again = browser.query.get("again") == "1"
    if browser.session is not None and not again:
        return browser.redirect(following)
    data = {"next": following, "again": again, "linking": False}
    return browser.depart(await _question(provider, browser, data, user_id=None))


async def begin_link(browser: Browser) -> Reply:
    """Ask a provider who it is that is signed in here, to link them; leads there by a link.

    Not by redirection: a page's forms lead to its own origin alone, by its policy.
    """
    wanted = browser.form.get("name", "")
    provider = next((one for one in browser.door.providers.providers if one.name == wanted), None)
    if provider is None:
        raise FormError(422, "There is no such provider.")
    data = {"next": "/security?done=linked", "again": True, "linking": True}
    address = await _question(provider, browser, data, user_id=browser.who.user_id)
    return browser.page("continue.html", address=address, provider=provider.title)


async def callback(provider: IdentityProvider, browser: Browser) -> Reply:
    """Take what a provider answers, and sign in or link."""
    begun, asked = await _begun(provider, browser)
    redirect_uri = _redirect_uri(provider, browser)
    relying = browser.door.providers
    try:
        proven = await run_in_threadpool(
            relying.answer, provider, asked, browser.query, redirect_uri=redirect_uri
        )
    except ProviderError as error:
        _fail(provider, error)
    if begun.data["linking"]:
        return await _link(provider, browser, begun, proven)
    return await _sign_in(provider, browser, begun, proven)


async def unlink(browser: Browser) -> Reply:
    """Take a link away, but the last way to sign in."""
    store, who = browser.door.store, browser.person
    held = await run_in_threadpool(links.listed_own, store, who)
    factors = await run_in_threadpool(authenticators.factors, store, who.user_id)
    login = await run_in_threadpool(identities.login_name, store, passwords.NAMESPACE, who.user_id)
    if len(held) < 2 and not factors.passkeys and login is None:  # noqa: PLR2004 - the last one
        raise FormError(409, "This is the only way you sign in: add a passkey first.")
    n = await run_in_threadpool(links.unlink_own, store, who, browser.form.get("id", ""))
    await browser.door.acknowledged(n)
    return browser.redirect("/security?done=unlinked")


async def _question(
    provider: IdentityProvider, browser: Browser, data: dict[str, Any], *, user_id: str | None
) -> str:
    """Begin a ceremony and return where to send the browser; FormError."""
    door = browser.door
    now, seed = door.clock(), door.entropy(SEED_BYTES).hex()
    data |= {"provider": provider.name, "seed": seed, "begun_at": now}
    asked = Round(browser.known, seed, now, data["again"])
    redirect_uri = _redirect_uri(provider, browser)
    try:
        address = await run_in_threadpool(
            door.providers.question, provider, asked, redirect_uri=redirect_uri
        )
    except ProviderError as error:
        _log.warning("%s can't be signed in through: %s", provider.name, error)
        raise FormError(503, _UNAVAILABLE, {"provider": provider.title}) from error
    await run_in_threadpool(
        ceremony.begin,
        door.store,
        browser.known,
        Sort.PROVIDER,
        user_id=user_id,
        data=data,
        now=now,
    )
    return address


async def _begun(provider: IdentityProvider, browser: Browser) -> tuple[Ceremony, Round]:
    """Return what this browser asked the provider, taken away; FormError where it didn't.

    An answer whose state is another's takes nothing away: whoever sends a browser here must not end
    what it is in the middle of.
    """
    door, told = browser.door, browser.query
    known = door.store, browser.known, Sort.PROVIDER
    begun = await run_in_threadpool(ceremony.under_way, *known, now=door.clock())
    asked = _round(browser, begun) if begun is not None else None
    if begun is None or asked is None or begun.data["provider"] != provider.name:
        raise FormError(403, _ELSEWHERE)
    if not asked.is_answered_by(told.get("state", "")):
        _log.warning("an answer of %s came with another state", provider.name)
        raise FormError(403, _ELSEWHERE)
    taken = await run_in_threadpool(ceremony.finish, *known, now=door.clock())
    if taken is None or taken.data != begun.data:
        raise FormError(403, _ELSEWHERE)
    return begun, asked


async def _sign_in(
    provider: IdentityProvider, browser: Browser, begun: Ceremony, proven: Proven
) -> Reply:
    door, following = browser.door, local(begun.data["next"])
    comer = Comer(provider, proven.subject, proven.claims, browser.address)
    try:
        admitted = await run_in_threadpool(
            provisioning.admit,
            door.store,
            door.engine.policy,
            comer,
            now=door.clock(),
            entropy=door.entropy,
        )
    except NotAdmittedError as error:
        _log.warning("%s signed somebody in who was not let in: %s", provider.name, error)
        return browser.repeat(403, str(error))
    except (MappingError, ConflictError, InvalidError) as error:
        _log.error("a sign-in through %s could not be done as configured: %s", provider.name, error)
        return browser.refuse(503, "This can't be done just now. Ask your administrator.")
    if admitted.n is not None:
        await door.acknowledged(admitted.n)
    methods = provider.methods(proven.claims)
    auth_time = _auth_time(proven, door.clock())
    held = await run_in_threadpool(authenticators.factors, door.store, admitted.user_id)
    if held.second and MULTI_FACTOR not in methods:
        waiting = {"next": following, "provider": provider.name, "subject": proven.subject}
        await run_in_threadpool(
            ceremony.begin,
            door.store,
            browser.known,
            Sort.SECOND,
            user_id=admitted.user_id,
            data=waiting | {"methods": methods, "auth_time": auth_time},
            now=door.clock(),
        )
        return browser.redirect("/sign-in/second")
    await browser.sign_in(admitted.user_id, methods, provider=provider.name, auth_time=auth_time)
    return browser.redirect(following)


async def _link(
    provider: IdentityProvider, browser: Browser, begun: Ceremony, proven: Proven
) -> Reply:
    """Link who began it, if it is still they who are signed in."""
    door, session = browser.door, browser.session
    if session is None or session.user_id != begun.user_id:
        raise FormError(403, _ELSEWHERE)
    try:
        await run_in_threadpool(
            links.link_own,
            door.store,
            door.engine.policy,
            browser.person,
            issuer=provider.issuer,
            subject=proven.subject,
            entropy=door.entropy,
        )
    except ConflictError as error:
        _log.warning("a link with %s could not be made: %s", provider.name, error)
        raise FormError(
            409,
            "Your account at %(provider)s is linked with a user here already.",
            {"provider": provider.title},
        ) from error
    return browser.redirect(local(begun.data["next"]))


def _round(browser: Browser, begun: Ceremony) -> Round:
    data = begun.data
    return Round(browser.known, data["seed"], data["begun_at"], data["again"])


def _auth_time(proven: Proven, now: float) -> float:
    """Return when somebody last proved that it is they; long ago where the provider doesn't say."""
    told = signed_in_at(proven.claims)
    return min(now, told) if told is not None else now - FRESH_SECONDS - 1.0


def _redirect_uri(provider: IdentityProvider, browser: Browser) -> str:
    """Return where the provider sends the browser back: at the origin that it came from."""
    return f"{browser.origin}{CALLBACK}{provider.name}"


def _fail(provider: IdentityProvider, error: ProviderError) -> NoReturn:
    """Say what went wrong at a provider, and no more; FormError."""
    _log.warning("a sign-in through %s failed: %s", provider.name, error)
    told = {"provider": provider.title}
    if isinstance(error, DeclinedError):
        raise FormError(403, "%(provider)s did not sign you in.", told) from error
    if isinstance(error, UnavailableError):
        raise FormError(503, _UNAVAILABLE, told) from error
    raise FormError(403, "%(provider)s gave no answer that could sign you in.", told) from error


def pages(relying: RelyingParty) -> Iterable[Page]:
    """Return the pages of every provider, and those by which one is linked."""
    for one in relying.providers:
        yield Page(
            BEGIN + one.name,
            show=partial(begin, one),
            query=frozenset({"next", "again"}),
            signed_in=False,
        )
        yield Page(CALLBACK + one.name, show=partial(callback, one), query=None, signed_in=False)
    yield Page("/security/links/new", take=begin_link, fields=frozenset({"name"}), fresh=True)
    yield Page("/security/links/remove", take=unlink, fields=frozenset({"id"}), fresh=True)
