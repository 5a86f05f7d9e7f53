"""Where the console shows a record, by what the journal and decisions call it.

Rule of this file: an address is given only where its page is there, and opens to who is signed in;
whether the record is theirs to see, that page says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from latchgate.core.model import Noun
from latchgate.doors.console.browser import Browser

# The first that opens, by the last part of a kind's name, and by noun.
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "service_key": ("/keys/{id}", "/keys"),
    "imported_key": ("/keys/{id}", "/keys"),
    "api_token": ("/tokens/{id}", "/tokens"),
    "access_key": ("/access-keys/{id}", "/access-keys"),
    "app_password": ("/apps",),
}
_NEW_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "service_key": ("/keys/new",),
    "imported_key": ("/keys/new",),
    "api_token": ("/tokens/new",),
    "access_key": ("/access-keys/new",),
    "app_password": ("/apps",),
}
_OF_NOUN: Mapping[str, tuple[str, ...]] = {
    Noun.USER: ("/people/{id}",),
    Noun.PROJECT: ("/projects/{id}", "/projects"),
    Noun.ROLE: ("/roles/{id}", "/roles"),
    Noun.TENANT: ("/tenants/{id}", "/tenants"),
    Noun.APPLICATION: ("/review/{id}", "/applications"),
    Noun.OAUTH_CLIENT: ("/clients/{id}", "/clients"),
    Noun.CONSENT: ("/applications",),
    Noun.ALERT: ("/alerts/{id}", "/alerts"),
    Noun.WEBHOOK: ("/alerts/webhooks/{id}", "/alerts/webhooks"),
    Noun.LIFETIME: ("/settings",),
}


def of_credential(browser: Browser, credential_id: str, kind: str) -> str:
    """Return the address of a credential's page, or of the list it is in; empty for none."""
    return _first(browser, _OF_KIND.get(kind.rpartition(".")[2], ()), credential_id)


def of_new(browser: Browser, kind: str) -> str:
    """Return the address where another credential of a kind is made; empty for none."""
    return _first(browser, _NEW_OF_KIND.get(kind.rpartition(".")[2], ()), "")


def of_record(browser: Browser, noun: str, record: str) -> str:
    """Return the address of a record's page, or of the list it is in; empty for none."""
    return _first(browser, _OF_NOUN.get(noun, ()), record)


def _first(browser: Browser, paths: Iterable[str], record: str) -> str:
    found = next((path for path in paths if browser.opens(path)), "")
    return found.replace("{id}", quote(record, safe=""))
