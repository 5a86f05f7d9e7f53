"""A running server for each module that asks for one, and its database from the outside."""

from __future__ import annotations

import pytest
from tests.world import Server, World


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one worker."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="module")
def world(server):
    """The database of that server, as one more process sees it."""
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture
def victim(tmp_path):
    """A server for one test that might leave it unusable."""
    made = Server.started(tmp_path / "lg")
    yield made
    made.kill()
