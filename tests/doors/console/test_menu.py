"""The menu: whoever may open a page sees its entry, and nobody else does."""

import pytest
from tests.world import FILES, compiled

from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.doors.console.menu import _GROUPS, Menu, may_open
from latchgate.doors.console.page import Page

POLICY = compiled(FILES, 1)


def paths(groups):
    return [[entry.path for entry in group.entries] for group in groups]


@pytest.fixture
def menu():
    return Menu.of(
        [
            Page("/keys", scopes=("manage:keys.read", "own:keys.read")),
            Page("/keys/{id}", scopes=("manage:keys.read",)),
            Page("/tokens", scopes=("own:tokens.read",), offered=lambda policy: not policy.kinds),
            Page("/audit", scopes=("manage:audit.read",)),
            Page("/security"),
            Page("/elsewhere"),
        ]
    )


def test_only_pages_that_are_there_have_an_entry_and_nothing_else_gets_one(menu):
    assert paths(group for group in menu.groups if group.entries) == [
        ["/keys", "/tokens"],
        ["/audit"],
        ["/security"],
    ]


def test_any_scope_of_a_page_shows_its_entry_and_groups_without_entries_go(menu):
    seen = menu.seen_with(Scopes.of(["own:keys.read"]), POLICY)
    assert paths(seen) == [["/keys"], ["/security"]]
    assert [group.title for group in seen] == ["Credentials", "You"]


def test_who_may_do_nothing_sees_what_everybody_may_open(menu):
    assert paths(menu.seen_with(NONE, POLICY)) == [["/security"]]


def test_what_the_policy_does_not_have_is_offered_to_nobody(menu):
    assert ["/keys"] in paths(menu.seen_with(ALL, POLICY))
    without = compiled({}, 1)
    offered = Menu.of([Page("/tokens", offered=lambda policy: policy is without)])
    assert paths(offered.seen_with(ALL, without)) == [["/tokens"]]
    assert paths(offered.seen_with(ALL, POLICY)) == []


@pytest.mark.parametrize(
    ("scopes", "rights", "opens"),
    [
        ((), NONE, True),
        (("a:b",), NONE, False),
        (("a:b",), Scopes.of(["a:c"]), False),
        (("a:b", "a:c"), Scopes.of(["a:c"]), True),
        (("a:b",), ALL, True),
    ],
)
def test_any_of_the_scopes_opens(scopes, rights, opens):
    assert may_open(scopes, rights) is opens


def test_no_entry_stands_twice():
    listed = [path for _, entries in _GROUPS for path, _ in entries]
    assert len(listed) == len(set(listed))
