"""What tests anywhere may ask for: a real PostgreSQL, a database in it, a PgBouncer before it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.pgbouncer import PgBouncer
from tests.postgres import Database, Postgres, shared


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The one PostgreSQL of a run, for all its processes; no test may stop or configure it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of the whole run; ours is below it
    with shared(folder) as server:
        yield server


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[Database]:
    """An empty database, owned by Latchgate."""
    with postgres.database() as made:
        yield made


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """A PgBouncer in transaction mode before that PostgreSQL."""
    with PgBouncer(postgres) as made:
        yield made
