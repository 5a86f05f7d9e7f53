"""Migrations on PostgreSQL: the tables that statements expect, and texts in the order of bytes."""

from __future__ import annotations

import threading
import uuid

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from tests.postgres import ROLE, Database

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.manage import listing
from latchgate.manage.listing import Listing, Query
from latchgate.store import schema
from latchgate.store.errors import StoreError
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate

PARTS = {"main": schema.main, "usage": schema.usage}


def at(database: Database) -> Postgres:
    return Postgres(Secret(database.socket_uri))


def engine(database: Database) -> sa.Engine:
    return sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database.socket_uri),
        poolclass=sa.pool.NullPool,
    )


def tables(database: Database) -> set[str]:
    with engine(database).connect() as connection:
        return set(sa.inspect(connection).get_table_names()) - {"alembic_version"}


@pytest.mark.parametrize("parts", [("main",), ("usage",), ("main", "usage")])
def test_a_migrated_database_has_exactly_the_tables_that_statements_use(postgres_database, parts):
    migrate(at(postgres_database), *parts)
    both = sa.MetaData()
    for part in parts:
        for name, table in PARTS[part].tables.items():
            if name not in both.tables:
                table.to_metadata(both)
    with engine(postgres_database).connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), both)
    assert found == []
    assert tables(postgres_database) == set(both.tables)


def test_a_migration_that_fails_leaves_no_table_behind(postgres_database, monkeypatch):
    # The epoch is drawn after every table was made.
    monkeypatch.setattr(uuid, "uuid4", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        migrate(at(postgres_database), "main")
    assert tables(postgres_database) == set()
    monkeypatch.undo()
    migrate(at(postgres_database), "main")
    assert tables(postgres_database) == set(schema.main.tables)


def test_of_several_who_migrate_at_once_one_does(postgres_database):
    faults: list[Exception] = []

    def work():
        try:
            migrate(at(postgres_database), "main")
        except (StoreError, sa.exc.SQLAlchemyError) as error:
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with psycopg.connect(postgres_database.socket_uri) as connection:
        assert connection.execute("SELECT count(*) FROM journal_head").fetchone() == (1,)


# --- order


@pytest.fixture
def american(postgres):
    """A database whose own order of texts is that of English dictionaries."""
    name = "american"
    made = "CREATE DATABASE {} OWNER {} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
    postgres.execute(sql.SQL(made).format(sql.Identifier(name), sql.Identifier(ROLE)))
    yield Database(name, postgres.uri(name), postgres.socket_uri(name))
    postgres.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


NAMES = ["a-b", "B", "ab", "A", "é", "z", "a b", "Z", "_", "ab", "10", "9", "ﬁ"]


@pytest.mark.parametrize("down", [False, True])
def test_pages_are_in_the_order_of_bytes_whatever_language_a_database_is_for(american, down):
    migrate(at(american), "main", "usage")
    with psycopg.connect(american.socket_uri) as connection:
        assert connection.execute("SELECT 'a' < 'B', 'B' < 'z'").fetchone() == (True, True)
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'text'"
            " AND collation_name IS DISTINCT FROM 'C'"
        )
        assert found.fetchall() == []
    table = schema.tenant
    store = Store(at(american), clock=lambda: 1.0)
    with store.writing() as connection:
        for number, name in enumerate(NAMES):
            row = {"id": f"t-{number}", "active": True, "created_at": 1.0, "version": 0}
            connection.execute(sa.insert(table).values(**row, name=f"{name}{number}"))
    names = Listing(table, ("name",), {}, {"name": listing.by(table.c.name)}, ("name",))
    seen: list[str] = []
    after = None
    while True:
        with store.reading() as connection:
            query = Query(limit=2, after=after, sort=("-name" if down else "name",))
            rows, after = listing.page(connection, names, query, now=1.0)
        seen += [row["name"] for row in rows]
        if after is None:
            break
    store.close()
    expected = [f"{name}{number}" for number, name in enumerate(NAMES)]
    assert seen == sorted(expected, key=str.encode, reverse=down)
