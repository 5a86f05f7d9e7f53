"""`latchgate migrate` and `latchgate signing-key`, as transcripts."""

from __future__ import annotations

import re

import pytest
from tests.manage.journals import alter
from tests.world import Server, latchgate

from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD


@pytest.fixture
def made(tmp_path):
    return Server.made(tmp_path / "lg")


def on(server, *args):
    return latchgate(*args, "--config", str(server.config))


@pytest.fixture
def old(tmp_path):
    """A configuration over databases of the first schema, empty but for their journal's head."""
    (tmp_path / "latchgate.toml").write_text("")
    migrate(tmp_path / "latchgate.db", "main", revision="0001")
    migrate(tmp_path / "latchgate-usage.db", "usage", revision="0001")
    return tmp_path / "latchgate.toml"


def test_serve_and_recover_name_the_verb_that_an_old_database_needs(old):
    for verb in ("serve", "recover"):
        done = latchgate(verb, "--config", str(old))
        assert (done.code, done.out) == (1, "")
        assert f"has schema 0001, this program needs {SCHEMA_HEAD}" in done.err
        assert "run latchgate migrate" in done.err


def test_migrating_says_what_it_did(old):
    done = latchgate("migrate", "--config", str(old))
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^was +schema 0001$", done.out, re.MULTILINE)
    assert re.search(rf"^now +schema {SCHEMA_HEAD}$", done.out, re.MULTILINE)
    assert re.search(r"^backups +\S+latchgate\.db\.\w+-schema-0001, \S+$", done.out, re.MULTILINE)
    assert "Keep a copy of" in done.out
    assert latchgate("migrate", "--config", str(old)).out.startswith("Nothing to do")


def test_migrating_prints_json_for_programs_and_can_leave_out_the_copies(old):
    told = latchgate("migrate", "--config", str(old), "--no-backup", "--json").json
    assert (told["was"], told["now"], told["backups"]) == ("0001", SCHEMA_HEAD, [])
    assert told["master_key"] == str(old.with_name("master.key"))


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_database_in_use_is_not_migrated(made):
    made.start()
    try:
        alter(made.folder / "latchgate.db", "UPDATE alembic_version SET version_num = '0001'")
        done = on(made, "migrate")
        assert (done.code, done.out) == (1, "")
        assert f"in use by process {made.pid}" in done.err
    finally:
        made.kill()


def test_signing_keys_are_listed_and_replaced(made):
    before = on(made, "signing-key", "list", "--json").json["keys"]
    # What others check has a second key, which they are told of before it signs.
    assert [one["purpose"] for one in before] == ["audit", "oauth", "oauth", "token"]
    assert {one["retired_at"] for one in before} == {None}
    done = on(made, "signing-key", "replace")
    assert (done.code, done.err) == (0, "")
    listed = on(made, "signing-key", "list").out.splitlines()
    assert len(listed) == 8
    new = on(made, "signing-key", "replace", "--json").json["keys"]
    assert [one["purpose"] for one in new] == ["audit", "token", "oauth"]


def test_a_lost_master_key_is_told_with_the_way_out(made):
    there = on(made, "signing-key", "replace", "--new-master")
    assert (there.code, there.out) == (1, "")
    assert "master.key already exists; move it away first" in there.err
    (made.folder / "master.key").unlink()
    lost = on(made, "signing-key", "replace")
    assert (lost.code, lost.out) == (1, "")
    assert "is not there" in lost.err
    done = on(made, "signing-key", "replace", "--new-master")
    assert done.code == 0
    assert (made.folder / "master.key").exists()
