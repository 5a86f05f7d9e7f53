"""The access log's writer: whole lines, no secret, new files in time, and what a full disk does."""

from __future__ import annotations

import json
import logging
import os
import resource
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from tests.store.accesses import DAY, NOON, Accesses
from tests.world import asking

from latchgate.store import access_log
from latchgate.store.access_log import MAX_NOTED, moment


@pytest.fixture
def accesses(world, tmp_path):
    made = Accesses(world, tmp_path)
    yield made
    made.log.close()


def test_a_line_says_all_of_a_decision(world, accesses):
    owner = world.somebody("*")
    key = world.key(scopes=["storage:read"], owner=owner)
    told = {"target": "/v1/storage/a/b?part=3&acl", "headers": {"user-agent": "rclone/v1"}}
    accesses.decide(key, at=NOON + 0.0456, **told)
    refused = accesses.decide(key, method="PUT", **told)
    stranger = accesses.decide(None, client=None)
    accesses.log.flush()
    first, second, third = accesses.lines()
    assert first == {
        "at": "2026-11-21T12:00:00.045Z",
        "outcome": "allowed",
        "reason": "allowed",
        "decision_id": None,
        "method": "GET",
        "host": "api.example",
        "path": "/v1/storage/a/b?part=***&acl",
        "area": "/v1/storage",
        "scope": "storage:read",
        "credential_id": key.id,
        "kind": "wayscloud.service_key",
        "owner_id": owner.user_id,
        "tenant_id": owner.tenant_id,
        "project_id": first["project_id"],
        "application_id": None,
        "address": "192.0.2.1",
        "agent": "rclone/v1",
        "policy_version": first["policy_version"],
    }
    assert (second["outcome"], second["reason"]) == ("refused", "scope_not_granted")
    assert second["decision_id"] == refused.id
    assert third["decision_id"] == stranger.id
    assert {third[name] for name in ("credential_id", "tenant_id", "owner_id", "address")} == {None}


def test_a_file_is_for_its_owner_alone_and_made_when_it_is_needed(accesses):
    accesses.log.flush()
    assert not accesses.folder.exists()
    accesses.decide()
    accesses.log.flush()
    (file,) = accesses.files
    assert file.name == f"access-20261121-{os.getpid()}.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert accesses.folder.stat().st_mode & 0o777 == 0o700


def test_d7_60_no_secret_is_in_a_path_a_query_a_host_or_an_agent(world, accesses):
    key = world.key()
    secret = key.text.rsplit("_", 1)[1]
    encoded = "".join(f"%{byte:02X}" for byte in key.text.encode())
    places = (
        f"/v1/storage/{key.text}",
        f"/v1/storage/{encoded}",
        f"/v1/storage/a?{key.text}",
        f"/v1/storage/a?signature={secret}&{secret}&x={encoded}",
        f"/v1/storage/{'a' * 2000}{key.text}",
        f"/v1/storage/a;api_key={secret}",
    )
    for target in places:
        accesses.decide(key, target=target, headers={"user-agent": f"curl {key.text}"})
        accesses.decide(key, target=target, headers={"user-agent": "a" * 590 + " " + key.text})
    request = replace(asking(key), host=f"{key.text}.example")
    accesses.log.note(accesses.decide(key), request, NOON)
    accesses.log.flush()
    text = "".join(file.read_text() for file in accesses.files)
    assert text.count("***") >= 2 * len(places)
    assert secret not in text
    assert "".join(f"%{byte:02X}" for byte in secret.encode()) not in text


def test_d7_61_a_line_stays_one_line_whatever_it_is_told(world, accesses):
    told = 'a\r\n{"at":"2026","credential_id":"x"}\x1b[31m\x85\u2028\x00'
    accesses.decide(world.key(), method="GET\r\nx", headers={"user-agent": told})
    accesses.decide(world.key(), target="/v1/storage/a\n\x1b]0;x\x07")
    accesses.log.flush()
    raw = b"".join(file.read_bytes() for file in accesses.files)
    assert raw.count(b"\n") == 2
    assert not any(byte < 32 for byte in raw.replace(b"\n", b""))
    first, second = accesses.lines()
    assert first["agent"].isprintable()
    assert (first["method"], second["path"]) == ("GET\r\nx", "/v1/storage/a\n\x1b]0;x\x07")


