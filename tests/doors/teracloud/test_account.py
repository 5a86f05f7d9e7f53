"""The bodies: what nothing is known of is left out, bytes become gigabytes rounded down."""

from __future__ import annotations

import pytest

from latchgate.doors.teracloud.account import capacity, properties, user
from latchgate.manage.storage import Account, Program, StoredStorage

STORED = StoredStorage("u-1", "aki.example.com", 3 * 2**30 - 1, 5, None, 1)


def test_the_least_that_clients_need_is_told_and_nothing_made_up():
    assert user(Account("alice", STORED, None), []) == {
        "user": "alice",
        "node": "aki.example.com",
        "webdav_url": "https://aki.example.com/dav/",
        "capacity": 2,
    }


def test_the_application_is_told_with_its_approval_where_it_has_one():
    program = Program("Sync", "Shows quotas.", "Example AG", None)
    assert user(Account("alice", STORED, program), [])["api_key"] == {
        "name": "Sync",
        "note": "Shows quotas.",
        "vendor": "Example AG",
    }
    program = Program("Sync", "Shows quotas.", "Example AG", 0.0)
    told = user(Account("alice", STORED, program), [])["api_key"]
    assert told["activated_time"] == "1970-01-01T00:00:00Z"


def test_the_capacity_is_exact():
    assert capacity(Account("alice", STORED, None), []) == {
        "dataset": {"__ROOT__": {"quota": 3 * 2**30 - 1, "used": 5}}
    }


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], {"quota", "used"}),
        ([("properties", "used,usedbychildren")], {"used"}),
        ([("properties", "usedbysnapshots")], set()),
        ([("recursive", "false"), ("properties", "quota")], {"quota"}),
    ],
)
def test_known_properties_among_those_asked_for_are_told(asked, told):
    found = properties(Account("alice", STORED, None), asked)
    assert set(found["dataset"]["__ROOT__"]) == told
