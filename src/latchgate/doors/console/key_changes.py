"""What is done to an API key that there is: changed, narrowed, switched off and on, revoked."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import key_shown
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.reading import by_field, read_spec
from latchgate.doors.form import FormError
from latchgate.manage import disabling, keys, narrowing
from latchgate.manage.errors import InvalidError
from latchgate.manage.keys import KeyPatch
from latchgate.manage.narrowing import NarrowSpec
from latchgate.manage.records import ANY, IfMatch
from latchgate.oauth.consent import in_words

_MAX_VERSION = 18  # digits


def match_of(browser: Browser) -> IfMatch:
    """Return the version of the record that a form was made of; FormError."""
    text = browser.form.get("version", "")
    if not text:
        return ANY
    if not text.isascii() or not text.isdecimal() or len(text) > _MAX_VERSION:
        raise FormError(400, "What was sent could not be read.")
    return IfMatch(frozenset({int(text)}))


async def show_change(browser: Browser) -> Reply:
    """Show the form for name and description."""
    return await _change_form(browser, {}, {})


async def change(browser: Browser) -> Reply:
    """Change them."""
    caller = browser.caller
    told = {
        "name": browser.form.get("name", "").strip(),
        "description": browser.form.get("description", "").strip().replace("\r\n", "\n"),
    }
    try:
        await run_in_threadpool(
            keys.change_key,
            browser.door.store,
            caller,
            browser.id,
            read_spec(KeyPatch, told),
            *keys.reach(caller, "write"),
            match=match_of(browser),
        )
    except InvalidError as error:
        return await _change_form(browser, told, by_field(error))
    return browser.redirect(f"/keys/{browser.id}?done=changed")


async def _change_form(
    browser: Browser, told: Mapping[str, str], faults: Mapping[str, list[str]]
) -> Reply:
    key = await run_in_threadpool(key_shown.found, browser, "write")
    return browser.page(
        "key_change.html",
        status=422 if faults else 200,
        key=key,
        told={"name": key.name, "description": key.description} | dict(told),
        version=browser.form.get("version", key.version),
        faults=faults,
        cli=(f"latchgate key update {key.id} --name NAME --description TEXT",),
    )


async def show_narrow(browser: Browser) -> Reply:
    """Show what a key may do, and what of it was not used."""
    return await _narrow_form(browser, None, {})


async def narrow(browser: Browser) -> Reply:
    """Take from it what was not left ticked, and say who follows."""
    door, caller = browser.door, browser.caller
    kept = sorted(set(browser.chosen["scopes"]))
    try:
        _, n = await run_in_threadpool(
            narrowing.narrow,
            door.store,
            door.usage,
            browser.policy,
            caller,
            browser.id,
            read_spec(NarrowSpec, {"scopes": kept}),
            *keys.reach(caller, "write"),
            now=door.clock(),
            match=match_of(browser),
        )
    except InvalidError as error:
        return await _narrow_form(browser, frozenset(kept), by_field(error))
    receipt = await door.acknowledged(n)
    return await key_shown.one(
        browser, done=N_("It may do what you left, and no more."), receipt=receipt
    )


async def _narrow_form(
    browser: Browser, kept: frozenset[str] | None, faults: Mapping[str, list[str]]
) -> Reply:
    door, caller = browser.door, browser.caller
    key = await run_in_threadpool(key_shown.found, browser, "write")
    unused = await run_in_threadpool(
        narrowing.unused,
        door.store,
        door.usage,
        browser.policy,
        caller,
        key.id,
        *keys.reach(caller, "write"),
        days=narrowing.DAYS,
        now=door.clock(),
    )
    # Only what is known to be unused is proposed to go.
    proposed = set(unused.unused) if unused.proven else set[str]()
    left = frozenset(unused.scopes) - proposed if kept is None else kept
    return browser.page(
        "key_narrow.html",
        status=422 if faults else 200,
        key=key,
        unused=unused,
        groups=in_words(browser.policy, tuple(unused.scopes)),
        left=left,
        days=narrowing.DAYS,
        version=browser.form.get("version", key.version),
        faults=faults,
        cli=(f"latchgate key narrow {key.id} --unused {narrowing.DAYS}d",),
    )


async def ask_disable(browser: Browser) -> Reply:
    """Ask whether to switch it off."""
    return await _ask(
        browser,
        "disable",
        question=N_("Disable this key?"),
        what=(
            N_("Programs that use this key are refused from now on."),
            N_("Nothing is lost: it can be enabled again, with the same secret."),
        ),
        does=N_("Disable the key"),
    )


async def disable(browser: Browser) -> Reply:
    """Switch it off, and say who follows."""
    caller = browser.caller
    _, _, n = await run_in_threadpool(
        disabling.disable, browser.door.store, caller, browser.id, *keys.reach(caller, "write")
    )
    receipt = await browser.door.acknowledged(n)
    return await key_shown.one(browser, done=N_("The key is switched off."), receipt=receipt)


async def ask_enable(browser: Browser) -> Reply:
    """Ask whether to switch it on again."""
    return await _ask(
        browser,
        "enable",
        question=N_("Enable this key again?"),
        what=(N_("Whoever holds its secret can use it again, for all that it may do."),),
        does=N_("Enable the key"),
    )


async def enable(browser: Browser) -> Reply:
    """Switch it on again, and say who follows."""
    caller = browser.caller
    _, _, n = await run_in_threadpool(
        disabling.enable,
        browser.door.store,
        browser.policy,
        caller,
        browser.id,
        *keys.reach(caller, "write"),
    )
    receipt = await browser.door.acknowledged(n)
    return await key_shown.one(browser, done=N_("The key is switched on."), receipt=receipt)


async def ask_revoke(browser: Browser) -> Reply:
    """Ask whether to revoke it."""
    return await _ask(
        browser,
        "revoke",
        question=N_("Revoke this key?"),
        what=(
            N_("Programs that use this key are refused from the moment that it is done."),
            N_("This is for good. If they shall work on, rotate the key instead."),
        ),
        does=N_("Revoke the key"),
    )


async def revoke(browser: Browser) -> Reply:
    """Revoke it for good, and say who follows."""
    # Without a version: that somebody renamed it meanwhile must keep nobody from ending it.
    caller = browser.caller
    _, n = await run_in_threadpool(
        keys.revoke, browser.door.store, caller, browser.id, *keys.reach(caller, "write")
    )
    receipt = await browser.door.acknowledged(n)
    return await key_shown.one(browser, done=N_("The key is revoked."), receipt=receipt)


async def _ask(
    browser: Browser, verb: str, *, question: str, what: tuple[str, ...], does: str
) -> Reply:
    key = await run_in_threadpool(key_shown.found, browser, "write")
    name = Markup('<strong translate="no">{}</strong>').format(key.name)
    return browser.page(
        "confirm.html",
        question=browser.words(question),
        what=[name, *(browser.words(one) for one in what)],
        action=f"/keys/{key.id}/{verb}",
        verb=browser.words(does),
        back=f"/keys/{key.id}",
        cli=(f"latchgate key {verb} {key.id}",),
    )
