"""Every page of the console, by its path."""

from __future__ import annotations

from latchgate.doors.console import (
    MISSING,
    Application,
    access_keys,
    access_log,
    alerts,
    applications,
    apps,
    audit,
    authorize,
    client_acting,
    client_form,
    client_secrets,
    clients,
    device,
    keys,
    leak_rules,
    lifetimes,
    logout,
    overview,
    people,
    person_roles,
    person_sign_in,
    person_storage,
    profile,
    project,
    projects,
    providers,
    published_key,
    review,
    roles,
    security,
    settings,
    sign_in,
    subaccounts,
    tenants,
    tokens,
    usage,
    users_access_keys,
    webhooks,
    why,
    workloads,
)
from latchgate.doors.console.browser import Browser
from latchgate.doors.console.frame import Frame, Reply
from latchgate.doors.console.languages import Languages
from latchgate.doors.console.menu import Menu
from latchgate.doors.console.page import Opened, Page
from latchgate.doors.console.site import Site
from latchgate.doors.door import Door
from latchgate.doors.form import FormError

_NOUNS = (
    sign_in,
    security,
    authorize,
    device,
    applications,
    workloads,
    review,
    published_key,
    clients,
    client_form,
    client_secrets,
    client_acting,
    keys,
    logout,
    overview,
    project,
    why,
    access_log,
    audit,
    usage,
    alerts,
    webhooks,
    people,
    person_roles,
    person_sign_in,
    person_storage,
    subaccounts,
    projects,
    roles,
    tenants,
    settings,
    lifetimes,
    leak_rules,
    tokens,
    access_keys,
    users_access_keys,
    apps,
    profile,
)


def pages(door: Door, site: Site, languages: Languages) -> dict[str, Application]:
    """Return the console's pages and what they load, by their path."""
    own = [page for noun in _NOUNS for page in noun.PAGES]
    every = [*own, *providers.pages(door.providers)]
    frame = Frame(door, site, Menu.of(every), languages)
    found: dict[str, Application] = dict.fromkeys(frame.assets(), frame.asset)
    found[MISSING] = Opened(frame, Page("/", show=_nowhere, query=None, signed_in=False))
    return found | {page.path: Opened(frame, page) for page in every}


async def _nowhere(_browser: Browser) -> Reply:
    raise FormError(404, "There is no such page here.")
