"""`migrate`: from a database as the first version wrote it to one that decides the same."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import closing

import pytest
from tests.manage.journals import alter, old_row, write_old
from tests.world import BUILT_IN, WAYSCLOUD, World, asking, file_of, mode, raw_rows

from latchgate.config import load
from latchgate.core.kinds.service_key import ENTROPY_BYTES
from latchgate.core.kinds.spec import Spec
from latchgate.core.policy_file import with_built_in
from latchgate.core.secret import Secret
from latchgate.keyring.errors import KeyringError
from latchgate.keyring.signing import Purpose
from latchgate.manage import audit
from latchgate.manage.chain import verify_database
from latchgate.serve import upgrade as upgrades
from latchgate.serve.upgrade import UpgradeError, replace_signing_keys, upgrade
from latchgate.signin.password import hash_like, hash_password
from latchgate.store.bell import Bell
from latchgate.store.errors import ConflictError, NotMigratedError, StoreError
from latchgate.store.journal import Store
from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD
from latchgate.store.sqlite import connect

AT = 1_700_000_000.0
PASSWORD = "correct horse battery staple"
KEYS = len(Purpose) + 1  # that of OAuth2 tokens has the next one beside it


class Old:
    """An installation of schema 0001: keys, an administrator with a password, a chained journal."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "latchgate.toml").write_text('policy = ["wayscloud.toml"]\n')
        (folder / "wayscloud.toml").write_text(WAYSCLOUD)
        self.config = load(folder / "latchgate.toml")
        migrate(self.config.database, "main", revision="0001")
        migrate(self.config.usage_database, "usage", revision="0001")
        self.keys = {}
        self._records()
        rows = [old_row(n, at=AT + n) for n in range(1, 6)]
        write_old(file_of(self.config.database), rows)

    def _records(self):
        put = self.insert
        put("tenant", id="t-1", name="default", active=1, created_at=AT)
        put("project", id="p-1", tenant_id="t-1", name="default", active=1, created_at=AT)
        put("role", id="r-1", tenant_id="t-1", name="administrator", scopes='["*"]')
        hashed = hash_password(PASSWORD, secrets.token_bytes(16))
        user = {"id": "u-1", "tenant_id": "t-1", "name": "Admin", "active": 1, "created_at": AT}
        put("account", **user, password=hashed)
        put("account", **user | {"id": "u-2", "name": "other"}, password=None)
        put("role_assignment", user_id="u-1", project_id="p-1", role_id="r-1")
        files = json.dumps({"wayscloud.toml": WAYSCLOUD})
        put("policy_version", version=1, at=AT, actor="local:init", files=files)
        policy = with_built_in({"wayscloud.toml": WAYSCLOUD}, BUILT_IN, version=1)
        differing: dict[str, dict[str, object]] = {
            "good": {},
            "revoked": {"revoked_at": AT},
            "expired": {"expires_at": AT},
            "reads": {"scopes": '["storage:read"]'},
            "elsewhere": {"networks": '["198.51.100.0/24"]'},
        }
        for name, told in differing.items():
            kind = policy.issued("wayscloud.service_key")
            issued = kind.issue(Spec(service="storage"), secrets.token_bytes(ENTROPY_BYTES))
            row: dict[str, object] = {
                "id": issued.id,
                "kind": kind.name,
                "tenant_id": "t-1",
                "project_id": "p-1",
            }
            row |= {"owner_id": "u-1", "name": name, "description": "", "scopes": '["*"]'}
            row |= {"services": '["storage"]', "metadata": "{}", "digest": issued.digest}
            row |= {"hint": issued.hint, "created_at": AT, "created_by": "local:init"}
            put("credential", **row | told)
            self.keys[name] = issued.secret

    def insert(self, table, **row):
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        alter(file_of(self.config.database), statement, *row.values())

    def files(self):
        """What is there, by name and content; a bell and logs come and go."""
        return {
            one.name: one.read_bytes()
            for one in self.folder.iterdir()
            if not one.name.endswith(("-bell", "-wal", "-shm"))
        }


@pytest.fixture
def old(tmp_path):
    return Old(tmp_path)


@pytest.fixture
def decides(old):
    """A function that tells what each key may do on the migrated database."""
    world = World.__new__(World)
    world.database, world.usage_database = old.config.database, old.config.usage_database
    world._databases = None

    def verdicts():
        world._attach(time.time)
        engine = world.engine()
        told = {}
        for name, secret in old.keys.items():
            for method in ("GET", "PUT"):
                headers = {"authorization": f"Bearer {Secret.reveal(secret)}"}
                decision = engine.decide(asking(method=method, headers=headers))
                told[name, method] = str(decision.reason)
        world.close()
        return told

    return verdicts


