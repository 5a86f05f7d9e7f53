"""A running server for what needs programs that `make test` can't install."""

from __future__ import annotations

import pytest
from tests.doors.upcloud.client import SCOPES, Client, bearer
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


@pytest.fixture(scope="module")
def main(server, world):
    """A main account of UpCloud's."""
    owner = world.somebody(*SCOPES)
    return Client(server, bearer(world, owner), owner)
