"""Servers for tests that stop, kill or break them."""

from __future__ import annotations

import pytest
from tests.world import Server


@pytest.fixture
def server(tmp_path):
    """A server of one test's own, made and not yet started."""
    made = Server.made(tmp_path / "lg")
    yield made
    made.kill()
