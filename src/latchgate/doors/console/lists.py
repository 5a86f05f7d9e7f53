"""A list on a page: what was asked of it by the address, and the addresses that ask otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from latchgate.doors.console.browser import Browser
from latchgate.doors.lists import read_query
from latchgate.manage.listing import Listing, Query

LENGTH = 50  # of a page
ANY = "any"  # takes a filter away that holds unless told


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a list at a path: as its address tells it, and as its query.

    `given` is what holds where the address tells nothing.
    """

    path: str
    told: Mapping[str, str]
    given: Mapping[str, str]
    query: Query

    @property
    def q(self) -> str:
        """What was searched for."""
        return self.told.get("q", "")

    @property
    def narrowed(self) -> bool:
        """Whether something else was asked for than what is shown unless told."""
        sought = {name: text for name, text in self.told.items() if name not in {"sort", "after"}}
        return any(text != self.given.get(name, ANY) for name, text in sought.items())

    @property
    def paged(self) -> bool:
        """Whether this is a later page than the first."""
        return "after" in self.told

    def value(self, name: str) -> str:
        """Return what was asked by one filter."""
        return self.told.get(name, self.given.get(name, ""))

    def direction(self, name: str) -> str:
        """Return how it is sorted by a field, as `aria-sort` names it."""
        first = self.query.sort[0] if self.query.sort else ""
        return {name: "ascending", f"-{name}": "descending"}.get(first, "none")

    def sorted_by(self, name: str) -> str:
        """Return the address that sorts by a field, the other way if it is sorted by it already."""
        wanted = f"-{name}" if self.direction(name) == "ascending" else name
        return self._address({"sort": wanted}, "after")

    def following(self, after: str) -> str:
        """Return the address of the next page."""
        return self._address({"after": after})

    @property
    def first(self) -> str:
        """The address of the first page."""
        return self._address({}, "after")

    def _address(self, told: Mapping[str, str], *without: str) -> str:
        kept = {name: text for name, text in self.told.items() if name not in without}
        query = urlencode(kept | dict(told))
        return f"{self.path}?{query}" if query else self.path


def read(browser: Browser, listing: Listing, **given: str) -> Asked:
    """Read what a page's address asks of a list; `given` holds where it says nothing.

    InvalidError names the parameter that can't be taken.
    """
    told = {name: one for name, one in browser.query.items() if one and name in names(listing)}
    wanted = {name: text for name, text in (given | told).items() if text != ANY}
    query = read_query(wanted.items(), listing, limit=LENGTH)
    return Asked(browser.path, told, given, query)


def names(listing: Listing) -> frozenset[str]:
    """Return the names of what a list's page takes in its address."""
    return frozenset(listing.parameters()) - {"limit"}
