"""Where the console shows a record, by what the journal and decisions call it.

Rule of this file: an address is given only where its page is there, and opens to who is signed in;
whether the record is theirs to see, that page says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import quote

from latchgate.core.model import Noun

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


class Reader(Protocol):
    """Who looks at a page, as far as links go: a Browser."""

    def opens(self, path: str) -> bool:
        """Whether a page is shown at a path, such as `/keys/{id}`, to them."""
        ...


def of_credential(reader: Reader, credential_id: str, kind: str) -> str:
    """Return the address of a credential's page, or of the list it is in; empty for none."""
    return _first(reader, _OF_KIND.get(kind.rpartition(".")[2], ()), credential_id)


def of_new(reader: Reader, kind: str) -> str:
    """Return the address where another credential of a kind is made; empty for none."""
    return _first(reader, _NEW_OF_KIND.get(kind.rpartition(".")[2], ()), "")


def of_record(reader: Reader, noun: str, record: str) -> str:
    """Return the address of a record's page, or of the list it is in; empty for none."""
    return _first(reader, _OF_NOUN.get(noun, ()), record)


def _first(reader: Reader, paths: Iterable[str], record: str) -> str:
    found = next((path for path in paths if reader.opens(path)), "")
    return found.replace("{id}", quote(record, safe=""))
