"""What is found where a database should be, in a file and in PostgreSQL."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.store import found
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import connect

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """A place where no Latchgate is yet."""
    if request.param == "sqlite":
        return tmp_path / "new.db"
    database = request.getfixturevalue("postgres_database")
    return Postgres(Secret(database.socket_uri))


def run(place, statement):
    if isinstance(place, Postgres):
        with psycopg.connect(place.uri.reveal(), autocommit=True) as connection:
            connection.execute(statement)
    else:
        with contextlib.closing(connect(place, durable=True)) as opened:
            opened.execute(statement)


def test_nothing_is_found_before_the_first_migration(place):
    assert found.schema_at(place) is None
    with pytest.raises(StoreError):
        found.check(place)


def test_a_schema_is_found_and_judged(place):
    migrate(place, "main")
    assert found.schema_at(place) == SCHEMA_HEAD
    found.check(place)
    run(place, "UPDATE alembic_version SET version_num = '9990'")
    found.check(place)
    run(place, "UPDATE schema_window SET oldest = '9989'")
    assert found.schema_at(place) == "9990"
    with pytest.raises(NotMigratedError, match="a newer latchgate wrote it"):
        found.check(place)
    found.check(place, "9989")
    run(place, "DELETE FROM alembic_version")
    assert found.schema_at(place) is None
    with pytest.raises(NotMigratedError):
        found.check(place)


def test_rows_are_those_of_one_moment(place):
    migrate(place, "main")
    with found.snapshot(place) as ask:
        assert [tuple(row) for row in ask("SELECT n FROM journal_head")] == [(0,)]
        run(place, "UPDATE journal_head SET n = 7")
        assert [tuple(row) for row in ask("SELECT n FROM journal_head")] == [(0,)]
    with found.snapshot(place) as ask:
        assert [tuple(row) for row in ask("SELECT n FROM journal_head")] == [(7,)]


def test_a_snapshot_writes_nothing(place):
    migrate(place, "main")
    with pytest.raises(StoreError), found.snapshot(place) as ask:
        list(ask("UPDATE journal_head SET n = 7 RETURNING n"))
    with found.snapshot(place) as ask:
        assert [tuple(row) for row in ask("SELECT n FROM journal_head")] == [(0,)]


def test_a_database_is_used_from_its_first_row_on(postgres_database):
    place = Postgres(Secret(postgres_database.socket_uri))
    assert not found.is_used(place)
    migrate(place, "main")
    assert not found.is_used(place)
    run(place, "UPDATE journal_head SET n = 1")
    assert found.is_used(place)


def test_who_can_not_be_reached_is_named_without_the_password():
    place = Postgres(Secret("postgresql://ada:hunter2@127.0.0.1:1/lg"))
    for ask in (found.schema_at, found.check, found.is_used):
        with pytest.raises(StoreError, match=r"postgresql://ada@127\.0\.0\.1:1/lg") as told:
            ask(place)
        assert "hunter2" not in f"{told.value} {told.value.__cause__}"


def test_a_file_of_something_else_is_no_database_of_ours(tmp_path):
    (tmp_path / "text").write_bytes(b"text" * 1000)
    with pytest.raises(StoreError):
        found.schema_at(tmp_path / "text")
