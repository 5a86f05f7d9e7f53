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
from tests.postgres_world import Databases

from latchgate.core import location
from latchgate.core.secret import Secret
from latchgate.store.migrate import migrate


def pytest_configure() -> None:
    """Let Python keep compiled code, even where it is told to keep none, as containers do.

    What tests start would compile all of its modules each time, for longer than it then runs.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both_databases` over SQLite and over PostgreSQL."""
    marked = metafunc.definition.get_closest_marker("both_databases") is not None
    if (marked or "LATCHGATE_POSTGRES" in os.environ) and "place" in metafunc.fixturenames:
        metafunc.parametrize(
            "place",
            ["postgres"] if "LATCHGATE_POSTGRES" in os.environ else ["sqlite", "postgres"],
            indirect=True,
        )


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Databases | None:
    """Where a `World` is made: in files, or in these databases."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    found: Databases = request.getfixturevalue("databases")
    return found


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


@pytest.fixture
def migrated_postgres(postgres: Postgres) -> Iterator[Database]:
    """A database with all of Latchgate's tables, those of usage too, and no record."""

    def fill(empty: Database) -> None:
        migrate(location.Postgres(Secret(empty.uri)), "main", "usage")

    with postgres.database(postgres.template("migrated", fill)) as made:
        yield made


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Databases]:
    """Databases in that PostgreSQL for a `World`."""
    made = Databases(postgres)
    yield made
    made.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """A PgBouncer in transaction mode before that PostgreSQL."""
    with PgBouncer(postgres) as made:
        yield made
