"""OAuth2 clients as the operator sees them: all of them, one, switched off and on, ended.

Rule of this file: what is of one tenant alone, as whom its clients act, is its administrators' page
(`client_acting`), which opens without a right of the operator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.core.kinds import OauthToken
from latchgate.core.policy import Policy
from latchgate.doors.console import client_acting, lists
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Handler, Page
from latchgate.doors.console.reading import read_version
from latchgate.manage import client_grants, grants, oauth_clients
from latchgate.manage.client_terms import DEVICE, INTROSPECTION
from latchgate.manage.oauth_clients import LISTING, StoredClient
from latchgate.oauth.consent import in_words
from latchgate.verify.receipt import Receipt

READ, WRITE = "operator:oauth-clients.read", "operator:oauth-clients.write"
TENANT_READ = "manage:oauth-clients.read"
# In the order in which pages offer them.
GRANTS: Mapping[str, str] = {
    "authorization_code": N_("People sign in with a browser and allow it (authorization code)"),
    DEVICE: N_("People allow it on another device, by a code that it shows"),
    "refresh_token": N_("It goes on without asking again (refresh tokens)"),
    "client_credentials": N_("It acts by itself, as a service user of one tenant"),
    "urn:ietf:params:oauth:grant-type:token-exchange": N_("It exchanges tokens for narrower ones"),
    INTROSPECTION: N_("It looks up what tokens are worth, as an API does (introspection)"),
}


def has_clients(policy: Policy) -> bool:
    """Whether clients could be given anything."""
    return any(isinstance(one, OauthToken) for one in policy.kinds.values())


async def show(browser: Browser) -> Reply:
    """List every client, or, to a tenant's administrator, those that act there."""
    if not browser.may(READ):
        return await client_acting.show(browser)
    door = browser.door
    asked = lists.read(browser, LISTING)
    found, following = await run_in_threadpool(
        oauth_clients.listed, door.store, browser.policy, asked.query, now=door.clock()
    )
    return browser.page(
        "clients.html",
        asked=asked,
        found=found,
        following=following,
        grants=GRANTS,
        makes=browser.may(WRITE),
        acting=browser.may(TENANT_READ),
        cli=("latchgate oauth-client list", "latchgate oauth-client create --application NAME"),
    )


async def show_one(browser: Browser) -> Reply:
    """Show one client."""
    door = browser.door
    found = await run_in_threadpool(
        oauth_clients.shown, door.store, browser.policy, browser.id, now=door.clock()
    )
    return await page_of(browser, found)


async def page_of(
    browser: Browser, found: StoredClient, *, done: str = "", receipt: Receipt | None = None
) -> Reply:
    """Show a client, with what was just done to it."""
    door = browser.door
    held = await run_in_threadpool(grants.held, door.store, found.application_id, found.id)
    here = found.tenant_id == browser.caller.tenant_id and browser.may(TENANT_READ)
    return browser.page(
        "clients_one.html",
        one=found,
        words=GRANTS,
        scopes=in_words(browser.policy, tuple(found.scopes)),
        held=held,
        changes=browser.may(WRITE) and found.withdrawn_at is None,
        acts=here and ("client_credentials" in found.grant_types or found.grant_id is not None),
        done=browser.words(done),
        receipt=receipt,
        cli=(
            f"latchgate oauth-client show {found.id}",
            f"latchgate oauth-client update {found.id} --scope SCOPE",
            f"latchgate oauth-client disable {found.id}",
        ),
    )


def _ask(question: str, what: tuple[str, ...], verb: str, below: str) -> Handler:
    """Return what asks before a client is switched off or ended."""

    async def ask(browser: Browser) -> Reply:
        door = browser.door
        found = await run_in_threadpool(
            oauth_clients.shown, door.store, browser.policy, browser.id, now=door.clock()
        )
        return browser.page(
            "confirm.html",
            question=browser.words(question, name=found.application_name),
            what=tuple(browser.words(one) for one in what),
            action=f"/clients/{found.id}/{below}",
            carried={"version": str(found.version)},
            verb=browser.words(verb),
            back=f"/clients/{found.id}",
            cli=(f"latchgate oauth-client {below} {found.id}",),
        )

    return ask


def _switch(act: Callable[..., tuple[StoredClient, int]], done: str) -> Handler:
    """Return what switches a client, and says who follows."""

    async def switch(browser: Browser) -> Reply:
        door = browser.door
        found, n = await run_in_threadpool(
            act,
            door.store,
            browser.policy,
            browser.caller,
            browser.id,
            match=read_version(browser),
        )
        return await page_of(browser, found, done=done, receipt=await door.acknowledged(n))

    return switch


_VERSION = frozenset({"version"})
PAGES = (
    Page(
        "/clients",
        show=show,
        query=lists.names(LISTING) | lists.names(client_grants.LISTING),
        scopes=(READ, TENANT_READ),
        offered=has_clients,
    ),
    Page("/clients/{id}", show=show_one, scopes=(READ,)),
    Page(
        "/clients/{id}/disable",
        show=_ask(
            N_("Switch off the client of %(name)s?"),
            (
                N_("It can prove itself to nobody, and every token that it holds is refused."),
                N_("Switched on again, it goes on with what it held."),
            ),
            N_("Switch off"),
            "disable",
        ),
        take=_switch(oauth_clients.disable, N_("It is switched off, with all that it held.")),
        fields=_VERSION,
        scopes=(WRITE,),
    ),
    Page(
        "/clients/{id}/enable",
        take=_switch(oauth_clients.enable, N_("It is switched on again.")),
        fields=_VERSION,
        scopes=(WRITE,),
    ),
    Page(
        "/clients/{id}/withdraw",
        show=_ask(
            N_("End the client of %(name)s for good?"),
            (
                N_("Its secrets, its tokens and what people allowed it end at once."),
                N_("It can't be brought back: another client would have another id."),
            ),
            N_("End it for good"),
            "withdraw",
        ),
        take=_switch(oauth_clients.withdraw, N_("It has ended, with all that it held.")),
        fields=_VERSION,
        scopes=(WRITE,),
    ),
)
