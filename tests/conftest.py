"""What tests anywhere may ask for: a real PostgreSQL, a database in it, a PgBouncer before it.

And what holds for a whole run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from tests.pgbouncer import PgBouncer
from tests.postgres import Database, Postgres, shared


def pytest_configure() -> None:
    """Let Python keep compiled code, even where it is told to keep none, as containers do.

    What tests start would compile all of its modules each time, for longer than it then runs.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


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
