"""A database for each test that asks for one."""

from __future__ import annotations

import pytest
from tests.world import World


@pytest.fixture
def world(tmp_path, place):
    """A database with its first records."""
    made = World(tmp_path, databases=place)
    yield made
    made.close()
