"""The tables stay portable, so that another database can hold them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from latchgate.store import schema

TABLES = [*schema.main.sorted_tables, *schema.usage.sorted_tables]
PORTABLE = (sa.Text, sa.Float, sa.Integer, sa.BigInteger, sa.LargeBinary, sa.Boolean)
COLUMNS = [pytest.param(column, id=str(column)) for table in TABLES for column in table.columns]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_is_of_a_type_that_every_database_has(column):
    assert type(column.type) in PORTABLE


@pytest.mark.parametrize("column", COLUMNS)
def test_no_number_is_drawn_by_the_database_itself(column):
    # A sequence commits out of order (ARCHITECTURE §6 rule 1).
    assert not column.identity
    assert column.default is None
    assert column.server_default is None


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_every_table_has_a_primary_key(table):
    assert list(table.primary_key.columns)


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_every_table_can_be_made_in_postgresql(table):
    assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_records_and_usage_share_no_table():
    # Which programs may work with it is told by each; in one database the table is one.
    shared = set(schema.main.tables) & set(schema.usage.tables)
    assert shared == {"schema_window"}


def test_no_column_could_hold_the_secret_of_a_credential():
    assert {"digest", "hint"} <= set(schema.credential.columns.keys())
    assert not {"secret", "key", "token"} & set(schema.credential.columns.keys())
