"""Rotating an API key: who uses the old one, how long it works on, the new secret once."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import key_shown
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.key_changes import match_of
from latchgate.doors.console.languages import N_
from latchgate.doors.console.reading import by_field, or_none, read_spec
from latchgate.doors.console.samples import call_of, samples
from latchgate.manage import keys, rotation
from latchgate.manage.errors import InvalidError
from latchgate.manage.rotation import Asked
from latchgate.manage.rotation_terms import RotationSpec

_GRACES = (
    ("0", N_("Not at all: it ends now")),
    ("24h", N_("For 1 day")),
    ("7d", N_("For 7 days")),
    ("30d", N_("For 30 days")),
    ("90d", N_("For 90 days")),
)
_USUAL = "7d"
QUIET = "24h"


async def show(browser: Browser) -> Reply:
    """Show who uses the key, and ask for how long it shall work on."""
    return await _form(browser, {}, {})


async def rotate(browser: Browser) -> Reply:
    """Put a new key in its place, and show its secret this once."""
    door, policy, caller = browser.door, browser.policy, browser.caller
    rows = keys.rows(caller, *keys.reach(caller, "write"))
    try:
        spec = _spec(browser.form)
        asked = Asked(browser.id, spec, door.clock(), browser.once(spec), match_of(browser))
        rotated, issued, n = await run_in_threadpool(
            rotation.rotate, door.store, policy, caller, asked, rows=rows, entropy=door.entropy
        )
    except InvalidError as error:
        return await _form(browser, browser.form, by_field(error))
    if issued is None:
        return browser.redirect(f"/keys/{rotated.id}?done=rotated")
    ended = rotated.revoked_at is not None
    receipt = await door.acknowledged(n) if ended else None
    new = await run_in_threadpool(keys.shown, door.store, caller, rotated.successor.id)
    secret = issued.secret.reveal()
    kind = policy.issued(new.kind)
    call = call_of(policy, kind, new.services, new.scopes, door.api_url)
    return browser.page(
        "key_rotated.html",
        heading=browser.words(N_("The new key")),
        done=browser.words(N_("The key was rotated.")),
        name=new.name,
        parts=[(browser.words(N_("Key id")), new.id), (browser.words(N_("API key")), secret)],
        samples=samples(secret, call),
        back=f"/keys/{rotated.id}",
        rotated=rotated,
        receipt=receipt,
        cli=(f"latchgate key rotation {rotated.id}",),
    )


def _spec(form: Mapping[str, str]) -> RotationSpec:
    grace = or_none(form.get("grace"))
    quiet = QUIET if form.get("until_quiet") and grace != "0" else None
    return read_spec(RotationSpec, {"grace": grace, "until_quiet": quiet})


async def _form(
    browser: Browser, told: Mapping[str, str], faults: Mapping[str, list[str]]
) -> Reply:
    now = browser.door.clock()
    key = await run_in_threadpool(key_shown.found, browser, "write")
    return browser.page(
        "key_rotate.html",
        status=422 if faults else 200,
        key=key,
        graces=[(value, browser.words(words)) for value, words in _GRACES],
        grace=told.get("grace", _USUAL),
        quiet=bool(told.get("until_quiet")) if told else True,
        sources=(await run_in_threadpool(key_shown.used, browser, key, now)).sources,
        faults=faults,
        cli=(f"latchgate key rotate {key.id} --grace 7d --until-quiet 24h",),
    )
