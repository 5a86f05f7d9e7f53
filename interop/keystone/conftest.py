"""Both identity APIs, with the same people in each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from interop.keystone.oracle import Keystone
from tests.clients.identity import Identity, of_latchgate
from tests.e2e.stack import Latchgate


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    """A real Keystone."""
    with Keystone(tmp_path_factory.mktemp("keystone")) as server:
        server.start()
        yield server.identity()


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identity]:
    """Latchgate."""
    with Latchgate(tmp_path_factory.mktemp("latchgate")) as server:
        server.serve(workers=2)
        yield of_latchgate(server)
