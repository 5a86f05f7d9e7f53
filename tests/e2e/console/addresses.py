"""Where every page of the console is shown, by enumeration of its code.

A page whose address names records, or that wants a query, finds them among those of the furnished
tenant: by its noun, or by its line here. One that nobody has an address for is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.doors.console.declared import declared
from tests.e2e.console.furnished import Furnished

from latchgate.doors.console.providers import BEGIN, CALLBACK

# By the path of a page: its address, where `{noun}` or `{noun.state}` stands for a record's id.
# Without a line, the noun is what stands before `{id}` in the path.
ADDRESSES: Mapping[str, str] = {
    "/access-keys/of/{id}": "/access-keys/of/{people.own}",
    "/access-keys/of/{id}/delete": "/access-keys/of/{people.own}/delete?key={access-keys}",
    "/apps/{id}/on": "/apps/{apps.off}/on",
    "/applications/{id}/withdraw": "/applications/{consents}/withdraw",
    "/clients/{id}/secret/revoke": "/clients/{clients}/secret/revoke?secret={clients.secret}",
    "/people/{id}/take": ("/people/{people}/take?project_id={projects}&role_id={roles.held}"),
    "/people/{id}/unlink": "/people/{people}/unlink?link_id={people.link}",
    "/settings/lifetimes/remove": "/settings/lifetimes/remove?kind={kinds}",
    "/settings/lifetimes/set": "/settings/lifetimes/set?kind={kinds}",
}
# Shown in the course of something, which a test does first: tests of their own look at these.
IN_PASSING = frozenset({"/", "/sign-in", "/sign-in/second", "/security/app", "/oauth/authorize"})
_DOWNLOADED = ("/csv",)  # a file, no page
_RECORD = re.compile(r"\{([a-z.-]+)\}")
_NOUN = re.compile(r"/([a-z-]+)/\{id\}")


class NoAddressError(Exception):
    """A page that nothing in the furnished tenant can be shown at."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: nobody has an address for this page. Make the record that it shows in"
            " furnished.py, and name it by the page's noun, or give the page a line in addresses.py"
        )


def shown() -> list[str]:
    """Return the paths of those that can be looked at."""
    there = {page.path for page in declared() if page.show is not None}
    downloads = {path for path in there if path.endswith(_DOWNLOADED)}
    return sorted(path for path in there - downloads if not path.startswith((BEGIN, CALLBACK)))


def address(path: str, at: Furnished) -> str:
    """Return where a page is shown; NoAddressError."""
    wanted = ADDRESSES.get(path, path)
    noun = _NOUN.search(wanted)
    wanted = wanted.replace("{id}", f"{{{noun[1]}}}") if noun else wanted
    if any(not at.ids.get(name) for name in _RECORD.findall(wanted)):
        raise NoAddressError(path)
    return _RECORD.sub(lambda found: at.ids[found[1]], wanted)