def test_the_same_keys_decide_as_before(old, decides):
    upgrade(old.config, who="me", backup=True)
    assert decides() == {
        ("good", "GET"): "allowed",
        ("good", "PUT"): "allowed",
        ("revoked", "GET"): "credential_revoked",
        ("revoked", "PUT"): "credential_revoked",
        ("expired", "GET"): "credential_expired",
        ("expired", "PUT"): "credential_expired",
        ("reads", "GET"): "allowed",
        ("reads", "PUT"): "scope_not_granted",
        ("elsewhere", "GET"): "network_not_allowed",
        ("elsewhere", "PUT"): "network_not_allowed",
    }


def test_a_password_becomes_a_credential_under_its_login(old):
    upgrade(old.config, who="me", backup=True)
    (row,) = raw_rows(
        old.config.database,
        "SELECT login.id, login.user_id, credential.digest FROM login"
        " JOIN login_credential ON login_id = login.id"
        " JOIN credential ON credential.id = credential_id",
    )
    assert row[:2] == ("latchgate:admin", "u-1")
    stored = row[2].decode()
    assert hash_like(PASSWORD, stored) == stored


def test_it_says_what_it_did_and_keeps_a_copy_that_can_be_put_back(old, decides):
    before = old.files()
    done = upgrade(old.config, who="me", backup=True)
    assert (done.was, done.now) == ("0001", SCHEMA_HEAD)
    assert done.master_key == old.config.master_key
    assert len(done.signing_keys) == KEYS
    assert mode(old.config.master_key) == 0o600
    main, usage = done.backups
    assert [mode(one) for one in done.backups] == [0o600, 0o600]
    assert raw_rows(main, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert len(raw_rows(main, "SELECT * FROM credential")) == len(old.keys)
    assert raw_rows(usage, "SELECT version_num FROM alembic_version") == [("0001",)]
    new = set(old.files()) - set(before)
    assert new == {main.name, usage.name, "master.key"}
    main.replace(old.config.database)
    again = upgrade(old.config, who="me", backup=False)
    assert (again.was, again.backups, again.master_key) == ("0001", (), None)
    assert decides()["good", "GET"] == "allowed"


def test_the_command_lines_client_is_made_once_and_keeps_what_was_decided_of_it(old):
    upgrade(old.config, who="me", backup=True)
    asked = "SELECT public, first_party, disabled_at FROM oauth_client WHERE id = 'latchgate-cli'"
    assert raw_rows(old.config.database, asked) == [(1, 1, None)]
    alter(old.config.database, "UPDATE oauth_client SET disabled_at = 1.0, scopes = '[]'")
    upgrade(old.config, who="me", backup=True)
    assert raw_rows(old.config.database, asked) == [(1, 1, 1.0)]
    ((scopes,),) = raw_rows(old.config.database, "SELECT scopes FROM oauth_client")
    assert "own:account.read" in json.loads(scopes)


def test_the_journal_holds_and_can_be_signed(old):
    upgrade(old.config, who="me", backup=True)
    store = Store(old.config.database, clock=time.time)
    head = audit.head(store, old.config.master_key, now=time.time())
    store.close()
    report = verify_database(old.config.database, against=head)
    # The keys, and the command line's client with its application.
    assert (report.sound, report.rows) == (True, 5 + KEYS + 2)
    last = raw_rows(old.config.database, "SELECT actor, action FROM journal ORDER BY n DESC")[0]
    assert last == ("local:me", "signing_key.create")


def test_a_second_run_has_nothing_to_do(old):
    upgrade(old.config, who="me", backup=True)
    before = old.files()
    done = upgrade(old.config, who="me", backup=True)
    assert (done.was, done.backups, done.signing_keys, done.master_key) == (
        SCHEMA_HEAD,
        (),
        (),
        None,
    )
    assert old.files() == before


def test_nothing_is_changed_while_somebody_uses_the_database(old):
    bell = Bell.beside(old.config.database)
    slot = bell.join(7, 0)
    before = old.files()
    with pytest.raises(UpgradeError, match=rf"in use by process {os.getpid()} .*stop it first"):
        upgrade(old.config, who="me", backup=True)
    assert old.files() == before
    bell.leave(slot, 7)
    bell.close()
    upgrade(old.config, who="me", backup=True)


def test_a_master_key_that_others_can_read_stops_it_before_anything_changed(old):
    old.config.master_key.write_text("x")
    old.config.master_key.chmod(0o644)
    before = old.files()
    with pytest.raises(KeyringError, match="can be read by others"):
        upgrade(old.config, who="me", backup=True)
    assert old.files() == before


def test_a_copy_that_cannot_be_written_stops_it_before_anything_changed(old, monkeypatch):
    monkeypatch.setattr(upgrades, "_STAMP", "now")
    (old.folder / "latchgate-usage.db.now-schema-0001").write_text("in the way")
    before = old.files()
    with pytest.raises(FileExistsError):
        upgrade(old.config, who="me", backup=True)
    assert old.files() == before


def test_a_failed_migration_leaves_the_database_as_it_was(old):
    # An index of the name that the migration makes.
    alter(old.config.database, "CREATE INDEX account_listing ON account (name)")
    before = raw_rows(old.config.database, "SELECT name, sql FROM sqlite_master")
    with pytest.raises(StoreError, match="took back what it did"):
        upgrade(old.config, who="me", backup=True)
    assert raw_rows(old.config.database, "SELECT name, sql FROM sqlite_master") == before


@pytest.mark.parametrize("which", ["database", "usage_database"])
def test_what_is_no_database_of_ours_is_told_and_left_alone(old, which):
    file = getattr(old.config, which)
    file.unlink()
    for content in (None, b"", b"text" * 1000):
        if content is not None:
            file.write_bytes(content)
        before = old.files()
        with pytest.raises((UpgradeError, StoreError), match=file.name):
            upgrade(old.config, who="me", backup=True)
        assert old.files() == before


def test_a_newer_database_is_left_alone(old):
    alter(old.config.database, "UPDATE alembic_version SET version_num = '9999'")
    alter(old.config.database, "CREATE TABLE schema_window (id INTEGER, oldest TEXT)")
    alter(old.config.database, "INSERT INTO schema_window VALUES (1, '9999')")
    before = old.files()
    with pytest.raises(NotMigratedError, match="a newer latchgate wrote it"):
        upgrade(old.config, who="me", backup=True)
    assert old.files() == before


def test_a_newer_database_that_this_program_can_work_with_is_not_its_own_to_migrate(old):
    upgrade(old.config, who="me", backup=False)
    alter(old.config.database, "UPDATE alembic_version SET version_num = '9999'")
    before = old.files()
    with pytest.raises(UpgradeError, match=r"has schema 9999, .* Nothing was changed"):
        upgrade(old.config, who="me", backup=True)
    assert old.files() == before
    assert len(upgrades.listed_signing_keys(old.config)) == KEYS


def test_a_lost_master_key_is_replaced_with_new_signing_keys(old):
    upgrade(old.config, who="me", backup=False)
    with pytest.raises(FileExistsError):
        replace_signing_keys(old.config, who="me", new_master=True)
    old.config.master_key.unlink()
    with pytest.raises(KeyringError, match="is not there"):
        replace_signing_keys(old.config, who="me", new_master=False)
    made = replace_signing_keys(old.config, who="me", new_master=True)
    store = Store(old.config.database, clock=time.time)
    assert audit.head(store, old.config.master_key, now=time.time()).key_id == made[0].id
    store.close()
    listed = upgrades.listed_signing_keys(old.config)
    in_use = {one["id"] for one in listed if one["retired_at"] is None}
    assert in_use == {key.id for key in made}
    assert len(listed) == 2 * KEYS


def test_a_new_master_key_that_serves_nothing_is_taken_back(old):
    upgrade(old.config, who="me", backup=False)
    old.config.master_key.unlink()
    trigger = "CREATE TRIGGER no BEFORE INSERT ON signing_key BEGIN SELECT RAISE(FAIL, 'no'); END"
    alter(old.config.database, trigger)
    with pytest.raises(ConflictError):
        replace_signing_keys(old.config, who="me", new_master=True)
    assert not old.config.master_key.exists()


def test_an_old_database_is_told_to_migrate_by_whoever_meets_it(old):
    with pytest.raises(NotMigratedError, match="run latchgate migrate"):
        replace_signing_keys(old.config, who="me", new_master=False)
    with closing(connect(old.config.database, durable=True)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
