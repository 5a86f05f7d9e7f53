"""A tenant's export: every table decided, nothing of others, nobody's hash to who holds less."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa

from latchgate.core.scope import Scopes
from latchgate.manage.errors import ForbiddenError, TooManyError
from latchgate.manage.tenant_export import _ONE, LEFT_OUT, OWN, export_tenant
from latchgate.store import schema

RIGHT = Scopes.of(["manage:export.read"])


def exported(world, key):
    with export_tenant(world.store, world.acting(key, RIGHT), now=world.store._clock()) as file:
        return [json.loads(line) for line in file]


def test_every_table_is_given_by_what_belongs_to_the_tenant_or_left_out_for_a_reason():
    assert set(OWN) | set(LEFT_OUT) == set(schema.main.tables)
    assert not set(OWN) & set(LEFT_OUT)
    assert all(LEFT_OUT.values())


def test_what_is_given_refers_to_nothing_that_is_not():
    for name in OWN:
        for key in schema.main.tables[name].foreign_keys:
            assert key.column.table.name in OWN


@pytest.mark.both_databases
def test_a_tenant_gets_its_own_rows_and_those_of_nobody_else(world):
    tenants = [world.tenant() for _ in range(2)]
    mine, others = (
        [world.somebody("storage:read", tenant_id=tenant) for _ in range(2)] for tenant in tenants
    )
    keys = [world.key("storage", owner=owner) for owner in mine]
    world.key("storage", owner=others[0])
    header, *rows, end = exported(world, keys[0])
    assert end["rows"] == len(rows)
    by_table: dict[str, list[dict[str, Any]]] = {}
    for line in rows:
        by_table.setdefault(line["table"], []).append(line["row"])
    assert set(by_table) <= set(header["tables"])
    assert [row["id"] for row in by_table["tenant"]] == tenants[:1]
    assert {row["id"] for row in by_table["account"]} == {one.user_id for one in mine}
    assert {row["id"] for row in by_table["credential"]} == {one.id for one in keys}
    assert {row["user_id"] for row in by_table["role_assignment"]} == {one.user_id for one in mine}
    assert {row["tenant_id"] for row in by_table["role"]} <= {tenants[0], None}
    text = json.dumps(rows)
    assert not [one for one in (tenants[1], *(o.user_id for o in others)) if one in text]


def test_the_journal_says_who_exported(world):
    exported(world, world.key("storage"))
    assert world.journal()[-1].action == "tenant.export"
    assert world.journal()[-1].record == world.owner.tenant_id


@pytest.mark.both_databases
def test_d5_38_nobody_gets_the_hashes_of_who_holds_more(world):
    poor = world.somebody("storage:read", tenant_id=world.owner.tenant_id)
    key = world.key("storage", owner=poor)
    head = world.head()
    with pytest.raises(ForbiddenError, match="somebody in your tenant holds"):
        exported(world, key)
    assert world.head() == head


def test_a_credential_that_may_make_no_others_exports_nothing(world):
    key = world.key("storage")
    table = schema.credential
    with world.changing() as change:
        change.execute(sa.update(table).where(table.c.id == key.id).values(issues=False))
    with pytest.raises(ForbiddenError, match="may not make others"):
        exported(world, key)


def test_one_is_written_at_a_time(world):
    key = world.key("storage")
    with _ONE, pytest.raises(TooManyError, match="another export"):
        exported(world, key)
    assert exported(world, key)
