"""What the console's menu offers, and to whom: whoever may open a page sees its entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from latchgate.core.policy import Policy
from latchgate.core.scope import Scopes
from latchgate.doors.console.languages import N_

# By the part of a path before its second slash: the groups in order, each with its entries.
_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("", (("/overview", N_("Overview")),)),
    (
        N_("Credentials"),
        (
            ("/keys", N_("API keys")),
            ("/tokens", N_("API tokens")),
            ("/access-keys", N_("Access keys")),
            ("/apps", N_("Apps connection")),
            ("/applications", N_("Applications")),
            ("/workloads", N_("Workloads")),
        ),
    ),
    (
        N_("Organisation"),
        (
            ("/people", N_("People")),
            ("/projects", N_("Projects")),
            ("/roles", N_("Roles")),
            ("/tenants", N_("Tenants")),
        ),
    ),
    (
        N_("Insight"),
        (
            ("/why", N_("Why?")),
            ("/usage", N_("Usage")),
            ("/access-log", N_("Access log")),
            ("/audit", N_("Audit")),
            ("/alerts", N_("Alerts")),
        ),
    ),
    (
        N_("Operation"),
        (
            ("/review", N_("Application review")),
            ("/clients", N_("OAuth2 clients")),
            ("/settings", N_("Settings")),
        ),
    ),
    (
        N_("You"),
        (
            ("/profile", N_("Profile")),
            ("/security", N_("Sign-in and security")),
        ),
    ),
)


class Listed(Protocol):
    """A page, as far as the menu goes."""

    @property
    def path(self) -> str:
        """Where it is."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """Any of which opens it."""
        ...

    @property
    def offered(self) -> Callable[[Policy], bool]:
        """Whether a policy has what it is about."""
        ...

    @property
    def show(self) -> object:
        """What shows it; None where it only takes a form."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu; any of `scopes` opens it, none where everybody may.

    `offered` says whether a policy has what its page is about.
    """

    path: str
    title: str
    scopes: tuple[str, ...]
    offered: Callable[[Policy], bool]


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under one title, which may be empty."""

    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Menu:
    """Every entry of every page that there is, and those pages by their paths."""

    groups: tuple[Group, ...]
    pages: Mapping[str, Listed]

    @classmethod
    def of(cls, pages: Iterable[Listed]) -> Menu:
        """Build it of the pages that there are."""
        there = {page.path: page for page in pages}
        return cls(
            tuple(
                Group(
                    title,
                    tuple(
                        Entry(path, name, there[path].scopes, there[path].offered)
                        for path, name in entries
                        if path in there
                    ),
                )
                for title, entries in _GROUPS
            ),
            there,
        )

    def opens(self, path: str, rights: Scopes, policy: Policy) -> bool:
        """Whether a page is shown at a path, such as `/keys/{id}`, to whoever holds rights."""
        page = self.pages.get(path)
        shown = page is not None and page.show is not None and page.offered(policy)
        return page is not None and shown and may_open(page.scopes, rights)

    def seen_with(self, rights: Scopes, policy: Policy) -> tuple[Group, ...]:
        """Return what somebody may open, without groups that are empty for them."""
        found = (
            Group(
                group.title,
                tuple(
                    one
                    for one in group.entries
                    if may_open(one.scopes, rights) and one.offered(policy)
                ),
            )
            for group in self.groups
        )
        return tuple(group for group in found if group.entries)


def may_open(scopes: Iterable[str], rights: Scopes) -> bool:
    """Whether rights hold any of these scopes; what names none is open to everybody."""
    wanted = tuple(scopes)
    return not wanted or any(scope in rights for scope in wanted)
