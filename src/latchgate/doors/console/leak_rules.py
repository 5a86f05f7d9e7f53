"""What happens when a secret is proven to have leaked: shown and set, by kind."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Reply
from latchgate.doors.console.languages import N_
from latchgate.doors.console.page import Page
from latchgate.doors.console.reading import by_field, read_spec
from latchgate.manage import leak_rules
from latchgate.manage.errors import InvalidError
from latchgate.manage.leak_rules import EVERY, LeakRuleSpec

_READ = ("manage:leaks.read",)
_WRITE = ("manage:leaks.write",)


async def show(browser: Browser) -> Reply:
    """Show what happens to each kind."""
    done = browser.words(N_("It holds from now on.")) if browser.query.get("done") else ""
    return await _page(browser, done=done)


async def take(browser: Browser) -> Reply:
    """Set what happens to one."""
    kind, action = browser.form.get("kind", ""), browser.form.get("action", "")
    try:
        spec = read_spec(LeakRuleSpec, {"action": action})
        await run_in_threadpool(
            leak_rules.set_rule, browser.door.store, browser.policy, browser.caller, kind, spec
        )
    except InvalidError as error:
        return await _page(browser, faults=by_field(error))
    return browser.redirect("/settings/leaks?done=1")


async def _page(
    browser: Browser, *, done: str = "", faults: dict[str, list[str]] | None = None
) -> Reply:
    rules = await run_in_threadpool(leak_rules.rules, browser.door.store, browser.caller)
    held = {one.kind: one.action for one in rules}
    every = held.get(EVERY, "revoke")
    return browser.page(
        "settings_leaks.html",
        status=422 if faults else 200,
        every=every,
        kinds=[
            (name, held.get(name, every), name in held) for name in leak_rules.kinds(browser.policy)
        ],
        writes=browser.may(*_WRITE),
        done=done,
        faults=faults or {},
        cli=("latchgate leak rule list", "latchgate leak rule set KIND revoke"),
    )


PAGES = (
    Page("/settings/leaks", show=show, query=frozenset({"done"}), scopes=_READ),
    Page("/settings/leaks/set", take=take, fields=frozenset({"kind", "action"}), scopes=_WRITE),
)
