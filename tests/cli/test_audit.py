"""`latchgate audit`, as transcripts against a running server and on its files."""

from __future__ import annotations

import json
import time

import pytest
from tests.manage.journals import alter
from tests.world import latchgate, mode

from latchgate.manage.segments import write_next
from latchgate.store.journal import Store

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def head(server, tmp_path_factory):
    """A head that was kept."""
    file = tmp_path_factory.mktemp("head") / "head.json"
    file.write_text(server.cli("audit", "head").out)
    return file


def verify(server, *more):
    return server.cli("audit", "verify", "--config", str(server.config), *more)


def test_changes_are_listed_as_a_table_and_as_json(server):
    made = server.create()
    done = server.cli("audit", "list", "--record", made["id"])
    assert done.code == 0
    title, line = done.out.splitlines()
    assert title.split() == ["N", "AT", "ACTOR", "ADDRESS", "ACTION", "RECORD"]
    assert line.endswith(f"127.0.0.1  key.create  {made['id']}")
    (row,) = server.cli("audit", "list", "--record", made["id"], "--json").json["rows"]
    assert row["detail"]["after"]["name"] == made["name"]
    assert "add --after 1" in server.cli("audit", "list", "--limit", "1").err


def test_a_time_that_is_none_is_told(server):
    done = server.cli("audit", "list", "--since", "yesterday")
    assert (done.code, done.out) == (1, "")
    assert "since: 'yesterday' is not a time" in done.err


def test_a_kept_head_fits_here_over_the_api_and_in_an_export(server, head, tmp_path):
    server.create()
    export = tmp_path / "export.jsonl"
    assert server.cli("audit", "export", "--to", str(export)).code == 0
    assert mode(export) == 0o600
    assert server.cli("audit", "export").out.count("\n") == export.read_text().count("\n")
    public = json.loads(head.read_text())["public_key"]
    for more in (
        (),
        ("--against", str(head)),
        ("--against", str(head), "--public-key", public),
        ("--remote", "--against", str(head)),
        ("--export", str(export), "--against", str(head), "--public-key", public),
    ):
        done = verify(server, *more)
        assert (done.code, done.err) == (0, "")
        assert "The chain holds" in done.out
        told = verify(server, *more, "--json")
        assert (told.code, told.json["sound"]) == (0, True)


def test_an_export_is_never_written_over_a_file(server, tmp_path):
    (tmp_path / "e").write_text("kept")
    done = server.cli("audit", "export", "--to", str(tmp_path / "e"))
    assert (done.code, done.err) == (1, f"latchgate: {tmp_path / 'e'}: File exists\n")
    assert (tmp_path / "e").read_text() == "kept"


def test_what_was_done_to_the_journal_is_told_and_exits_with_1(server, head):
    alter(server.folder / "latchgate.db", "UPDATE journal SET actor = 'x' WHERE n = 2")
    try:
        for more in ((), ("--remote",), ("--against", str(head))):
            done = verify(server, *more)
            assert (done.code, done.out) == (1, "")
            assert "the journal is not what was written:\n  number 2: was altered" in done.err
            told = verify(server, *more, "--json")
            assert told.code == 1
            assert told.json["faults"][0]["n"] == 2
    finally:
        alter(server.folder / "latchgate.db", "UPDATE journal SET actor = 'local:init' WHERE n = 2")
    assert verify(server).code == 0


def test_what_is_no_head_no_export_or_no_database_is_told(server, head, tmp_path):
    (tmp_path / "text").write_text("text")
    for more, says in (
        (("--against", str(tmp_path / "text")), "is no signed head"),
        (("--against", str(tmp_path / "missing")), "No such file"),
        (("--export", str(tmp_path / "missing")), "No such file"),
        (("--remote", "--export", str(head)), "contradict"),
        (("--public-key", "x"), "give --against or --export"),
    ):
        done = verify(server, *more)
        assert (done.code, done.out) == (2, "")
        assert says in done.err
    (tmp_path / "latchgate.toml").write_text("")
    done = latchgate("audit", "verify", "--config", str(tmp_path / "latchgate.toml"))
    assert (done.code, done.out) == (1, "")
    assert "does not exist; run latchgate init" in done.err


def test_a_lost_master_key_is_told_with_what_still_works(server, tmp_path):
    server.folder.joinpath("master.key").rename(tmp_path / "elsewhere")
    try:
        for verb in (["head"], ["export"], ["export", "--to", str(tmp_path / "new")]):
            done = server.cli("audit", *verb)
            assert (done.code, done.out) == (1, "")
            assert "is not there" in done.err
            assert "decided as before" in done.err
        assert not (tmp_path / "new").exists()
    finally:
        (tmp_path / "elsewhere").rename(server.folder / "master.key")


def test_a_folder_of_segments_is_checked_without_a_server(server, tmp_path):
    folder = tmp_path / "segments"
    store = Store(server.folder / "latchgate.db", clock=time.time)
    try:
        written = write_next(store, server.folder / "master.key", folder, now=time.time())
    finally:
        store.close()
    assert written is not None
    check = ("audit", "verify", "--directory", str(folder))
    done = server.cli(*check, "--public-key", written.head.public_key)
    assert (done.code, done.err) == (0, "")
    assert f"The segments hold, signed by {written.head.key_id}." in done.out
    assert server.cli(*check, "--json").json["segments"] == 1
    file = written.name.rows(folder)
    file.write_bytes(file.read_bytes().replace(b"key.create", b"key.revoke", 1))
    done = server.cli(*check)
    assert (done.code, done.out) == (1, "")
    assert f"{file.name}: was altered" in done.err
    assert server.cli(*check, "--remote").code == 2
    assert "No such file" in server.cli("audit", "verify", "--directory", "/no/such").err
