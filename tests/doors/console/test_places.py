"""Where records are shown: where a page is there for them, and opens."""

from __future__ import annotations

import pytest
from tests.world import FILES, compiled

from latchgate.core.scope import NONE, Scopes
from latchgate.doors.console import audit, places
from latchgate.doors.console.menu import Menu
from latchgate.doors.console.page import Page

READS = Scopes.of(["manage:keys.read"])


class Looking:
    """Somebody with rights, before a console that has some pages."""

    def __init__(self, rights, *pages):
        self.menu, self.rights = Menu.of(pages), rights

    def opens(self, path):
        return self.menu.opens(path, self.rights, compiled(FILES, 1))


def page(path, *scopes, shown=True, offered=True):
    show = audit.show if shown else None
    return Page(path, show=show, take=audit.show, scopes=scopes, offered=lambda _: offered)


KEYS = page("/keys", "manage:keys.read", "own:keys.read"), page("/keys/{id}", "manage:keys.read")


@pytest.mark.parametrize(
    ("rights", "pages", "kind", "address"),
    [
        (READS, KEYS, "wayscloud.service_key", "/keys/a%2Fb"),
        (READS, KEYS, "other.imported_key", "/keys/a%2Fb"),
        (Scopes.of(["own:keys.read"]), KEYS, "wayscloud.service_key", "/keys"),
        (NONE, KEYS, "wayscloud.service_key", ""),
        (READS, KEYS[:1], "wayscloud.service_key", "/keys"),
        (READS, KEYS, "upcloud.api_token", ""),
        (READS, KEYS, "latchgate.account_password", ""),
        (READS, (page("/keys/{id}", shown=False),), "x.service_key", ""),
        (READS, (page("/keys/{id}", offered=False),), "x.service_key", ""),
    ],
)
def test_a_credential_leads_to_the_first_page_that_is_there_and_opens(rights, pages, kind, address):
    assert places.of_credential(Looking(rights, *pages), "a/b", kind) == address


def test_other_records_and_new_ones_have_pages_of_their_own():
    reader = Looking(READS, page("/people/{id}"), page("/keys/new"))
    assert places.of_record(reader, "user", "u-1") == "/people/u-1"
    assert places.of_record(reader, "signing_key", "x") == ""
    assert places.of_new(reader, "wayscloud.service_key") == "/keys/new"
    assert places.of_new(reader, "upcloud.api_token") == ""
