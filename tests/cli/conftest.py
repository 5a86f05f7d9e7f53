"""A running server for each module that asks for one."""

from __future__ import annotations

import pytest
from tests.world import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one worker; `server.cli` runs the command line against it."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()
