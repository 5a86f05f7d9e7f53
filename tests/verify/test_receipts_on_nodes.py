"""Receipts for a change that several verifiers follow over a real PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import sqlalchemy as sa
from tests.world import World, asking

from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.verifiers import Verifiers
from latchgate.verify.lease_engine import LeaseEngine
from latchgate.verify.receipts import Receipts

SECONDS = 30.0


@pytest.fixture
def world(tmp_path, databases):
    made = World(tmp_path, databases=databases)
    yield made
    made.close()


@pytest.fixture
def given(world):
    made = Receipts(Verifiers(world.store), bell=None, clock=time.time, ticks=time.monotonic)
    made.start()
    yield made
    made.close()


def wait(given, n):
    return asyncio.run(given.wait(n))


def names(ones):
    return {one.incarnation for one in ones}


def name(engine):
    return f"{engine.incarnation:016x}"


def following(engine):
    """Wait until an engine is not only registered."""
    give_up = time.monotonic() + SECONDS
    while engine.ready() is not None:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return engine


def allows(engine, key):
    """Decide at once, where an engine of a `World` waits until it has followed first."""
    assert isinstance(engine, LeaseEngine)
    return LeaseEngine.decide(engine, asking(key)).allowed


class Silenced:
    """Stands before an engine's source: heartbeats wait until it is let go."""

    def __init__(self, engine, monkeypatch):
        self._go = threading.Event()
        self._beat = engine._source.beat
        monkeypatch.setattr(engine._source, "beat", self._wait)

    def _wait(self, *asked):
        assert self._go.wait(SECONDS)
        return self._beat(*asked)

    def let_go(self):
        self._go.set()


def test_everybody_acknowledges_and_refuses_from_then_on(world, given):
    engines = [following(world.engine()) for _ in range(3)]
    key = world.key()
    assert all(allows(one, key) for one in engines)
    found = wait(given, world.revoke(key))
    assert names(found.acknowledged) == {name(one) for one in engines}
    assert (found.lapsed, found.known) == ((), True)
    assert not any(allows(one, key) for one in engines)


def test_who_is_silent_lapses_once_its_trust_has_ended_and_refuses(world, given, monkeypatch):
    awake, silent = following(world.engine()), following(world.engine())
    key = world.key()
    assert allows(awake, key)
    assert allows(silent, key)
    silenced = Silenced(silent, monkeypatch)
    found = wait(given, world.revoke(key))
    try:
        assert (names(found.acknowledged), names(found.lapsed)) == ({name(awake)}, {name(silent)})
        assert found.elapsed >= 2.5
        assert not allows(silent, key)
    finally:
        silenced.let_go()


def test_who_left_is_not_waited_for(world, given):
    following(world.engine()).close()
    found = wait(given, world.head())
    assert (found.acknowledged, found.lapsed) == ((), ())


def test_after_a_promotion_nobody_is_believed_until_it_has_settled(world, given):
    following(world.engine())
    with world.store.writing() as connection:
        connection.execute(sa.update(schema.promise).values(timeline="0000000F"))
    found = wait(given, world.head())
    assert (len(found.acknowledged), len(found.lapsed)) == (0, 1)
    assert found.elapsed >= 2.5


def test_a_database_that_is_gone_gives_a_receipt_that_names_nobody(world, given, monkeypatch):
    following(world.engine())
    n = world.head()
    wait(given, n)

    def gone():
        msg = "it can't be reached"
        raise StoreError(msg)

    monkeypatch.setattr(given._verifiers, "listed", gone)
    found = wait(given, n)
    assert (found.known, found.verifiers) == (False, ())
    assert found.elapsed >= 2.5


def test_one_that_was_expelled_begins_anew_and_follows(world, given):
    engine = following(world.engine())
    assert isinstance(engine, LeaseEngine)
    before = name(engine)
    tables = Verifiers(world.store)
    give_up = time.monotonic() + SECONDS
    while name(engine) == before:
        for one in tables.looked().followers:
            tables.expel(one)
        assert time.monotonic() < give_up
        time.sleep(0.01)
    following(engine)
    found = wait(given, world.head())
    assert name(engine) in names(found.acknowledged)
