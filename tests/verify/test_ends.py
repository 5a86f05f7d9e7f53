"""When what was granted ends by itself: over a real engine; for programs by a memory made up."""

from __future__ import annotations

import math
import time

import msgspec
import pytest
from tests.doors.verify.test_protocol import KEY, granted
from tests.world import World, asking

from latchgate.core.model import Application, ApplicationKey, Facts, Noun
from latchgate.core.scope import ALL
from latchgate.verify.cache import Cache
from latchgate.verify.ends import ends_at

SOON, LATER = time.time() + 5_000, time.time() + 50_000


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def ends(engine, key):
    decision = engine.decide(asking(key))
    assert decision.allowed
    return engine.ends_at(decision.grant)


def test_the_first_end_of_a_key_and_of_those_above_it_counts(world):
    engine = world.engine()
    assert ends(engine, world.key()) == math.inf
    assert ends(engine, world.key(expires_at=LATER)) == LATER
    grandparent = world.key(expires_at=SOON)
    parent = world.key(parent=grandparent)
    assert ends(engine, world.key(parent=parent, expires_at=LATER)) == SOON
    above = world.key(expires_at=LATER)
    assert ends(engine, world.key(parent=above, expires_at=SOON)) == SOON


def test_what_is_not_remembered_any_more_ends_at_an_unknown_time(world):
    engine, key = world.engine(ticks=lambda: 0.0), world.key()
    grant = engine.decide(asking(key)).grant
    assert engine.ends_at(grant) == math.inf
    world.revoke(key)
    engine.follow()
    assert engine.ends_at(grant) is None


def test_beside_the_database_trust_has_no_end(world):
    assert world.engine().trust_left(1e9) == math.inf


# --- with a program


def with_program(expires_at, *, credential=KEY, remembered=True):
    """Return the end of a grant with a program's key that ends then."""
    cache, grant = Cache(1), granted()
    cache.facts[credential.id] = Facts(credential, ALL, None, None, grant)
    key = ApplicationKey("ak", "x", "app", None, b"", None, None, expires_at=expires_at)
    if remembered:
        cache.insert(1, [((Noun.APPLICATION_KEY, key.id), key)])
    return ends_at(cache, cache.together(grant, Application("app", "Photos", approved=True), key))


def test_the_key_of_a_program_may_end_first():
    assert with_program(None) == math.inf
    assert with_program(SOON) == SOON
    assert with_program(None, remembered=False) is None


def test_what_another_version_of_the_record_says_is_not_taken():
    assert with_program(None, credential=msgspec.structs.replace(KEY, expires_at=SOON)) is None
