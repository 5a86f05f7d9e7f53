"""Usage and amounts over HTTP: exact, of the own tenant alone, as JSON, CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime

import pytest
from tests.world import FILES, raw_rows, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
PRICED = (
    FILES["wayscloud.toml"]
    .replace('dialect = "wayscloud"', 'dialect = "wayscloud"\ncurrency = "NOK"', 1)
    .replace(
        "[services.storage.scopes]",
        '[services.storage.prices]\n"storage:read" = "0.0004"\n\n[services.storage.scopes]',
        1,
    )
)


def counted(server, credential):
    """Return how many decisions about a credential are written down."""
    statement = f"SELECT SUM(count) FROM use_hour WHERE credential_id = '{credential}'"  # noqa: S608
    return raw_rows(server.folder / "latchgate-usage.db", statement)[0][0] or 0


@pytest.fixture(scope="module")
def used(server, world):
    """A key with 7 reads, 2 of them priced at nothing yet, and 3 refused writes; and another's."""
    made = server.create(scopes=["storage:read"])
    other = world.key(owner=world.somebody("*"))
    for _ in range(2):
        assert server.allows(made["key"])
    world.publish({**FILES, "wayscloud.toml": PRICED})
    for _ in range(5):
        assert server.allows(made["key"])
    for _ in range(3):
        assert not server.allows(made["key"], method="PUT")
    assert server.allows(other.text)
    until(lambda: counted(server, made["id"]) == 10, seconds=30, what="the counts")
    until(lambda: counted(server, other.id) == 1, seconds=30, what="the other's count")
    return made, other


def rows(server, path, token=None):
    answer = server.call("GET", path, token=token)
    assert answer.status == 200, answer.body
    return answer.json["rows"]


def test_counts_are_told_by_what_was_asked_for(server, used):
    made, _ = used
    path = f"/manage/v1/usage?credential={made['id']}"
    assert rows(server, f"{path}&by=outcome") == [
        {"outcome": "allowed", "count": 7},
        {"outcome": "refused", "count": 3},
    ]
    assert rows(server, f"{path}&by=credential,scope,reason,area,project&period=day") == [
        {
            "credential_id": made["id"],
            "scope": scope,
            "reason": reason,
            "area": "/v1/storage",
            "project_id": made["project_id"],
            "count": count,
        }
        for scope, reason, count in (
            ("storage:read", "allowed", 7),
            ("storage:write", "scope_not_granted", 3),
        )
    ]
    assert rows(server, f"{path}&scope=storage:write")[0]["count"] == 3


@pytest.mark.parametrize("period", ["minute", "hour", "day"])
def test_counts_by_time_say_when_each_period_began(server, used, period):
    made, _ = used
    found = rows(server, f"/manage/v1/usage?credential={made['id']}&by={period}&since=1d")
    assert sum(row["count"] for row in found) == 10
    seconds = {"minute": 60, "hour": 3_600, "day": 86_400}[period]
    for row in found:
        at = datetime.fromisoformat(row["at"]).timestamp()
        assert at % seconds == 0
        assert abs(time.time() - at) < 2 * 86_400


def test_d5_48_no_other_tenants_use_is_shown_to_a_tenant(server, world, used):
    made, other = used
    owner = world.somebody("*")
    spy = world.key("manage", scopes=["manage:usage.read"], owner=owner).text
    for query in ("", f"?credential={made['id']}", f"?credential={other.id}", "?by=tenant"):
        found = rows(server, f"/manage/v1/usage{query}", spy)
        assert all(row.get("tenant_id", owner.tenant_id) == owner.tenant_id for row in found)
        if query.startswith("?credential"):
            assert found == []
    assert rows(server, "/manage/v1/billing", spy) == []
    for path in ("usage", "billing"):
        answer = server.call(
            "GET", f"/manage/v1/{path}?tenant_id={world.owner.tenant_id}", token=spy
        )
        assert (answer.status, answer.code) == (403, "forbidden")
    reader = world.key("manage", scopes=["manage:keys.read"], owner=owner).text
    answer = server.call("GET", f"/manage/v1/keys/{made['id']}/usage", token=reader)
    assert answer.status == 404


