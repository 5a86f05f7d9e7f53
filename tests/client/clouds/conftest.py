"""A Latchgate that these clouds are tested against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.certificates import Authority
from tests.world import Server, World


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server with one worker."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.fixture(scope="session")
def world(server) -> Iterator[World]:
    """The database of that server, as one more process sees it."""
    made = World.beside(server)
    yield made
    made.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """Who signs the certificates of nodes."""
    return Authority(tmp_path_factory.mktemp("authority"))
