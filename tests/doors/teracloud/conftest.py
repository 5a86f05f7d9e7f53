"""A running server whose policy has users of both cohorts, and its database from the outside."""

from __future__ import annotations

import pytest
from tests.world import Server, World

INSTANT = "2026-06-01T00:00:00+09:00"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server where Basic is on by default for those who registered before `INSTANT`."""
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    file = made.folder / "providers" / "teracloud.toml"
    text = file.read_text(encoding="utf-8")
    shipped = "2021-06-02T16:25:00+09:00"
    assert text.count(shipped) == 1
    file.write_text(text.replace(shipped, INSTANT), encoding="utf-8")
    done = made.cli("policy", "apply", "--config", str(made.config))
    assert done.code == 0, done.err
    yield made
    made.kill()


@pytest.fixture(scope="module")
def world(server):
    """The database of that server, as one more process sees it."""
    made = World.beside(server)
    yield made
    made.close()
