"""A database with an authorization server over it, and a clock that the test moves."""

from __future__ import annotations

import pytest
from tests.oauth import authority
from tests.world import World


class Clock:
    """Unix seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(tmp_path, clock, place):
    """A database with its first records."""
    made = World(tmp_path, clock=clock, databases=place)
    yield made
    made.close()


@pytest.fixture
def server(world, clock):
    return authority.authority(world, clock=clock)


@pytest.fixture
def owner(world):
    return world.somebody("storage:read", "storage:write")


@pytest.fixture
def app(world):
    return authority.client(world)
