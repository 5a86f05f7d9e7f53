"""`latchgate backup`, `restore`, `export` and `load`, as transcripts."""

from __future__ import annotations

import pytest
from tests.world import Server, latchgate


@pytest.fixture
def made(tmp_path):
    return Server.made(tmp_path / "lg")


def on(server, *args):
    return latchgate(*args, "--config", str(server.config), cwd=server.folder)


def test_a_backup_is_made_checked_and_restored(made):
    done = on(made, "backup", "b.tar")
    assert (done.code, done.err) == (0, "")
    assert "The master key is not in it" in done.out
    again = on(made, "backup", "b.tar")
    assert (again.code, again.out) == (1, "")
    assert "b.tar already exists" in again.err
    looked = latchgate("backup", "verify", "b.tar", "--json", cwd=made.folder)
    assert looked.json["journal"]["sound"] is True
    assert on(made, "signing-key", "replace").code == 0
    told = on(made, "restore", "b.tar", "--dry-run")
    assert "has 7 changes that the backup does not have" in told.out
    assert "Nothing was changed" in told.out
    done = on(made, "restore", "b.tar", "--json")
    assert (done.code, done.err) == (0, "")
    assert len(done.json["replaced"]["lost"]) == 7
    assert done.json["unsigned"] is None


def test_what_is_no_backup_or_export_is_told_in_one_line(made):
    (made.folder / "x").write_text("not one")
    (made.folder / "latchgate.db").rename(made.folder / "away.db")
    for verb in (("backup", "verify", "x"), ("restore", "x"), ("load", "x")):
        args = verb if verb[0] == "backup" else (*verb, "--config", str(made.config))
        done = latchgate(*args, cwd=made.folder)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("latchgate: x")
    assert not (made.folder / "latchgate.db").exists()
    missing = on(made, "export", "all.jsonl")
    assert missing.code == 1
    assert "does not exist" in missing.err


@pytest.mark.e2e
@pytest.mark.enable_socket
def test_a_database_in_use_is_not_replaced(made):
    made.start()
    try:
        assert on(made, "backup", "b.tar").code == 0
        done = on(made, "restore", "b.tar")
        assert (done.code, done.out) == (1, "")
        assert f"in use by process {made.pid}" in done.err
    finally:
        made.kill()
