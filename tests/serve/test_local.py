"""What is done on the machine itself; the command line's own words are in tests/cli."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from tests.world import WAYSCLOUD, mode, raw_rows

from latchgate.config import load
from latchgate.core.policy_faults import PolicyError
from latchgate.serve import local
from latchgate.store.errors import ConflictError

ADDRESSES: dict[str, Any] = {
    "api": "127.0.0.1:1",
    "console": "127.0.0.1:2",
    "verify": "127.0.0.1:3",
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lg/latchgate.toml"


def initialize(file):
    return local.initialize(file, chosen=["wayscloud"], database=True, **ADDRESSES)


def test_a_new_latchgate_is_what_was_asked_for(file):
    made = initialize(file)
    assert made.config == load(file)
    assert {str(made.config.api), str(made.config.console), str(made.config.verify)} == set(
        ADDRESSES.values()
    )
    profile = tomllib.loads(made.config.profile.read_text())
    assert profile == {"url": "http://127.0.0.1:1", "token": made.first.token.reveal()}


def test_only_its_owner_may_read_what_was_made(file):
    made = initialize(file)
    for path in (
        file,
        made.config.profile,
        made.config.database,
        made.config.usage_database,
        made.config.policy[0],
    ):
        assert mode(path) == 0o600


def test_databases_hold_their_own_part_only(file):
    made = initialize(file)
    names = "SELECT name FROM sqlite_master WHERE type = 'table'"
    main = {name for (name,) in raw_rows(made.config.database, names)}
    usage = {name for (name,) in raw_rows(made.config.usage_database, names)}
    assert main & usage == {"alembic_version", "schema_window"}
    assert "credential" in main
    assert "refusal" in usage


def test_first_records_are_made_once_in_one_database(file):
    """Two who set up one PostgreSQL at once both find it empty; the second gets nothing."""
    made = initialize(file)
    before = file.read_text()
    made.config.master_key.unlink()
    with pytest.raises(ConflictError, match="holds records already"):
        local._first_records(made.config)
    assert raw_rows(made.config.database, "SELECT COUNT(*) FROM tenant") == [(1,)]
    assert file.read_text() == before


@pytest.mark.parametrize("step", ["migrate", "_first_records", "_profile"])
def test_whatever_fails_half_way_is_taken_back(file, monkeypatch, step):
    def fail(*_args):
        raise RuntimeError("no")

    monkeypatch.setattr(local, step, fail)
    with pytest.raises(RuntimeError):
        initialize(file)
    assert [path for path in file.parent.rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    initialize(file)


def test_a_recovered_token_takes_the_place_of_the_one_in_the_profile(file):
    made = initialize(file)
    secret, unwritten = local.recover(made.config, who="me")
    token = secret.reveal()
    assert unwritten is None
    assert tomllib.loads(made.config.profile.read_text())["token"] == token
    assert token != made.first.token.reveal()


def test_policy_files_are_read_by_name(file):
    made = initialize(file)
    assert local.policy_files(made.config) == {"wayscloud.toml": WAYSCLOUD}
    made.config.policy[0].unlink()
    with pytest.raises(OSError, match=r"wayscloud\.toml"):
        local.policy_files(made.config)


def test_policy_files_are_checked_with_the_programs_own():
    assert {"manage", "storage"} <= set(local.check_policy({"wayscloud.toml": WAYSCLOUD}).services)
    with pytest.raises(PolicyError):
        local.check_policy({"bad.toml": "x"})
