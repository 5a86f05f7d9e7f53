"""Applications as somebody sees them: what may act for them, what they keep out.

Rule of this file: it is all one's own: seeing and taking back what one allowed asks for no right.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field
from latchgate.manage import applications, blocks, consents
from latchgate.manage.consents import StoredConsent
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.oauth.consent import Group, in_words
from latchgate.verify.receipt import Receipt

_READ, _WRITE = "own:applications.read", "own:applications.write"
_CLI = (
    "latchgate consent list",
    "latchgate consent withdraw CLIENT",
    "latchgate app list --blocked",
    "latchgate app block ID",
)


@dataclass(frozen=True, slots=True)
class _Allowed:
    """A consent as the page shows it; `used_at` is when something of it was last accepted."""

    consent: StoredConsent
    groups: tuple[Group, ...]
    used_at: float | None


async def show(browser: Browser) -> Reply:
    """List what may act for somebody, and what they keep out."""
    return await _page(browser)


async def ask_withdraw(browser: Browser) -> Reply:
    """Ask before what an application may do is taken back."""
    one = next((one for one in await _consents(browser) if one.client_id == browser.id), None)
    if one is None:
        raise NotFoundError(f"there is no consent to the client {browser.id[:64]!r}")
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Withdraw %(name)s?"), name=one.application_name),
        what=(
            browser.words(
                N_("Whatever %(name)s holds for you ends at once: it is signed out everywhere."),
                name=one.application_name,
            ),
            browser.words(N_("It asks you again before it can act for you another time.")),
        ),
        action=f"/applications/{one.client_id}/withdraw",
        verb=browser.words(N_("Withdraw")),
        back="/applications",
        cli=(f"latchgate consent withdraw {one.client_id}",),
    )


async def withdraw(browser: Browser) -> Reply:
    """End what one may do, at once, and say who follows."""
    door = browser.door
    n = await run_in_threadpool(consents.withdraw, door.store, browser.person, browser.id)
    done = N_("It was withdrawn, with everything that the application held.")
    return await _page(browser, done=done, receipt=await door.acknowledged(n))


async def ask_block(browser: Browser) -> Reply:
    """Ask before an application is kept out."""
    found = await run_in_threadpool(applications.shown, browser.door.store, browser.id)
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Block %(name)s for yourself?"), name=found.name),
        what=(
            browser.words(
                N_("It is refused at once wherever it acts for you, with whatever it comes.")
            ),
            browser.words(
                N_("Nobody else notices. What you allowed it stays noted, for when you unblock it.")
            ),
        ),
        action=f"/applications/{found.id}/block",
        verb=browser.words(N_("Block")),
        back="/applications",
        cli=(f"latchgate app block {found.id}",),
    )


async def block(browser: Browser) -> Reply:
    """Keep an application out, and say who follows."""
    return await _block(browser, browser.id)


async def block_named(browser: Browser) -> Reply:
    """Keep out an application whose id was typed."""
    named = browser.form.get("application_id", "").strip()
    try:
        if not named:
            raise InvalidError([("application_id", "write the id of an application: app-…")])  # noqa: TRY301 - told as what is not there
        return await _block(browser, named)
    except NotFoundError as error:
        faults = {"application_id": [str(error)]}
    except InvalidError as error:
        faults = by_field(error)
    return await _page(browser, faults=faults, named=named)


async def unblock(browser: Browser) -> Reply:
    """Let an application act again, unless its developer withdrew it."""
    door = browser.door
    still, n = await run_in_threadpool(blocks.unblock, door.store, browser.caller, browser.id)
    done = N_("You block it no more, and it may act for you again.")
    if still:
        done = N_("You block it no more; its developer withdrew it for you, and that stands.")
    return await _page(browser, done=done, receipt=await door.acknowledged(n))


async def _block(browser: Browser, application_id: str) -> Reply:
    door = browser.door
    n = await run_in_threadpool(blocks.block, door.store, browser.caller, application_id)
    done = N_("It is blocked: nothing that it does for you is let in.")
    return await _page(browser, done=done, receipt=await door.acknowledged(n))


async def _consents(browser: Browser) -> list[StoredConsent]:
    return await run_in_threadpool(consents.listed, browser.door.store, browser.person)


async def _page(
    browser: Browser,
    *,
    done: str = "",
    receipt: Receipt | None = None,
    faults: dict[str, list[str]] | None = None,
    named: str = "",
) -> Reply:
    door, policy = browser.door, browser.policy
    held = await _consents(browser)
    grants = [grant_id for one in held for grant_id in one.grant_ids]
    uses = await run_in_threadpool(door.usage.last_uses, grants)
    allowed = [
        _Allowed(
            one,
            in_words(policy, tuple(one.scopes)),
            max((uses[each].at for each in one.grant_ids if each in uses), default=None),
        )
        for one in held
    ]
    blocked = []
    if browser.may(_READ):
        blocked = await run_in_threadpool(blocks.listed, door.store, browser.caller)
    return browser.page(
        "applications.html",
        status=422 if faults else 200,
        held=allowed,
        blocked=blocked,
        kept_out={one.application_id for one in blocked},
        reads=browser.may(_READ),
        blocks=browser.may(_WRITE),
        done=browser.words(done),
        receipt=receipt,
        faults=faults or {},
        named=named,
        cli=_CLI,
    )


PAGES = (
    Page("/applications", show=show),
    Page("/applications/{id}/withdraw", show=ask_withdraw, take=withdraw),
    Page(
        "/applications/block",
        take=block_named,
        fields=frozenset({"application_id"}),
        scopes=(_WRITE,),
    ),
    Page("/applications/{id}/block", show=ask_block, take=block, scopes=(_WRITE,)),
    Page("/applications/{id}/unblock", take=unblock, scopes=(_WRITE,)),
)
