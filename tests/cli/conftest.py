"""A running server for each module that asks for one, and somebody who calls clouds."""

from __future__ import annotations

import os

import pytest
from tests.cli.callers import Caller
from tests.client.stage import Stage
from tests.world import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one worker; `server.cli` runs the command line against it."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


@pytest.fixture
def caller(tmp_path, monkeypatch):
    """Somebody with an empty home, and no credential in the environment."""
    for name in list(os.environ):
        if name.startswith(("LATCHGATE_", "WAYSCLOUD_", "UPCLOUD_", "TERACLOUD_", "OS_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return Caller(tmp_path)


@pytest.fixture
def stage():
    """A cloud whose answers a test writes."""
    with Stage() as made:
        yield made
