"""One server for each file of tests of the console, and people who visit it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests import people
from tests.doors.console.visitor import Visitor
from tests.people import Person
from tests.world import Server, World


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server."""
    made = Server.started(tmp_path_factory.mktemp("console") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[World]:
    """Its database."""
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture
def person(world: World) -> Person:
    """A new user with a password."""
    return people.person(world)


@pytest.fixture
def visitor(server: Server) -> Visitor:
    """A browser that was never here."""
    return Visitor(server)
