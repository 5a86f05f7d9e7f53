"""Migrations make the tables that the program expects, whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.later import versions
from tests.world import mode, raw_rows

from latchgate.store import migrate, schema, sqlite
from latchgate.store.reads import check_schema
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import connect, driver
from latchgate.store.usage import LastUse, UsageReader

MIGRATIONS = Path(migrate.__file__).parent / "migrations"
NAMES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def tables(database):
    return {name for (name,) in raw_rows(database, NAMES)}


def differences(database, metadata):
    engine = sa.create_engine("sqlite://", module=driver, creator=lambda: driver.connect(database))
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    return found


@pytest.mark.parametrize("part", ["main", "usage"])
def test_a_migrated_database_has_exactly_the_tables_that_statements_use(tmp_path, part):
    database = tmp_path / "new.db"
    migrate.migrate(database, part)
    metadata = {"main": schema.main, "usage": schema.usage}[part]
    assert differences(database, metadata) == []
    assert tables(database) == {*metadata.tables, "alembic_version"}


def test_one_database_can_hold_both_parts(tmp_path):
    database = tmp_path / "new.db"
    migrate.migrate(database, "main", "usage")
    assert tables(database) == {*schema.main.tables, *schema.usage.tables, "alembic_version"}


def test_the_newest_migration_is_the_one_that_the_program_asks_for(tmp_path):
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_HEAD]


def test_every_migration_from_0008_on_says_which_programs_it_lets_go_on():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    told = [
        (one.revision, getattr(one.module, "oldest", None))
        for one in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))
    ]
    since = [(number, str(oldest)) for number, oldest in told if number >= "0008"]
    assert {oldest for number, oldest in told if number < "0008"} == {None}
    assert all(oldest <= number for number, oldest in since), since
    # What a later one adds does not let a program in again that an earlier one shut out.
    assert [oldest for _, oldest in since] == sorted(oldest for _, oldest in since)
    assert migrate.oldest_program() == since[-1][1]


def test_the_window_is_that_of_the_newest_migration(tmp_path, monkeypatch):
    database = tmp_path / "new.db"
    migrate.migrate(database, "main")
    asked = "SELECT oldest FROM schema_window"
    assert raw_rows(database, asked) == [(migrate.oldest_program(),)]
    monkeypatch.setattr(migrate, "VERSIONS", (*migrate.VERSIONS, versions(tmp_path)))
    migrate.migrate(database, "main", revision="9001")
    assert raw_rows(database, asked) == [(SCHEMA_HEAD,)]
    migrate.migrate(database, "main")
    assert raw_rows(database, asked) == [("9002",)] == [(migrate.oldest_program(),)]


def test_what_looks_before_a_migration_may_refuse_it(tmp_path, monkeypatch):
    database = tmp_path / "new.db"
    migrate.migrate(database, "main")
    monkeypatch.setattr(migrate, "VERSIONS", (*migrate.VERSIONS, versions(tmp_path)))

    def refuse(connection):
        assert connection.execute(sa.text("SELECT n FROM journal_head")).one() == (0,)
        raise PermissionError

    with pytest.raises(PermissionError):
        migrate.migrate(database, "main", before=refuse)
    assert raw_rows(database, "SELECT version_num FROM alembic_version") == [(SCHEMA_HEAD,)]


def test_a_migrated_database_passes_the_check_at_start(tmp_path):
    migrate.migrate(tmp_path / "new.db", "main")
    connection = connect(tmp_path / "new.db", durable=True)
    check_schema(connection, SCHEMA_HEAD)
    connection.close()


def test_a_new_journal_is_empty_and_of_an_epoch_of_its_own(tmp_path):
    epochs = set()
    for name in ("one.db", "two.db"):
        migrate.migrate(tmp_path / name, "main")
        ((n, first, epoch),) = raw_rows(tmp_path / name, "SELECT n, hash, epoch FROM journal_head")
        assert (n, first) == (0, bytes(32))
        epochs.add(epoch)
    assert len(epochs) == 2


def test_migrating_again_changes_nothing(tmp_path):
    database = tmp_path / "new.db"
    migrate.migrate(database, "main")
    before = raw_rows(database, "SELECT * FROM journal_head")
    migrate.migrate(database, "main")
    assert raw_rows(database, "SELECT * FROM journal_head") == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    database = tmp_path / "new.db"
    # The epoch is drawn after every table was made.
    monkeypatch.setattr(uuid, "uuid4", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        migrate.migrate(database, "main")
    assert tables(database) == set()
    monkeypatch.undo()
    migrate.migrate(database, "main")
    assert differences(database, schema.main) == []


def test_a_migration_waits_for_no_writer_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_MS", 50)
    database = tmp_path / "new.db"
    other = driver.connect(database, isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sa.exc.OperationalError, match="locked"):
        migrate.migrate(database, "main")
    other.execute("ROLLBACK")
    other.close()
    assert tables(database) == set()


def test_a_migrated_file_is_its_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        migrate.migrate(tmp_path / "new.db", "main")
    finally:
        os.umask(old)
    assert mode(tmp_path / "new.db") == 0o600


def test_whoever_ever_had_an_app_password_has_switched_basic(tmp_path):
    database = tmp_path / "old.db"
    migrate.migrate(database, "main", revision="0002")
    connection = connect(database, durable=True)
    connection.execute("INSERT INTO tenant VALUES ('t-1', 'Acme', 1, 0.0, 0)")
    connection.execute(
        "INSERT INTO project (id, tenant_id, name, active, created_at)"
        " VALUES ('p-1', 't-1', 'Web', 1, 0.0)"
    )
    for user in ("ada", "bob"):
        connection.execute(
            "INSERT INTO account (id, tenant_id, name, active, created_at)"
            " VALUES (?, 't-1', ?, 1, 0.0)",
            (user, user),
        )
    rows = [
        ("c-1", "teracloud.app_password", "ada"),
        ("c-2", "teracloud.app_password", "ada"),  # reissued since
        ("c-3", "own.app_password", "ada"),
        ("c-4", "teracloud.account_password", "bob"),
    ]
    connection.executemany(
        "INSERT INTO credential (id, kind, tenant_id, project_id, owner_id, name, description,"
        " services, scopes, metadata, digest, hint, created_at, created_by, revoked_at)"
        " VALUES (?, ?, 't-1', 'p-1', ?, '', '', '[]', '[]', '{}', x'00', '', 0.0, '', 1.0)",
        rows,
    )
    connection.close()
    migrate.migrate(database, "main")
    switched = raw_rows(database, "SELECT id, basic_switched FROM account ORDER BY id")
    assert switched == [("ada", '["own", "teracloud"]'), ("bob", None)]


def test_use_counted_by_the_hour_stays_and_adds_up_to_days(tmp_path):
    database = tmp_path / "old.db"
    migrate.migrate(database, "usage", revision="0003")
    connection = connect(database, durable=True)
    rows = [
        ("c-1", "allowed", "storage:read", 24, 5),
        ("c-1", "allowed", "storage:read", 47, 7),
        ("c-1", "allowed", "storage:read", 48, 1),
        ("c-2", "scope_not_granted", "storage:write", 24, 3),
    ]
    connection.executemany("INSERT INTO credential_use VALUES (?, ?, ?, ?, ?)", rows)
    connection.execute("INSERT INTO last_use VALUES ('c-1', 172800.5, '192.0.2.1')")
    connection.close()
    migrate.migrate(database, "usage")
    columns = "at, credential_id, scope, reason, count"
    assert raw_rows(database, f"SELECT {columns} FROM use_hour ORDER BY at, credential_id") == [  # noqa: S608
        (86_400, "c-1", "storage:read", "allowed", 5),
        (86_400, "c-2", "storage:write", "scope_not_granted", 3),
        (169_200, "c-1", "storage:read", "allowed", 7),
        (172_800, "c-1", "storage:read", "allowed", 1),
    ]
    assert raw_rows(database, f"SELECT {columns} FROM use_day ORDER BY at, credential_id") == [  # noqa: S608
        (86_400, "c-1", "storage:read", "allowed", 12),
        (86_400, "c-2", "storage:write", "scope_not_granted", 3),
        (172_800, "c-1", "storage:read", "allowed", 1),
    ]
    hours = raw_rows(database, "SELECT * FROM use_tenant ORDER BY at, tenant_id, reason")
    assert hours == [
        (86_400, "", "allowed", 5),
        (86_400, "", "scope_not_granted", 3),
        (86_400, "*", "allowed", 5),
        (86_400, "*", "scope_not_granted", 3),
        (169_200, "", "allowed", 7),
        (169_200, "*", "allowed", 7),
        (172_800, "", "allowed", 1),
        (172_800, "*", "allowed", 1),
    ]
    reader = UsageReader(database)
    assert reader.last_uses(["c-1"]) == {"c-1": LastUse(172_800.5, "192.0.2.1")}
    reader.close()


def test_webhooks_stay_as_they_were_when_some_may_be_the_operators(tmp_path):
    database = tmp_path / "old.db"
    migrate.migrate(database, "main", revision="0004")
    connection = connect(database, durable=True)
    connection.execute("INSERT INTO tenant VALUES ('t-1', 'Acme', 1, 0.0, 0)")
    connection.execute(
        "INSERT INTO webhook VALUES ('wh-1', 't-1', 'https://hooks.example/', '[]', 'chat',"
        " x'0102', NULL, NULL, 1, 5.5, 'somebody', '200', 6.5, 7)"
    )
    connection.close()
    before = raw_rows(database, "SELECT * FROM webhook")
    migrate.migrate(database, "main")
    assert raw_rows(database, "SELECT * FROM webhook") == before
    referred = 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(\'webhook\')'
    assert raw_rows(database, referred) == [("tenant", "tenant_id", "id")]
