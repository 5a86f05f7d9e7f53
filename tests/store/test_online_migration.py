"""Migrations of a PostgreSQL database that is in use: nobody waits for them for long."""

from __future__ import annotations

import threading

import psycopg
import pytest
import sqlalchemy as sa
from tests.later import versions
from tests.world import until

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.store import found, postgres_migration
from latchgate.store import migrate as migrations
from latchgate.store.errors import StoreError
from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'account'::regclass"


@pytest.fixture
def place(postgres_database, tmp_path, monkeypatch):
    """A migrated database, and a program that has one more migration for it."""
    made = Postgres(Secret(postgres_database.socket_uri))
    migrate(made, "main", "usage")
    more = versions(tmp_path, both=False)
    monkeypatch.setattr(migrations, "VERSIONS", (*migrations.VERSIONS, more))
    return made


@pytest.fixture
def other(place):
    """A connection of somebody who uses the database."""
    with psycopg.connect(place.uri.reveal(), autocommit=True) as connection:
        yield connection


def one(connection, statement):
    return connection.execute(statement).fetchone()[0]


def test_who_waits_for_a_table_lets_others_pass_and_tries_again(place, other, monkeypatch):
    monkeypatch.setattr(postgres_migration, "LOCK_MS", 50)
    other.execute("BEGIN")
    other.execute("SELECT 1 FROM account")
    thread = threading.Thread(target=migrate, args=(place, "main", "usage"))
    thread.start()
    with psycopg.connect(place.uri.reveal(), autocommit=True) as third:
        for _ in range(3):
            until(lambda: one(third, WAITING) == 1)
            # Behind the one that waits, and answered all the same while the first holds on.
            assert one(third, "SELECT count(*) FROM account") == 0
        assert one(third, "SELECT version_num FROM alembic_version") == SCHEMA_HEAD
    other.execute("COMMIT")
    thread.join(30)
    assert not thread.is_alive()
    assert found.schema_at(place) == "9001"


def test_who_never_gets_a_table_gives_up_and_changes_nothing(place, other, monkeypatch):
    monkeypatch.setattr(postgres_migration, "LOCK_MS", 20)
    monkeypatch.setattr(postgres_migration, "GIVE_UP_SECONDS", 0.0)
    other.execute("BEGIN")
    other.execute("SELECT 1 FROM account")
    with pytest.raises(StoreError, match=r"others held what the migration locks.*Nothing was"):
        migrate(place, "main", "usage")
    assert found.schema_at(place) == SCHEMA_HEAD


def test_a_program_works_on_with_what_a_migration_added(place, other):
    migrate(place, "main", "usage")
    assert one(other, "SELECT oldest FROM schema_window") == SCHEMA_HEAD
    found.check(place)
    other.execute("UPDATE journal_head SET n = n")


def test_a_migration_that_fails_leaves_the_database_as_it_was(place, other):
    other.execute("ALTER TABLE account ADD COLUMN nickname TEXT")
    with pytest.raises(sa.exc.DBAPIError, match="nickname"):
        migrate(place, "main", "usage")
    assert found.schema_at(place) == SCHEMA_HEAD


def test_two_who_migrate_at_once_migrate_once(place):
    threads = [threading.Thread(target=migrate, args=(place, "main", "usage")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found.schema_at(place) == "9001"
