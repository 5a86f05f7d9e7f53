"""A database for each test that asks for one, and places for usage: a file, and PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest
from tests.lost import away
from tests.world import World

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.store import schema, sqlite, usage_postgres
from latchgate.store.migrate import migrate
from latchgate.store.sqlite import driver

_EMPTY = "".join(f"DELETE FROM {name};" for name in schema.usage.tables)  # noqa: S608 - ours


@pytest.fixture
def world(tmp_path, place):
    """A database with its first records."""
    made = World(tmp_path, databases=place)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def usage_at(request):
    """Where the usage of a test is: a test of one alone names it by `indirect` parameters."""
    return request.param


@pytest.fixture
def usage_world(request, world, usage_at):
    """A world whose usage is there."""
    if usage_at == "postgres":
        world.usage_database = request.getfixturevalue("postgres_usage")
    return world


@pytest.fixture(scope="session")
def _usage_in_postgres(postgres) -> Iterator[Postgres]:
    with contextlib.ExitStack() as made:
        database = Postgres(Secret(made.enter_context(postgres.database()).socket_uri))
        migrate(database, "usage")
        yield database


@pytest.fixture
def postgres_usage(_usage_in_postgres):
    """An empty database of usage in PostgreSQL."""
    with psycopg.connect(_usage_in_postgres.uri.reveal()) as connection:
        connection.execute(_EMPTY.encode())
    return _usage_in_postgres


@pytest.fixture
def nobody_writes(request, usage_world, usage_at, monkeypatch):
    """Keep everybody from writing usage in a block: the file is locked, the server away."""
    monkeypatch.setattr(sqlite, "BUSY_MS", 20)
    monkeypatch.setattr(usage_postgres, "RETRY_SECONDS", 0.0)
    at = usage_world.usage_database
    if usage_at == "postgres":
        return lambda: away(request.getfixturevalue("postgres"), at)
    return lambda: locked(at)


@contextlib.contextmanager
def locked(file):
    """Hold a SQLite file's one write lock."""
    other = driver.connect(str(file), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()
