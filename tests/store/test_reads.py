"""The statements of the verify path: records and the number they were read at, in one snapshot."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from tests.world import FILES

from latchgate.core.model import Credential, Noun, Project, Role, Tenant, User
from latchgate.core.network import Networks
from latchgate.core.scope import ALL, NONE, Scopes
from latchgate.store import reads, schema
from latchgate.store.errors import NotMigratedError, StoreError
from latchgate.store.reads import (
    PAGE,
    check_schema,
    read_changes,
    read_head,
    read_policy_files,
    read_records,
)
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import connect, driver


@pytest.fixture
def reader(world):
    connection = connect(world.database, durable=True, read_only=True)
    yield connection
    connection.close()


def read(reader, noun, record):
    return read_records(reader, [(noun, record)]).records[noun, record]


def test_a_tenant_is_read(world, reader):
    tenant = world.tenant()
    found = read(reader, Noun.TENANT, tenant)
    assert isinstance(found, Tenant)
    assert (found.id, found.active) == (tenant, True)
    table = schema.tenant
    world.change(
        Noun.TENANT, tenant, sa.update(table).where(table.c.id == tenant).values(active=False)
    )
    assert read(reader, Noun.TENANT, tenant).active is False


def test_a_project_is_read_with_its_tenant(world, reader):
    tenant = world.tenant()
    project = world.project(tenant)
    name = world.one(sa.select(schema.project.c.name).where(schema.project.c.id == project)).name
    assert read(reader, Noun.PROJECT, project) == Project(project, tenant, active=True, name=name)


def test_a_role_is_read_with_its_scopes(world, reader):
    tenant = world.tenant()
    role = world.role(tenant, ["a:b", "c:d"])
    assert read(reader, Noun.ROLE, role) == Role(
        role, tenant, Scopes.of(["a:b", "c:d"]), (), "role"
    )
    everyone = world.role(None, ["*"])
    assert read(reader, Noun.ROLE, everyone) == Role(everyone, None, ALL, (), "role")
    empty = world.role(tenant, [])
    assert read(reader, Noun.ROLE, empty).scopes == NONE


def test_a_user_is_read_with_every_role_in_every_project(world, reader):
    tenant = world.tenant()
    user = world.user(tenant)
    assert read(reader, Noun.USER, user).roles == ()
    pairs = [(world.project(tenant), world.role(tenant, ["a:b"])) for _ in range(3)]
    for project, role in pairs:
        world.assign(user, project, role)
    found = read(reader, Noun.USER, user)
    assert isinstance(found, User)
    assert sorted(found.roles) == sorted(pairs)
    assert (found.tenant_id, found.active) == (tenant, True)


def test_a_credential_is_read_whole(world, reader):
    parent = world.key()
    key = world.key(
        "storage",
        "llm",
        scopes=["storage:read"],
        networks=["192.0.2.0/24", "2001:db8::1"],
        expires_at=4_000_000_000.5,
        parent=parent,
        environment="dev",
        external_id="x-1",
    )
    found = read(reader, Noun.CREDENTIAL, key.id)
    assert isinstance(found, Credential)
    assert found.services == frozenset({"storage", "llm"})
    assert found.scopes == Scopes.of(["storage:read"])
    assert found.networks == Networks.of(["192.0.2.0/24", "2001:db8::1"])
    assert (found.environment, found.external_id) == ("dev", "x-1")
    assert (found.expires_at, found.revoked_at, found.parent_id) == (
        4_000_000_000.5,
        None,
        parent.id,
    )
    assert (found.tenant_id, found.project_id, found.owner_id) == (
        world.owner.tenant_id,
        world.owner.project_id,
        world.owner.user_id,
    )
    assert len(found.digest) == 32


def test_no_networks_and_an_empty_list_of_networks_stay_apart(world, reader):
    anywhere, nowhere = world.key(), world.key(networks=[])
    assert read(reader, Noun.CREDENTIAL, anywhere.id).networks is None
    assert read(reader, Noun.CREDENTIAL, nowhere.id).networks == Networks.of([])


@pytest.mark.parametrize("noun", [Noun.CREDENTIAL, Noun.USER, Noun.TENANT, Noun.PROJECT, Noun.ROLE])
def test_a_record_that_is_not_there_is_none(reader, noun):
    assert read(reader, noun, "nothing") is None


@pytest.mark.parametrize("record", ["' OR 1=1 --", "%", "\x00", "ü", "a" * 10_000])
def test_an_id_is_never_more_than_an_id(reader, record):
    assert read(reader, Noun.CREDENTIAL, record) is None


def test_several_records_come_from_one_snapshot_with_its_number(world, reader):
    tenant, user = world.tenant(), world.user(world.owner.tenant_id)
    wanted = [(Noun.TENANT, tenant), (Noun.USER, user), (Noun.USER, "nobody")]
    found = read_records(reader, wanted)
    assert found.number == world.head()
    assert list(found.records) == wanted
    assert found.records[Noun.USER, "nobody"] is None


def test_reading_nothing_still_tells_the_number(world, reader):
    assert read_records(reader, []).number == world.head()


def test_the_head_is_read_with_its_epoch(world, reader):
    n, epoch = read_head(reader)
    assert n == world.head()
    assert epoch == world.one(sa.select(schema.journal_head.c.epoch)).epoch


def test_changes_are_read_in_order_after_a_number(world, reader):
    before, epoch = read_head(reader)
    first = world.tenant()
    second = world.user(first)
    assert read_changes(reader, before, epoch=epoch) == [
        (before + 1, (Noun.TENANT, first)),
        (before + 2, (Noun.USER, second)),
    ]
    assert read_changes(reader, before + 2, epoch=epoch) == []


def test_changes_of_another_epoch_are_none_at_all(world, reader):
    n, epoch = read_head(reader)
    assert read_changes(reader, n, epoch=epoch) == []
    assert read_changes(reader, n, epoch="another") is None
    assert read_changes(reader, 0, epoch="another") is None


def test_changes_are_read_by_the_page(world, reader):
    before, epoch = read_head(reader)
    with world.changing() as change:
        for at in range(PAGE + 3):
            change.note("test", Noun.USER, f"u{at}", tenant_id=None, detail={})
    first = read_changes(reader, before, epoch=epoch)
    assert first is not None
    assert [n for n, _ in first] == list(range(before + 1, before + 1 + PAGE))
    assert len(read_changes(reader, first[-1][0], epoch=epoch) or ()) == 3


def test_the_newest_policy_is_read(world, reader):
    assert read_policy_files(reader) == (1, FILES)
    assert world.publish({"other.toml": "x = 1"}) == 2
    assert read_policy_files(reader) == (2, {"other.toml": "x = 1"})


def test_without_a_policy_the_version_is_0(world, reader):
    world.change(Noun.POLICY, "1", sa.delete(schema.policy_version))
    assert read_policy_files(reader) == (0, {})


def test_the_schema_this_program_was_written_for_passes(reader):
    check_schema(reader, SCHEMA_HEAD)


def test_another_schema_is_refused_by_name(reader):
    with pytest.raises(NotMigratedError, match=f"has schema {SCHEMA_HEAD}, .* needs 9999"):
        check_schema(reader, "9999")


def test_a_newer_schema_passes_as_far_back_as_it_says(world, reader):
    window = schema.schema_window
    with world.store.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9990'"))
        connection.execute(sa.update(window).values(oldest="9980"))
    for program in ("9990", "9985", "9980"):
        check_schema(reader, program)
    for program in ("9979", SCHEMA_HEAD):
        with pytest.raises(NotMigratedError, match=r"has schema 9990, .* a newer latchgate"):
            check_schema(reader, program)
    with pytest.raises(NotMigratedError, match="run latchgate migrate"):
        check_schema(reader, "9991")


def test_a_database_of_something_else_is_refused(tmp_path):
    connection = connect(tmp_path / "other.db", durable=True)
    with pytest.raises(NotMigratedError, match="latchgate init"):
        check_schema(connection, SCHEMA_HEAD)
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    with pytest.raises(NotMigratedError, match="schema none"):
        check_schema(connection, SCHEMA_HEAD)
    connection.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda reader: read_records(reader, [(Noun.USER, "u")]),
        read_head,
        lambda reader: read_changes(reader, 0, epoch=""),
        read_policy_files,
    ],
    ids=["records", "head", "changes", "policy"],
)
def test_a_connection_that_fails_is_a_fault_of_the_store(world, ask):
    reader = connect(world.database, durable=True, read_only=True)
    reader.close()
    with pytest.raises(StoreError):
        ask(reader)


def test_a_database_without_a_head_is_a_fault_of_the_store(world, reader):
    world.change(Noun.USER, "u")
    connection = driver.connect(str(world.database))
    connection.execute("DELETE FROM journal_head")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="latchgate init"):
        read_head(reader)


@pytest.mark.parametrize("scopes", ["not json", "[1]", "{}", "null"])
def test_a_record_that_cannot_be_understood_is_an_error_and_the_next_read_works(
    world, reader, scopes
):
    role = world.role(None, ["a:b"])
    table = schema.role
    world.change(Noun.ROLE, role, sa.update(table).where(table.c.id == role).values(scopes=scopes))
    with pytest.raises(Exception, match=r"JSON|Expected"):
        read(reader, Noun.ROLE, role)
    assert read(reader, Noun.TENANT, world.owner.tenant_id) is not None


def test_the_statements_name_only_columns_that_exist(reader):
    statements = [
        value
        for name, value in vars(reads).items()
        if name.startswith("_") and isinstance(value, str) and value.startswith("SELECT")
    ]
    assert len(statements) >= 9
    for statement in statements:
        reader.execute(f"EXPLAIN {statement}", ("x",) * statement.count("?")).fetchall()


def test_lists_are_stored_as_json_text(world):
    key = world.key(scopes=["storage:read"])
    table = schema.credential
    row = world.one(sa.select(table.c.services, table.c.scopes).where(table.c.id == key.id))
    assert (json.loads(row.services), json.loads(row.scopes)) == (["storage"], ["storage:read"])
