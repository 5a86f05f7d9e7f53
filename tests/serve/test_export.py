"""`export` and `load`: what was exported opens the same doors, and a bad line is told by number."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from tests.world import Server, chain_faults, latchgate, mode, raw_rows

from latchgate.config import load
from latchgate.manage.chain import verify_database
from latchgate.manage.export_form import FORMAT
from latchgate.serve.backup import BackupError
from latchgate.serve.export import APART, LEFT_OUT, export, tables
from latchgate.serve.load import load_export
from latchgate.store import schema
from latchgate.store.migrate import migrate
from latchgate.store.schema_window import SCHEMA_HEAD


@pytest.fixture
def made(tmp_path):
    """An installation that `init` made, and where it is exported to."""
    return Server.made(tmp_path / "lg")


def written(server, *, journal=False):
    file = server.folder / "all.jsonl"
    file.unlink(missing_ok=True)
    return file, export(load(server.config), file, journal=journal)


def empty(folder):
    """A configuration without any database."""
    folder.mkdir()
    (folder / "latchgate.toml").write_text("")
    return load(folder / "latchgate.toml")


def lines_of(file):
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def test_every_table_of_the_database_is_exported_or_left_out_for_a_reason():
    named = {table.name for table in tables(journal=False)}
    assert named | set(LEFT_OUT) | APART == set(schema.main.tables)
    assert not named & ({*LEFT_OUT} | APART)
    assert all(LEFT_OUT.values())
    assert {table.name for table in tables(journal=True)} == named | {"journal"}


def test_an_export_is_one_private_file_whose_last_line_counts_and_covers_it(made):
    file, done = written(made)
    assert mode(file) == 0o600
    header, *rows, end = lines_of(file)
    assert (header["format"], header["schema"]) == (FORMAT, SCHEMA_HEAD)
    assert (header["n"],) == raw_rows(made.folder / "latchgate.db", "SELECT n FROM journal_head")[0]
    assert end["rows"] == len(rows) == sum(done.rows.values())
    before = file.read_bytes().rstrip(b"\n").rpartition(b"\n")[0] + b"\n"
    assert end["sha256"] == hashlib.sha256(before).hexdigest()
    for name in header["tables"]:
        (count,) = raw_rows(made.folder / "latchgate.db", f"SELECT COUNT(*) FROM {name}")[0]  # noqa: S608
        assert done.rows[name] == count
    assert made.token.encode() not in file.read_bytes()
    assert (made.folder / "master.key").read_bytes().strip() not in file.read_bytes()


def test_an_export_overwrites_nothing(made):
    file = made.folder / "all.jsonl"
    file.write_text("mine")
    with pytest.raises(FileExistsError):
        export(load(made.config), file, journal=False)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("journal", [True, False])
def test_what_was_loaded_exports_the_same_records(made, tmp_path, journal):
    file, _ = written(made, journal=journal)
    config = empty(tmp_path / "new")
    done = load_export(config, file, who="me")
    assert mode(config.database) == mode(config.usage_database) == 0o600
    assert chain_faults(config.database) == []
    again = tmp_path / "again.jsonl"
    export(config, again, journal=journal)
    first, second = lines_of(file), lines_of(again)

    def records(lines):
        kept = [one for one in lines[1:-1] if one["table"] != "journal"]
        # Without the journal, numbers of changes begin anew.
        left = {} if journal else {"version": None}
        return [{**one["row"], **left, "table": one["table"]} for one in kept]

    assert records(first) == records(second)
    assert second[0]["epoch"] == done.epoch != first[0]["epoch"]
    old = first[0]["n"] if journal else 0
    assert done.n == second[0]["n"] == old + 1
    report = verify_database(config.database)
    assert (report.sound, report.rows) == (True, done.n)


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_the_same_keys_and_passwords_open_the_same_doors_on_a_new_machine(made, tmp_path):
    made.start()
    kept, gone = made.create(name="kept"), made.create(name="gone")
    assert made.call("DELETE", f"/manage/v1/keys/{gone['id']}").status == 200
    done = made.cli("export", "all.jsonl", "--json", "--config", str(made.config))
    assert done.code == 0, done.err
    made.stop()

    new = tmp_path / "new"
    anywhere = "127.0.0.1:0"
    done = latchgate(
        *("init", "--no-database", "--config", str(new / "latchgate.toml")),
        *("--listen", anywhere, "--console-listen", anywhere, "--verify-listen", anywhere),
    )
    assert (done.code, done.err) == (0, "")
    assert not (new / "latchgate.db").exists()
    shutil.copy(made.folder / "master.key", new / "master.key")
    loading = ("load", str(made.folder / "all.jsonl"), "--config", str(new / "latchgate.toml"))
    done = latchgate(*loading, "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["unsigned"] is None
    again = latchgate(*loading)
    assert again.code == 1
    assert "already exists" in again.err

    server = Server(new, made.token, made.first)
    server.start()
    try:
        assert server.allows(kept["key"])
        assert server.verdict(gone["key"])["allowed"] is False
        # The administrator's token and their password, as before.
        assert server.call("GET", f"/manage/v1/keys/{kept['id']}").status == 200
        sent = {
            "current_password": made.first["admin"]["password"],
            "new_password": "wildly improbable words 7",
            "namespace": "latchgate",
        }
        assert server.call("PUT", "/manage/v1/account/password", sent).status == 200
        assert server.call("GET", "/manage/v1/audit/head").status == 200
        assert server.call("DELETE", f"/manage/v1/keys/{kept['id']}").status == 200
        assert server.verdict(kept["key"])["allowed"] is False
    finally:
        server.kill()


def put(lines):
    """Write lines with an end that agrees with them."""
    text = b"".join(line + b"\n" for line in lines)
    end = {"rows": len(lines) - 1, "sha256": hashlib.sha256(text).hexdigest()}
    return text + json.dumps(end, separators=(",", ":")).encode() + b"\n"


def with_row(lines, at, **change):
    told = json.loads(lines[at])
    told["row"] |= change
    return [*lines[:at], json.dumps(told).encode(), *lines[at + 1 :]]


def first_of(lines, table):
    return next(at for at, line in enumerate(lines) if f'"table":"{table}"}}'.encode() in line)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda all_: b"\n".join(all_) + b"\n", "was cut, or never finished"),
        (lambda all_: put(all_)[:-3], "is cut"),
        (lambda all_: put(all_) + b"\n", "comes after the end"),
        (lambda all_: put(all_).replace(b"default", b"Default", 1), "is not what was written"),
        (lambda all_: put(all_[1:]), ":1: is no export"),
        (lambda _all: b"", "is no header"),
        (lambda _all: b"\xff\n", "is no header"),
        (
            lambda all_: put([all_[0].replace(f'"{SCHEMA_HEAD}"'.encode(), b'"0000"'), *all_[1:]]),
            "schema 0000",
        ),
        (
            lambda all_: put([all_[0].replace(f'"{SCHEMA_HEAD}"'.encode(), b'"9999"'), *all_[1:]]),
            "schema 9999",
        ),
        (
            lambda all_: put([all_[0].replace(b'"role",', b'"role","x",'), *all_[1:]]),
            "no table",
        ),
        (lambda all_: put([*all_, b'{"table":"journal_head","row":{}}']), "none of the tables"),
        (
            lambda all_: put([*all_, b'{"table":"tenant","row":{"id":"x"}}']),
            "must have the columns",
        ),
        (lambda all_: put([*all_, b"[]"]), "neither a row nor the end"),
        (lambda all_: put([*all_, all_[1]]), "UNIQUE"),
        (
            lambda all_: put(with_row(all_, first_of(all_, "credential"), digest="!")),
            "digest is no base64",
        ),
        (
            lambda all_: put(with_row(all_, first_of(all_, "credential"), owner_id="nobody")),
            "is damaged",
        ),
    ],
)
def test_what_is_wrong_with_an_export_is_told_and_makes_no_database(made, tmp_path, change, why):
    file, _ = written(made)
    lines = file.read_bytes().splitlines()[:-1]
    file.write_bytes(change(lines))
    config = empty(tmp_path / "new")
    with pytest.raises(Exception, match=why) as told:
        load_export(config, file, who="me")
    assert type(told.value).__name__ in {"BackupError", "StoreError"}
    assert {one.name for one in config.file.parent.iterdir()} == {"latchgate.toml"}


def test_a_journal_that_was_altered_in_the_file_is_found(made, tmp_path):
    file, _ = written(made, journal=True)
    lines = file.read_bytes().splitlines()[:-1]
    file.write_bytes(put(with_row(lines, first_of(lines, "journal"), actor="another")))
    with pytest.raises(BackupError, match="at number 1: was altered"):
        load_export(empty(tmp_path / "new"), file, who="me")
    last = max(at for at, line in enumerate(lines) if b'"table":"journal"' in line)
    file.write_bytes(put([*lines[:last], *lines[last + 1 :]]))
    with pytest.raises(BackupError, match="does not end where its header says"):
        load_export(empty(tmp_path / "other"), file, who="me")


def test_an_export_of_an_older_schema_is_migrated(tmp_path):
    database = tmp_path / "old.db"
    migrate(database, "main", revision="0003")
    header = {
        "format": FORMAT,
        "program": "0",
        "schema": "0003",
        "at": "2026-01-01T00:00:00Z",
        "epoch": "e",
        "n": 7,
        "hash": "00" * 32,
        "tables": ["tenant"],
    }
    row = {"id": "t-1", "name": "one", "active": True, "created_at": 1.5, "version": 7}
    lines = [json.dumps(one).encode() for one in (header, {"table": "tenant", "row": row})]
    file = tmp_path / "old.jsonl"
    file.write_bytes(put(lines))
    config = empty(tmp_path / "new")
    load_export(config, file, who="me")
    told = raw_rows(config.database, "SELECT id, active, version FROM tenant")
    assert told == [("t-1", 1, 1)]
    assert raw_rows(config.database, "SELECT version_num FROM alembic_version") == [(SCHEMA_HEAD,)]
