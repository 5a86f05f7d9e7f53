"""A file's records put into PostgreSQL: all of them as they were, or none."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.world import World, raw_rows

from latchgate.core.location import Postgres
from latchgate.core.secret import Secret
from latchgate.manage.chain import verify_database
from latchgate.store import found, schema
from latchgate.store.errors import StoreError
from latchgate.store.migrate import migrate
from latchgate.store.pour import pour
from latchgate.store.sqlite import connect

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture
def place(postgres_database):
    made = Postgres(Secret(postgres_database.socket_uri))
    migrate(made, "main", "usage")
    return made


@pytest.fixture
def source(tmp_path):
    """A file with records of several sorts: switched off, without an end, with a parent."""
    world = World(tmp_path)
    world.user(world.tenant())
    world.key(parent=world.key(), expires_at=2e9, networks=["192.0.2.0/24"])
    world.close()
    return world.database


def records(place, table):
    names = ", ".join(f'"{column.name}"' for column in table.c)
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    truths = [isinstance(column.type, sa.Boolean) for column in table.c]
    with found.snapshot(place) as ask:
        return [
            tuple(
                bool(value) if truth and value is not None else value
                for value, truth in zip(row, truths, strict=True)
            )
            for row in ask(f"SELECT {names} FROM {table.name} ORDER BY {keys}")  # noqa: S608
        ]


def test_every_record_arrives_as_it_was(source, place):
    pour(source, place)
    filled = set()
    for table in schema.main.sorted_tables:
        before = records(source, table)
        if table.name not in {"promise", "schema_window"}:
            assert sorted(records(place, table), key=repr) == sorted(before, key=repr), table.name
            filled |= {table.name} if before else set()
    assert {"tenant", "account", "credential", "journal", "journal_head"} <= filled
    report = verify_database(place)
    assert (report.sound, report.n) == (True, raw_rows(source, "SELECT n FROM journal_head")[0][0])


def test_nothing_is_put_beside_other_records(source, place):
    pour(source, place)
    before = records(place, schema.journal)
    with pytest.raises(StoreError, match="holds records already; nothing was changed"):
        pour(source, place)
    assert records(place, schema.journal) == before


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE tenant SET name = name || char(0)", "tenant can't be written"),
        ("UPDATE account SET created_at = 'yesterday'", "account can't be written"),
        ("UPDATE credential SET owner_id = 'nobody'", "credential can't be written"),
    ],
)
def test_what_can_not_be_held_is_told_by_its_table_and_leaves_nothing(
    source, place, statement, why
):
    connection = connect(source, durable=True)
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute(statement)
    connection.close()
    with pytest.raises(StoreError, match=f"{why}: .*nothing was changed"):
        pour(source, place)
    assert not found.is_used(place)
    assert records(place, schema.tenant) == []
