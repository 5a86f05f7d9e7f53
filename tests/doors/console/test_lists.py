"""Lists on pages: what their address asks, and the addresses that ask otherwise."""

from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from latchgate.doors.console import lists
from latchgate.manage.errors import InvalidError
from latchgate.manage.listing import Listing, by, equals

TABLE = sa.Table(
    "t", sa.MetaData(), sa.Column("id", sa.Text), sa.Column("name", sa.Text), sa.Column("state")
)
LISTING = Listing(
    table=TABLE,
    searched=("name",),
    filters={"state": equals(TABLE.c.state, "active", "revoked")},
    sorts={"name": by(TABLE.c.name), "id": by(TABLE.c.id)},
    default=("name",),
)


def asked(given=None, **query):
    browser: Any = SimpleNamespace(query=query, path="/things")
    return lists.read(browser, LISTING, **(given or {}))


def test_nothing_asked_is_the_first_page_of_everything():
    found = asked()
    assert (found.narrowed, found.paged, found.q, found.first) == (False, False, "", "/things")
    assert (found.query.limit, found.query.filters, found.query.sort) == (lists.LENGTH, {}, ())


def test_empty_fields_of_a_form_ask_for_nothing():
    assert asked(q="", state="", sort="").told == {}


def test_a_column_sorts_one_way_then_the_other_and_begins_at_the_first_page():
    found = asked(q="a&b", sort="name", after="xyz")
    assert found.direction("name") == "ascending"
    assert found.direction("id") == "none"
    assert found.sorted_by("name") == "/things?q=a%26b&sort=-name"
    assert found.sorted_by("id") == "/things?q=a%26b&sort=id"
    assert asked(sort="-name").direction("name") == "descending"
    assert asked(sort="-name").sorted_by("name") == "/things?sort=name"


def test_pages_keep_what_was_asked():
    found = asked(q="x", state="active", sort="id", after="one")
    assert found.following("two") == "/things?q=x&state=active&sort=id&after=two"
    assert found.first == "/things?q=x&state=active&sort=id"
    assert (found.paged, found.narrowed) == (True, True)


def test_what_holds_unless_told_narrows_nothing_and_stands_in_no_address():
    found = asked({"state": "active"})
    assert found.query.filters == {"state": "active"}
    assert (found.value("state"), found.narrowed) == ("active", False)
    assert found.sorted_by("name") == "/things?sort=name"


def test_a_filter_that_holds_unless_told_can_be_taken_away_and_stays_away():
    found = asked({"state": "active"}, state="any")
    assert found.query.filters == {}
    assert (found.value("state"), found.narrowed) == ("any", True)
    assert found.sorted_by("name") == "/things?state=any&sort=name"
    assert found.following("two") == "/things?state=any&after=two"


def test_any_is_no_wish_where_nothing_holds_unless_told():
    found = asked(state="any")
    assert (found.query.filters, found.narrowed) == ({}, False)


@pytest.mark.parametrize("query", [{"after": "x", "sort": "a,b"}, {"sort": "secret"}])
def test_what_can_not_be_asked_is_refused_when_it_is_read_or_listed(query):
    # Sorts and cursors are looked at where the list is read; nothing of them is SQL before.
    assert asked(**query).query.sort == tuple(query["sort"].split(","))


def test_the_address_may_hold_what_the_list_knows_and_no_length():
    assert lists.names(LISTING) == {"after", "q", "sort", "state"}


def test_fields_that_are_none_of_the_list_are_the_pages_own():
    assert asked(done="1", state="active").told == {"state": "active"}


def test_a_filter_that_is_none_is_refused_by_name():
    other = Listing(TABLE, ("name",), {}, LISTING.sorts)
    browser: Any = SimpleNamespace(query={}, path="/t")
    with pytest.raises(InvalidError, match="no such parameter"):
        lists.read(browser, other, state="active")
