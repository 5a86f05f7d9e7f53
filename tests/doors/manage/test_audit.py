"""The audit trail over HTTP: who may, streamed exports, heads that can't be signed."""

from __future__ import annotations

import json

import pytest
from tests.world import http_request

from latchgate.doors.manage.app import OPERATIONS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

OPERATORS = ["/manage/v1/audit/head", "/manage/v1/audit/export"]


def listed(server, query="", token=None):
    answer = server.call("GET", f"/manage/v1/audit{query}", token=token)
    assert answer.status == 200, answer.body
    return answer.json["rows"]


def test_a_change_is_listed_with_who_and_from_where(server):
    made = server.create()
    (row,) = listed(server, f"?record={made['id']}")
    assert (row["action"], row["noun"], row["address"]) == ("key.create", "credential", "127.0.0.1")
    assert row["actor"] == f"user:{made['owner_id']} key:{row['credential_id']}"
    assert row["at"] == made["created_at"]
    assert row["detail"]["after"]["name"] == made["name"]


def test_pages_end_in_null_and_follow_each_other(server):
    first = server.call("GET", "/manage/v1/audit?limit=2").json
    assert [row["n"] for row in first["rows"]] == [1, 2]
    second = server.call("GET", f"/manage/v1/audit?limit=1000&after={first['next']}").json
    assert second["rows"][0]["n"] == 3
    assert second["next"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=x", "limit"),
        ("?after=-1", "after"),
        ("?after=1e3", "after"),
        ("?after=" + "9" * 30, "after"),
        ("?since=yesterday", "since"),
        ("?until=2026-13-01T00:00:00Z", "until"),
        ("?unknown=1", "unknown"),
        ("?actor=a&actor=b", "query"),
    ],
)
def test_a_query_that_cannot_be_taken_is_told_by_its_field(server, query, field):
    answer = server.call("GET", f"/manage/v1/audit{query}")
    assert (answer.status, answer.code) == (422, "invalid")
    assert [one["field"] for one in answer.json["errors"]] == [field]


def test_only_the_operators_scope_opens_head_export_and_check(server):
    token = server.create("manage", scopes=["manage:audit.read"])["key"]
    listed(server, token=token)
    for path in OPERATORS:
        assert server.call("GET", path, token=token).code == "insufficient_scope"
        assert server.call("GET", path).status == 200
    for asked in (token, server.create("manage", scopes=["manage:keys.read"])["key"]):
        answer = server.call("POST", "/manage/v1/audit/verify", {"against": None}, token=asked)
        assert answer.code == "insufficient_scope"


def test_an_export_streams_every_row_and_ends_in_its_head(server):
    answer = server.call("GET", "/manage/v1/audit/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    assert "content-length" not in answer.headers
    *rows, last = [json.loads(line) for line in answer.body.splitlines()]
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
    assert (last["head"]["n"], last["head"]["hash"]) == (rows[-1]["n"], rows[-1]["hash"])
    assert server.call("HEAD", "/manage/v1/audit/export").body == b""


def test_the_server_checks_its_journal_against_a_head(server):
    head = server.call("GET", "/manage/v1/audit/head").json
    server.create()
    report = server.call("POST", "/manage/v1/audit/verify", {"against": head}).json
    assert (report["sound"], report["against"]) == (True, head["n"])
    altered = head | {"hash": "0" * 64}
    report = server.call("POST", "/manage/v1/audit/verify", {"against": altered}).json
    assert not report["sound"]
    assert report["faults"][-1]["n"] == head["n"]


@pytest.mark.parametrize(
    "body",
    [
        {"against": {}},
        {"against": 1},
        {"unknown": 1},
        {"against": None, "public_key": "x"},
        {},
        {"against": {"format": "x"}},
    ],
)
def test_what_is_no_head_is_refused(server, body):
    assert server.call("POST", "/manage/v1/audit/verify", body).status == 422


def test_an_altered_database_is_told_over_the_api_and_a_lost_master_key_stops_only_signing(victim):
    key = victim.create()["key"]
    victim.folder.joinpath("master.key").rename(victim.folder / "elsewhere")
    for path in OPERATORS:
        answer = victim.call("GET", path)
        assert (answer.status, answer.code) == (503, "signing_unavailable")
        assert "master.key is not there" in answer.json["detail"]
        assert "decided as before" in answer.json["detail"]
    assert victim.allows(key)
    assert victim.call("POST", "/manage/v1/audit/verify", {"against": None}).json["sound"]
    victim.stop()
    victim.start()
    assert "nothing can be signed" in victim.log
    assert victim.allows(key)
    assert http_request("GET", victim.addresses["api"] + "/readyz").status == 200
    assert "Traceback" not in victim.log


def test_routes_and_their_scopes_are_these():
    told = {(one.method, one.path): one.scope for one in OPERATIONS if "/audit" in one.path}
    assert told == {
        ("GET", "/manage/v1/audit"): "manage:audit.read",
        ("GET", "/manage/v1/audit/head"): "operator:audit.read",
        ("GET", "/manage/v1/audit/export"): "operator:audit.read",
        ("POST", "/manage/v1/audit/verify"): "operator:audit.read",
    }
