"""Secrets of OAuth2 clients: another made, one ended.

Rule of this file: a secret stands in the answer that makes it, and in no other.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.clients import WRITE, page_of
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, or_none, read_spec, read_version
from latchgate.manage import client_secrets, oauth_clients
from latchgate.manage.client_secrets import SecretSpec
from latchgate.manage.errors import InvalidError, NotFoundError
from latchgate.manage.oauth_clients import StoredClient

_GRACES = (
    ("", N_("at once")),
    ("1h", N_("in an hour")),
    ("1d", N_("in a day")),
    ("7d", N_("in a week")),
    ("30d", N_("in 30 days")),
)


async def ask_new(browser: Browser) -> Reply:
    """Ask how long the secret before works on."""
    return _new(browser, await _found(browser))


async def make(browser: Browser) -> Reply:
    """Make a secret; it is in this answer only."""
    door = browser.door
    try:
        spec = read_spec(SecretSpec, {"grace": or_none(browser.form.get("grace"))})
        _, issued, n = await run_in_threadpool(
            client_secrets.renew,
            door.store,
            browser.policy,
            browser.caller,
            browser.id,
            spec,
            match=read_version(browser),
            entropy=door.entropy,
            once=browser.once(spec),
        )
    except InvalidError as error:
        return _new(browser, await _found(browser), by_field(error))
    receipt, found = await door.acknowledged(n), await _found(browser)
    if issued is None:
        done = N_("This form made it before. The secret was shown then, and is not shown again.")
        return await page_of(browser, found, done=done, receipt=receipt)
    return browser.page(
        "clients_secret_made.html",
        heading=browser.words(N_("A new secret")),
        done=browser.words(N_("The secret was made.")),
        receipt=receipt,
        name=found.application_name,
        parts=(
            (browser.words(N_("Client id")), found.id),
            (browser.words(N_("Client secret")), issued.secret.reveal()),
        ),
        samples=(),
        back=f"/clients/{found.id}",
    )


async def ask_revoke(browser: Browser) -> Reply:
    """Ask before a secret is ended."""
    found, wanted = await _found(browser), browser.query.get("secret", "")
    one = next((one for one in found.secrets if one.id == wanted), None)
    if one is None:
        raise NotFoundError(f"the client has no secret {wanted[:64]!r}")
    return browser.page(
        "confirm.html",
        question=browser.words(N_("Revoke the secret %(name)s?"), name=one.id),
        what=(
            browser.words(N_("Whatever proves itself with it is refused at once.")),
            browser.words(N_("What the client holds stays: it goes on with another secret.")),
        ),
        action=f"/clients/{found.id}/secret/revoke",
        carried={"secret": one.id},
        verb=browser.words(N_("Revoke")),
        back=f"/clients/{found.id}",
        cli=(f"latchgate oauth-client revoke-secret {found.id} {one.id}",),
    )


async def revoke(browser: Browser) -> Reply:
    """End a secret at once, and say who follows."""
    door = browser.door
    _, n = await run_in_threadpool(
        client_secrets.revoke,
        door.store,
        browser.policy,
        browser.caller,
        browser.id,
        browser.form.get("secret", ""),
    )
    receipt = await door.acknowledged(n)
    found = await _found(browser)
    return await page_of(browser, found, done=N_("The secret was revoked."), receipt=receipt)


async def _found(browser: Browser) -> StoredClient:
    door = browser.door
    return await run_in_threadpool(
        oauth_clients.shown, door.store, browser.policy, browser.id, now=door.clock()
    )


def _new(
    browser: Browser, found: StoredClient, faults: Mapping[str, list[str]] | None = None
) -> Reply:
    return browser.page(
        "clients_secret.html",
        status=422 if faults else 200,
        one=found,
        graces=tuple((text, browser.words(words)) for text, words in _GRACES),
        grace=browser.form.get("grace", ""),
        version=browser.form.get("version", str(found.version)),
        faults=faults or {},
        cli=(f"latchgate oauth-client new-secret {found.id} --grace 7d",),
    )


PAGES = (
    Page(
        "/clients/{id}/secret",
        show=ask_new,
        take=make,
        fields=frozenset({"grace", "version"}),
        scopes=(WRITE,),
    ),
    Page(
        "/clients/{id}/secret/revoke",
        show=ask_revoke,
        take=revoke,
        query=frozenset({"secret"}),
        fields=frozenset({"secret"}),
        scopes=(WRITE,),
    ),
)
