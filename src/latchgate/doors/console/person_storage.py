"""The storage of somebody: which host holds their files, how much it may hold and holds.

Rule of this file: it is told, never measured here; programs hear it as it was told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from latchgate.doors.console import faults
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.person import keeps_storage, who_of
from latchgate.doors.console.reading import or_none, read_spec, read_version
from latchgate.manage import storage
from latchgate.manage.errors import InvalidError
from latchgate.manage.storage import StoragePatch

_DIGITS = 16
_WHOLE = N_("Use a whole number of bytes.")
_HOST = N_("Use a host name in lower case, such as files1.example.net, and a port if it needs one.")
_CODE = N_("Use 1 to 32 letters and digits.")


async def show(browser: Browser) -> Reply:
    """Show what was told, in a form that changes it."""
    found = await run_in_threadpool(storage.shown, browser.door.store, browser.caller, browser.id)
    told = {"node": found.node, "quota": found.quota, "used": found.used}
    told |= {"introduce_code": found.introduce_code, "version": found.version}
    return await _page(
        browser, {name: "" if one is None else f"{one}" for name, one in told.items()}
    )


async def take(browser: Browser) -> Reply:
    """Change it, and show whose it is."""
    form, door = browser.form, browser.door
    try:
        told: dict[str, Any] = {
            name: or_none(form.get(name)) for name in ("node", "introduce_code")
        }
        told |= {"quota": _whole(browser, "quota"), "used": _whole(browser, "used") or 0}
        nothing = {name: None for name, value in told.items() if value is None}
        patch = msgspec.structs.replace(read_spec(StoragePatch, told), **nothing)
        # One of which nothing was told yet is at version 0.
        await run_in_threadpool(
            storage.change_storage,
            door.store,
            browser.caller,
            browser.id,
            patch,
            match=read_version(browser),
        )
    except InvalidError as error:
        wrong = faults.told(browser, error, node=_HOST, introduce_code=_CODE)
        return await _page(browser, form, wrong)
    return browser.redirect(f"/people/{browser.id}?done=storage")


def _whole(browser: Browser, field: str) -> int | None:
    text = or_none(browser.form.get(field))
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise InvalidError([(field, browser.words(_WHOLE))])
    return int(text)


async def _page(
    browser: Browser, form: Mapping[str, str], wrong: dict[str, list[str]] | None = None
) -> Reply:
    one = await who_of(browser)
    return browser.page(
        "people_storage.html",
        status=422 if wrong else 200,
        one=one,
        form=form,
        faults=wrong or {},
        cli=(f"latchgate user storage {one.id} --node HOST --quota BYTES",),
    )


PAGES = (
    Page(
        "/people/{id}/storage",
        show=show,
        take=take,
        fields=frozenset({"node", "quota", "used", "introduce_code", "version"}),
        scopes=("manage:users.write",),
        offered=keeps_storage,
    ),
)
