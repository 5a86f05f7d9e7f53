"""A running server for the whole session, accounts of UpCloud on it, and whoever asks it."""

from __future__ import annotations

import pytest
from tests.doors.upcloud.client import SCOPES, Client, bearer
from tests.world import Server, World


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with one worker."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="session")
def world(server):
    """The database of that server, as one more process sees it."""
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture
def main(server, world):
    """A main account of a tenant of its own."""
    owner = world.somebody(*SCOPES)
    return Client(server, bearer(world, owner), owner)


@pytest.fixture
def nobody(server):
    """One without a credential."""
    return Client(server, {})
