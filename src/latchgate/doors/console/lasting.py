"""When something new shall end, as a form asks for it: so long, until a day, or as long as may be.

Rule of this file: what may be is decided in `manage`; here it is offered, and said beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from latchgate.core.duration import duration_text, parse_duration
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.languages import N_
from latchgate.doors.console.reading import or_none
from latchgate.manage.errors import InvalidError
from latchgate.manage.lifetimes import Lifetimes
from latchgate.store import schema

FIELDS = frozenset({"expires_in", "expires_at"})
ON_A_DAY, LONGEST = "day", "longest"
_WORDS = {
    "1h": N_("1 hour"),
    "24h": N_("1 day"),
    "7d": N_("7 days"),
    "30d": N_("30 days"),
    "90d": N_("90 days"),
    "365d": N_("1 year"),
}


@dataclass(frozen=True, slots=True)
class Offered:
    """What a form offers: (value, words) pairs, and the most that the tenant's policy lets live.

    `most` is a duration such as `90d`, empty where nothing bounds it.
    """

    choices: tuple[tuple[str, str], ...]
    most: str


async def offered(
    browser: Browser, kind: str, presets: Iterable[str], *, endless: bool = False
) -> Offered:
    """Return what is offered for a credential of a kind; `endless` where it need not end."""
    maximum = await run_in_threadpool(_maximum, browser, kind)
    fitting = [one for one in presets if maximum is None or parse_duration(one) <= maximum]
    choices = [(one, browser.words(_WORDS[one])) for one in fitting]
    choices.append((ON_A_DAY, browser.words(N_("On a day of your choice"))))
    if endless:
        words = N_("Never") if maximum is None else N_("As late as your organisation allows")
        choices.append((LONGEST, browser.words(words)))
    return Offered(tuple(choices), duration_text(maximum) if maximum is not None else "")


def asked(form: Mapping[str, str]) -> dict[str, str | None]:
    """Return `expires_in` and `expires_at` as the rules take them; InvalidError without a day."""
    chosen = or_none(form.get("expires_in"))
    if chosen == ON_A_DAY:
        day = or_none(form.get("expires_at"))
        if day is None:
            raise InvalidError([("expires_at", "choose a day, such as 2027-12-31")])
        # The whole of that day, at the end of the world's common one.
        return {"expires_in": None, "expires_at": f"{day}T23:59:59Z"}
    return {"expires_in": None if chosen == LONGEST else chosen, "expires_at": None}


def _maximum(browser: Browser, kind: str) -> float | None:
    tenant_id = browser.caller.tenant_id
    with browser.door.store.reading() as connection:
        held = Lifetimes.read(connection, schema.lifetime.c.tenant_id == tenant_id)
    return held.of(tenant_id, kind).maximum_life
