"""The verbs of the machine itself over PostgreSQL, as transcripts."""

from __future__ import annotations

import json
import shutil
import tomllib

import psycopg
import pytest
from tests.world import Server, latchgate, mode

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ANYWHERE = "127.0.0.1:0"
LISTEN = ("--listen", ANYWHERE, "--console-listen", ANYWHERE, "--verify-listen", ANYWHERE)


class Machine:
    """A folder with a configuration for one PostgreSQL database, and what `init` told."""

    def __init__(self, folder, database):
        self.folder = folder
        self.database = database
        self.told = {}

    def run(self, *args, **env):
        done = latchgate(
            *args, "--config", str(self.folder / "latchgate.toml"), cwd=self.folder, env=env
        )
        password = self.database.uri.split(":")[2].split("@")[0]
        assert password not in done.out + done.err
        return done

    def rows(self, statement):
        with psycopg.connect(self.database.socket_uri) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def machine(postgres, tmp_path_factory):
    with postgres.database() as database:
        made = Machine(tmp_path_factory.mktemp("one") / "lg", database)
        made.folder.mkdir()
        done = made.run("init", "--database", database.uri, *LISTEN, "--json")
        assert (done.code, done.err) == (0, "")
        made.told = done.json
        yield made


@pytest.fixture
def empty(postgres, postgres_database, tmp_path):
    made = Machine(tmp_path / "new", postgres_database)
    made.folder.mkdir()
    return made


def test_init_makes_a_latchgate_there_and_no_file_of_its_own(machine):
    assert {one.name for one in machine.folder.iterdir()} == {
        *("latchgate.toml", "master.key", "profile.toml", "providers"),
    }
    file = machine.folder / "latchgate.toml"
    assert mode(file) == 0o600
    told = tomllib.loads(file.read_text())
    assert (told["database"], told.get("usage_database")) == (machine.database.uri, None)
    assert machine.rows("SELECT name FROM account") == [("admin",)]
    assert machine.rows("SELECT count(*) FROM use_total") == [(0,)]


def test_a_database_that_is_in_use_is_not_made_anew(machine, tmp_path):
    other = Machine(tmp_path / "two", machine.database)
    other.folder.mkdir()
    before = machine.rows("SELECT n, hash FROM journal_head")
    done = other.run("init", "--database", machine.database.uri)
    assert (done.code, done.out) == (1, "")
    assert "holds a Latchgate already. For one more node of it copy" in done.err
    assert list(other.folder.iterdir()) == []
    assert machine.rows("SELECT n, hash FROM journal_head") == before


def test_the_journal_is_verified_there(machine):
    done = machine.run("audit", "verify", "--json")
    assert (done.code, done.err) == (0, "")
    (n, digest), *_ = machine.rows("SELECT n, hash FROM journal_head")
    assert (done.json["sound"], done.json["n"], done.json["hash"]) == (True, n, digest.hex())


def test_an_operator_without_a_token_gets_a_new_one(machine):
    before = machine.rows("SELECT count(*) FROM credential")[0][0]
    done = machine.run("recover", "--json")
    assert (done.code, done.err) == (0, "")
    profile = tomllib.loads((machine.folder / "profile.toml").read_text())
    assert profile["token"] == done.json["token"]
    assert machine.rows("SELECT count(*) FROM credential") == [(before + 1,)]


def test_migrate_has_nothing_to_do_and_makes_no_copies(machine):
    done = machine.run("migrate", "--json")
    assert (done.code, done.err) == (0, "")
    assert (done.json["was"], done.json["backups"], done.json["signing_keys"]) == (
        done.json["now"],
        [],
        [],
    )


def test_signing_keys_are_replaced(machine):
    done = machine.run("signing-key", "replace", "--json")
    assert done.code == 0, done.err
    new = {one["id"] for one in done.json["keys"]}
    in_use = "SELECT id FROM signing_key WHERE retired_at IS NULL"
    assert new <= {name for (name,) in machine.rows(in_use)}


