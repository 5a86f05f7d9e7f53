"""Sign-ins half done: of one browser, of one sort, for ten minutes, finished once."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.world import World, raw_rows

from latchgate.signin import ceremony
from latchgate.signin.ceremony import Sort

NOW = 1_800_000_000.0


@pytest.fixture
def world(tmp_path, place):
    made = World(tmp_path, databases=place)
    yield made
    made.close()


@pytest.fixture
def browser():
    return ceremony.browser(secrets.token_bytes)


def begin(world, browser, sort=Sort.SECOND, **data):
    ceremony.begin(world.store, browser, sort, user_id=world.owner.user_id, data=data, now=NOW)


def test_its_browser_alone_finds_it_and_finishes_it_once(world, browser):
    begin(world, browser, next="/a")
    other = ceremony.browser(secrets.token_bytes)
    assert ceremony.under_way(world.store, other, Sort.SECOND, now=NOW) is None
    assert ceremony.finish(world.store, other, Sort.SECOND, now=NOW) is None
    found = ceremony.finish(world.store, browser, Sort.SECOND, now=NOW)
    assert found is not None
    assert (found.user_id, found.data) == (world.owner.user_id, {"next": "/a"})
    assert ceremony.finish(world.store, browser, Sort.SECOND, now=NOW) is None
    assert browser.reveal() not in repr(raw_rows(world.database, "SELECT * FROM ceremony"))


def test_one_sort_does_not_stand_for_another(world, browser):
    begin(world, browser, Sort.NEW_PASSKEY)
    for sort in set(Sort) - {Sort.NEW_PASSKEY}:
        assert ceremony.under_way(world.store, browser, sort, now=NOW) is None
        assert ceremony.finish(world.store, browser, sort, now=NOW) is None


def test_it_lasts_ten_minutes(world, browser):
    begin(world, browser)
    late = NOW + ceremony.SECONDS
    assert ceremony.under_way(world.store, browser, Sort.SECOND, now=late - 1) is not None
    assert ceremony.under_way(world.store, browser, Sort.SECOND, now=late) is None
    assert ceremony.finish(world.store, browser, Sort.SECOND, now=late) is None


def test_a_new_one_takes_the_place_of_the_one_before(world, browser):
    begin(world, browser, step=1)
    begin(world, browser, step=2)
    found = ceremony.finish(world.store, browser, Sort.SECOND, now=NOW)
    assert found is not None
    assert found.data == {"step": 2}
    assert ceremony.finish(world.store, browser, Sort.SECOND, now=NOW) is None


def test_of_many_who_finish_at_once_one_does(world, browser):
    begin(world, browser)
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(ceremony.finish, world.store, browser, Sort.SECOND, now=NOW)
            for _ in range(8)
        ]
        found = [call.result() for call in calls]
    assert sum(one is not None for one in found) == 1


def test_those_that_took_too_long_are_forgotten(world, browser):
    begin(world, browser)
    ceremony.trim(world.store, now=NOW + ceremony.SECONDS - 1)
    assert len(raw_rows(world.database, "SELECT * FROM ceremony")) == 1
    ceremony.trim(world.store, now=NOW + ceremony.SECONDS)
    assert raw_rows(world.database, "SELECT * FROM ceremony") == []