def test_a_lone_surrogate_hides_nobody(world, accesses):
    accesses.decide(world.key(), target="/v1/storage/\udcff")
    accesses.decide()
    accesses.log.flush()
    assert accesses.lines()[0]["path"] == "/v1/storage/\\udcff"
    assert len(accesses.lines()) == 2


def test_a_new_day_and_a_full_file_begin_another(world, tmp_path):
    accesses = Accesses(world, tmp_path, max_bytes=16 * 1_000)
    for _ in range(2):
        for _ in range(5):
            accesses.decide()
        accesses.log.flush()
    accesses.decide(at=NOON + DAY / 2 - 1)
    accesses.decide(at=NOON + DAY / 2)
    accesses.log.flush()
    process = os.getpid()
    assert [file.name for file in accesses.files] == [
        f"access-20261121-{process}-1.jsonl",
        f"access-20261121-{process}-2.jsonl",
        f"access-20261121-{process}.jsonl",
        f"access-20261122-{process}.jsonl",
    ]
    counts = [len(file.read_text().splitlines()) for file in accesses.files]
    assert counts == [5, 1, 5, 1]
    # A process that has the same number later goes on where there is room.
    accesses.log.close()
    accesses.log = accesses.another(max_bytes=16 * 1_000)
    accesses.decide()
    accesses.log.flush()
    assert len(accesses.files[-1].read_text().splitlines()) == 2
    accesses.log.close()


def test_a_file_that_somebody_deletes_is_made_anew(accesses):
    for _ in range(2):
        accesses.decide()
        accesses.log.flush()
        (file,) = accesses.files
        assert len(accesses.lines()) == 1
        file.unlink()


def test_what_does_not_fit_is_counted_and_told(world, accesses, monkeypatch):
    monkeypatch.setattr(access_log, "MAX_NOTED", 3)
    assert MAX_NOTED > 3
    for _ in range(5):
        accesses.decide()
    accesses.log.flush()
    accesses.log.flush()
    assert accesses.log.dropped == 2
    assert accesses.lines()[0] == {"at": moment(NOON), "dropped": 2}
    assert len(accesses.lines()) == 4


@contextmanager
def room(size):
    """Let no file of this process grow over a size: a write then ends as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_once_a_minute_and_what_is_missing_afterwards(accesses, caplog):
    accesses.decide()
    accesses.log.flush()
    (file,) = accesses.files
    length = file.stat().st_size
    with caplog.at_level(logging.ERROR), room(2 * length + length // 2):
        for _ in range(3):
            accesses.decide()
        accesses.log.flush()  # one whole line and a half
        accesses.decide()
        accesses.log.flush()  # nothing
        assert accesses.log.dropped == 3
        assert len(caplog.records) == 1
        assert str(accesses.folder) in caplog.text
        accesses.ticks += 60
        accesses.decide()
        accesses.log.flush()
        assert len(caplog.records) == 2
    accesses.decide()
    accesses.log.flush()
    told = []
    for line in file.read_text().splitlines():
        try:
            told.append(json.loads(line))
        except ValueError:
            told.append(None)
    assert [line.get("dropped") if line else "torn" for line in told] == [
        None, None, "torn", 4, None,
    ]  # fmt: skip


def test_a_folder_that_cannot_be_made_costs_lines_and_nothing_else(accesses, caplog):
    accesses.folder.write_text("a file is in the way")
    accesses.decide()
    with caplog.at_level(logging.ERROR):
        accesses.log.flush()
    assert accesses.log.dropped == 1
    assert "can't be written" in caplog.text


def test_a_link_in_the_place_of_a_file_is_not_followed(accesses, tmp_path, caplog):
    accesses.folder.mkdir()
    (tmp_path / "target").write_text("")
    name = f"access-20261121-{os.getpid()}.jsonl"
    (accesses.folder / name).symlink_to(tmp_path / "target")
    accesses.decide()
    with caplog.at_level(logging.ERROR):
        accesses.log.flush()
    assert (tmp_path / "target").read_text() == ""
    assert accesses.log.dropped == 1


def test_times_are_texts_that_sort_and_come_back():
    for at in (NOON, NOON + 0.123, NOON + 0.9999, 0.0):
        text = moment(at)
        assert len(text) == 24
    assert moment(NOON + 0.123) == "2026-11-21T12:00:00.123Z"
