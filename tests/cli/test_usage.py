"""`latchgate usage`: for people, and as JSON, CSV and JSON lines."""

from __future__ import annotations

import json

import pytest
from tests.world import until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def used(server):
    made = server.create(scopes=["storage:read"])
    assert server.allows(made["key"])
    assert not server.allows(made["key"], method="PUT")
    path = f"/manage/v1/usage?by=outcome&credential={made['id']}"
    until(lambda: len(server.call("GET", path).json["rows"]) == 2, seconds=30, what="both counts")
    return made["id"]


def test_counts_are_shown_as_a_table_and_in_every_format(server, used):
    asked = ["usage", "show", "--credential", used, "--by", "scope,outcome"]
    table = server.cli(*asked).out.splitlines()
    assert table[0].split() == ["SCOPE", "OUTCOME", "COUNT"]
    assert [line.split() for line in table[1:]] == [
        ["storage:read", "allowed", "1"],
        ["storage:write", "refused", "1"],
    ]
    rows = server.cli(*asked, "--json").json["rows"]
    assert [row["count"] for row in rows] == [1, 1]
    assert server.cli(*asked, "--format", "csv").out.splitlines()[0] == "scope,outcome,count"
    lines = server.cli(*asked, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_what_costs_nothing_is_not_billed(server, used):
    told = server.cli("usage", "bill", "--credential", used)
    assert (told.code, told.out) == (0, "")
    assert "Nothing was counted" in told.err
    assert server.cli("usage", "bill", "--by", "tenant", "--json").json["rows"] == []


def test_what_cannot_be_asked_is_said(server):
    wrong = server.cli("usage", "show", "--by", "colour")
    assert wrong.code == 1
    assert "by: 'colour' is not one of" in wrong.err
    assert server.cli("usage", "bill", "--month", "November").code == 1