def test_the_operator_sees_every_tenant_or_one(server, used):
    made, other = used
    every = rows(server, "/manage/v1/usage?by=tenant,credential")
    assert {made["id"], other.id} <= {row["credential_id"] for row in every}
    one = rows(server, f"/manage/v1/usage?by=credential&tenant_id={other.owner.tenant_id}")
    assert one == [{"credential_id": other.id, "count": 1}]


def test_amounts_are_exact_and_of_what_had_a_price_then(server, world, used):
    made, _ = used
    (row,) = rows(server, f"/manage/v1/billing?credential={made['id']}")
    assert row == {
        "tenant_id": world.owner.tenant_id,
        "project_id": made["project_id"],
        "credential_id": made["id"],
        "currency": "NOK",
        "count": 5,
        "amount": "0.002",
    }
    (project,) = rows(server, f"/manage/v1/billing?by=project&project={made['project_id']}")
    assert (project["project_id"], project["amount"]) == (made["project_id"], "0.002")
    tenants = rows(server, f"/manage/v1/billing?by=tenant&tenant_id={world.owner.tenant_id}")
    assert tenants[0]["amount"] == "0.002"
    assert rows(server, "/manage/v1/billing?month=2020-02") == []


@pytest.mark.parametrize("how", ["accept", "format"])
def test_the_same_rows_come_as_csv_and_as_json_lines(server, used, how):
    made, _ = used
    path = f"/manage/v1/usage?credential={made['id']}&by=scope,outcome"
    wanted = rows(server, path)

    def ask(media, name):
        if how == "accept":
            answer = server.call("GET", path, headers={"Accept": f"{media}, */*;q=0.1"})
        else:
            answer = server.call("GET", f"{path}&format={name}")
        assert answer.headers["content-type"].startswith(media)
        assert answer.headers["cache-control"] == "no-store"
        return answer.body.decode()

    text = ask("text/csv", "csv")
    assert text.startswith("scope,outcome,count\r\n")
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row | {"count": int(row["count"])} for row in read] == wanted
    lines = ask("application/jsonl", "jsonl")
    assert [json.loads(line) for line in lines.splitlines()] == wanted


def test_a_keys_own_page_says_what_for_and_from_where(server, used):
    made, _ = used
    told = server.call("GET", f"/manage/v1/keys/{made['id']}/usage").json
    assert told["counts"] == [
        {"scope": "storage:read", "reason": "allowed", "count": 7},
        {"scope": "storage:write", "reason": "scope_not_granted", "count": 3},
    ]
    (source,) = told["sources"]
    assert (source["address"], source["count"], source["refused"]) == ("192.0.2.1", 10, 3)
    assert told["last_used_from"] == "192.0.2.1"
    shown = server.call("GET", f"/manage/v1/keys/{made['id']}").json
    assert shown["last_used_at"] == told["last_used_at"]
    assert shown["last_used_agent"] == told["last_used_agent"] == ""


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("usage?by=colour", "by"),
        ("usage?by=day,hour", "by"),
        ("usage?by=minute&period=day", "by"),
        ("usage?period=week", "period"),
        ("usage?since=yesterday", "since"),
        ("usage?since=2026-13-01T00:00:00Z", "since"),
        ("usage?until=2020-01-01T00:00:00Z", "since"),
        ("usage?format=xml", "format"),
        ("usage?colour=red", "colour"),
        ("usage?by=day&by=day", "query"),
        ("billing?month=2026-13", "month"),
        ("billing?month=0000-01", "month"),
        ("billing?by=scope", "by"),
    ],
)
def test_a_query_that_cannot_be_taken_is_told_by_its_field(server, query, field):
    answer = server.call("GET", f"/manage/v1/{query}")
    assert (answer.status, answer.code) == (422, "invalid"), answer.body
    assert [one["field"] for one in answer.json["errors"]] == [field]
