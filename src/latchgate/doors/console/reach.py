"""Where somebody may come from, as a form asks for it.

Rule of this file: what is typed is passed on as it is; `manage` says what is wrong with it. Whoever
would shut themselves out is asked once more.
"""

from __future__ import annotations

from collections.abc import Mapping

from latchgate.core.network import Networks
from latchgate.doors.console.browser import Browser, is_inside
from latchgate.doors.console.languages import N_
from latchgate.doors.console.reading import lines
from latchgate.manage.errors import InvalidError

FIELDS = frozenset({"reach", "ip_filters", "own_address", "sure"})
EVERYWHERE, LISTED, NOWHERE = "everywhere", "listed", "nowhere"
CHOICES = (
    (EVERYWHERE, N_("From everywhere")),
    (LISTED, N_("Only from these addresses and networks")),
    (NOWHERE, N_("From nowhere")),
)
_NONE = N_("Name at least one, or choose everywhere or nowhere.")


def read(browser: Browser) -> list[str] | None:
    """Return the networks that a form names, None for everywhere; InvalidError for none at all."""
    form = browser.form
    choice = form.get("reach", EVERYWHERE)
    if choice == NOWHERE:
        return []
    if choice != LISTED:
        return None
    typed = lines(form.get("ip_filters")) or []
    if form.get("own_address") == "on" and browser.address is not None:
        typed.append(browser.address)
    if not typed:
        raise InvalidError([("ip_filters", browser.words(_NONE))])
    return list(dict.fromkeys(typed))


def shown(filters: list[str] | None) -> dict[str, str]:
    """Return the fields of a form that hold what is stored."""
    if filters is None:
        return {"reach": EVERYWHERE, "ip_filters": ""}
    return {"reach": LISTED if filters else NOWHERE, "ip_filters": "\n".join(filters)}


def shuts_out(browser: Browser, user_id: str, filters: list[str] | None) -> bool:
    """Whether who is signed in would be shut out by filters of their own."""
    if user_id != browser.who.user_id or filters is None:
        return False
    try:
        networks = Networks.of(filters).listed()
    except ValueError:
        return False  # and so they are refused
    return not is_inside(browser.asked.client, networks)


def wants_proof(browser: Browser, user_id: str, filters: list[str] | None) -> bool:
    """Whether to ask once more: they would shut themselves out, and did not say that they know."""
    return shuts_out(browser, user_id, filters) and browser.form.get("sure") != "on"


def kept(form: Mapping[str, str]) -> dict[str, str]:
    """Return what was typed, to be shown again."""
    return {name: form.get(name, "") for name in FIELDS}