def test_passwords_of_another_system_are_imported(machine):
    (machine.folder / "users").write_text("ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
    done = machine.run(
        *("import", "users", "--format", "htpasswd", "--create-users"),
        *("--kind", "latchgate.account_password"),
        *("--user-role", "administrator", "--project", "default", "--json"),
    )
    assert (done.code, done.json["imported"]) == (0, 1), done.err + done.out
    assert machine.rows("SELECT count(*) FROM account WHERE name = 'ada'") == [(1,)]


def test_backup_names_the_tools_that_do_it_there(machine):
    done = machine.run("backup", "copy.tar")
    assert (done.code, done.out) == (1, "")
    for said in ("pg_dump --format=custom", "pg_restore", "latchgate restored", "master.key"):
        assert said in done.err
    assert not (machine.folder / "copy.tar").exists()


def test_who_comes_by_a_restore_of_the_database_begins_anew(machine):
    (before,) = machine.rows("SELECT epoch FROM journal_head")[0]
    verifier = (
        "INSERT INTO verifier VALUES ('x', 'node', 'n1', 7, '1', '0008', 2.0, FALSE, 1, 1, 'live',"
        " 0.0, 0.0, NULL)"
    )
    with psycopg.connect(machine.database.socket_uri) as connection:
        connection.execute(verifier)
        connection.execute("UPDATE promise SET settled = TRUE")
    done = machine.run("restored", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["before"] == before
    ((epoch, n),) = machine.rows("SELECT epoch, n FROM journal_head")
    assert (done.json["epoch"], done.json["n"]) == (epoch, n)
    assert epoch != before
    assert machine.rows("SELECT settled FROM promise") == [(False,)]
    assert machine.rows("SELECT state FROM verifier") == [("leaving",)]
    ((action, actor, detail),) = machine.rows(
        "SELECT action, actor, detail FROM journal ORDER BY n DESC LIMIT 1"
    )
    assert (action, actor.partition(":")[0]) == ("database.restore", "local")
    assert json.loads(detail)["epoch"] == {"before": before, "after": epoch}
    assert machine.run("audit", "verify").code == 0
    with psycopg.connect(machine.database.socket_uri) as connection:
        connection.execute("DELETE FROM verifier")


def moved(source, target, file):
    """Export one Latchgate and load it where another is to be."""
    file.unlink(missing_ok=True)
    done = source("export", str(file), "--journal")
    assert done.code == 0, done.err
    done = target("load", str(file), "--json")
    assert (done.code, done.err) == (0, "")
    return done.json


def test_a_latchgate_moves_from_sqlite_to_postgresql_and_back(empty, tmp_path):
    old = Server.made(tmp_path / "old")

    def on_sqlite(*args):
        return latchgate(*args, "--config", str(old.config))

    made = empty.run("init", "--no-database", "--database", empty.database.uri, *LISTEN)
    assert made.code == 0, made.err
    shutil.copy(old.folder / "master.key", empty.folder)
    told = moved(on_sqlite, empty.run, tmp_path / "there.jsonl")
    assert told["unsigned"] is None
    assert empty.run("audit", "verify").code == 0
    again = empty.run("load", str(tmp_path / "there.jsonl"))
    assert again.code == 1
    assert "holds a Latchgate already" in again.err

    back = Server.made(tmp_path / "back")
    for name in ("latchgate.db", "latchgate-usage.db"):
        (back.folder / name).unlink()
    shutil.copy(old.folder / "master.key", back.folder)
    told = moved(
        empty.run,
        lambda *args: latchgate(*args, "--config", str(back.config)),
        tmp_path / "back.jsonl",
    )
    assert told["unsigned"] is None
    assert told["rows"]["credential"] == empty.rows("SELECT count(*) FROM credential")[0][0] == 2


def test_what_can_not_be_reached_is_named_without_its_password(tmp_path):
    (tmp_path / "latchgate.toml").write_text(
        'database = "postgresql://ada:hunter2@127.0.0.1:1/lg"\n'
    )
    for verb in (
        ("serve",),
        ("audit", "verify"),
        ("load", "latchgate.toml"),
    ):
        done = latchgate(*verb, "--config", str(tmp_path / "latchgate.toml"), cwd=tmp_path)
        assert (done.code, done.out) == (1, ""), verb
        assert done.err.count("postgresql://ada@127.0.0.1:1/lg") == 1, done.err
        assert "refused" in done.err
        assert "hunter2" not in done.err
    done = latchgate(
        *("init", "--config", str(tmp_path / "new/latchgate.toml")),
        *("--database", "postgresql://ada:hunter2@127.0.0.1:1/lg"),
    )
    assert (done.code, done.out) == (1, "")
    assert "no configuration was written" in done.err
    assert "hunter2" not in done.err
    assert not (tmp_path / "new").exists()


def test_what_is_no_postgresql_uri_is_a_wrong_call(tmp_path):
    file = tmp_path / "new/latchgate.toml"
    done = latchgate("init", "--config", str(file), "--database", "latchgate.db")
    assert done.code == 2
    assert "postgresql://" in done.err
    assert not file.parent.exists()
