"""The access log of real servers: of every door and worker, of the own tenant alone, none lost."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from tests.world import Server, World, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
PATH = "/manage/v1/access-log"


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A server of two workers with an access log, and its database."""
    server = Server.made(tmp_path_factory.mktemp("logged") / "lg", workers=2)
    with server.config.open("a") as file:
        file.write('\n[access_log]\ndirectory = "access"\n')
    server.start()
    world = World.beside(server)
    yield server, world
    world.close()
    server.kill()


def rows(server, query="", token=None):
    answer = server.call("GET", f"{PATH}{query}", token=token)
    assert answer.status == 200, answer.body
    return answer.json["rows"]


def refusals(server):
    return rows(server, "?limit=10000&outcome=refused")


@pytest.fixture(scope="module")
def used(logged):
    """A key of the operator's tenant, used at both doors, and one of another tenant."""
    server, world = logged
    made = server.create(scopes=["storage:read"])
    other = world.key(owner=world.somebody("*"))
    assert server.allows(made["key"], target="/v1/storage/a?prefix=b")
    assert not server.allows(made["key"], method="PUT")
    assert server.call("GET", "/manage/v1/keys", token=made["key"]).status == 401
    assert server.allows(other.text)
    until(
        lambda: (
            len(rows(server, f"?credential={made['id']}")) == 2
            and len(rows(server, f"?credential={other.id}")) == 1
            # Each worker writes by itself; this one's line names no credential.
            and any(one["path"] == "/manage/v1/keys" for one in refusals(server))
        ),
        seconds=30,
        what="the lines",
    )
    return made, other


def test_decisions_of_the_verify_address_and_of_the_api_have_their_lines(logged, used):
    server, _ = logged
    made, _ = used
    refused, allowed = rows(server, f"?credential={made['id']}")
    assert (allowed["outcome"], allowed["path"]) == ("allowed", "/v1/storage/a?prefix=***")
    assert (refused["reason"], refused["method"]) == ("scope_not_granted", "PUT")
    assert refused["decision_id"]
    assert rows(server, f"?credential={made['id']}&outcome=refused") == [refused]
    assert rows(server, f"?credential={made['id']}&reason=allowed") == [allowed]
    assert rows(server, f"?credential={made['id']}&since=2020-01-01T00:00:00Z&until=1d") == []
    every = rows(server, "?limit=10000")
    assert {"/manage/v1/keys", "/v1/storage/a?prefix=***"} <= {one["path"] for one in every}
    assert any(one["path"] == "/manage/v1/keys" and one["outcome"] == "refused" for one in every)
    assert [one["at"] for one in every] == sorted((one["at"] for one in every), reverse=True)


def test_d5_48_no_other_tenants_line_is_shown_to_a_tenant(logged, used):
    server, world = logged
    made, other = used
    owner = world.somebody("*")
    spy = world.key("manage", scopes=["manage:usage.read"], owner=owner).text
    until(lambda: rows(server, token=spy), seconds=30, what="the spy's own lines")
    for query in ("?limit=10000", f"?credential={other.id}", f"?credential={made['id']}"):
        assert all(one["tenant_id"] == owner.tenant_id for one in rows(server, query, spy))
    assert rows(server, f"?credential={other.id}", spy) == []
    answer = server.call("GET", f"{PATH}?tenant_id={other.owner.tenant_id}", token=spy)
    assert (answer.status, answer.code) == (403, "forbidden")
    (one,) = rows(server, f"?tenant_id={other.owner.tenant_id}")
    assert one["credential_id"] == other.id


def test_the_same_lines_come_as_csv_and_json_lines_and_say_where_they_stop(logged, used):
    server, _ = logged
    made, _ = used
    query = f"{PATH}?credential={made['id']}"
    expected = rows(server, f"?credential={made['id']}")
    lines = server.call("GET", f"{query}&format=jsonl").body.splitlines()
    assert [json.loads(line) for line in lines] == expected
    table = list(
        csv.DictReader(io.StringIO(server.call("GET", f"{query}&format=csv").body.decode()))
    )
    assert [one["path"] for one in table] == [one["path"] for one in expected]
    first = server.call("GET", f"{query}&limit=1")
    assert first.json["rows"] == expected[:1]
    assert first.headers["x-latchgate-reached"] == first.json["reached"] == expected[0]["at"]
    rest = server.call("GET", f"{query}&until={first.json['reached']}").json
    assert (rest["rows"], rest["reached"]) == (expected[1:], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=10001", "limit"),
        ("?outcome=maybe", "outcome"),
        ("?since=yesterday", "since"),
        ("?since=1h&until=2h", "since"),
        ("?key=a", "key"),
    ],
)
def test_what_cannot_be_asked_names_the_parameter(logged, query, field):
    server, _ = logged
    answer = server.call("GET", PATH + query)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == field


def test_the_command_line_shows_and_filters_it(logged, used):
    server, _ = logged
    made, _ = used
    asked = ["access-log", "--credential", made["id"]]
    table = server.cli(*asked).out.splitlines()
    assert table[0].split()[:3] == ["AT", "OUTCOME", "REASON"]
    assert [line.split()[1] for line in table[1:]] == ["refused", "allowed"]
    assert len(server.cli(*asked, "--refused", "--format", "jsonl").out.splitlines()) == 1
    assert len(server.cli(*asked, "--json").json["rows"]) == 2
    limited = server.cli(*asked, "--limit", "1")
    assert "go on with --until" in limited.err
    assert server.cli(*asked, "--follow", "--json").code == 2
    assert "Nothing was written" in server.cli("access-log", "--credential", "nobody").err


def test_where_it_is_off_the_answer_says_what_switches_it_on(server):
    answer = server.call("GET", PATH)
    assert (answer.status, answer.code) == (409, "conflict")
    assert "[access_log] directory" in answer.json["detail"]
    told = server.cli("access-log")
    assert told.code == 1
    assert "[access_log] directory" in told.err


def test_two_workers_write_files_of_their_own_and_sigterm_loses_nothing(tmp_path):
    server = Server.made(tmp_path / "lg", workers=2)
    with server.config.open("a") as file:
        file.write('\n[access_log]\ndirectory = "access"\n')
    server.start()
    try:
        made = server.create(scopes=["storage:read"])
        pids = {str(one) for one in server.children()}
        folder = server.folder / "access"

        def writers():
            assert server.allows(made["key"])
            counted.append(1)
            named = [
                re.fullmatch(r"access-\d{8}-(\d+)\.jsonl", one.name) for one in folder.glob("*")
            ]
            return pids <= {one[1] for one in named if one}

        counted: list[int] = []
        until(writers, seconds=30, what="a line of each worker")
        for _ in range(20):
            assert server.allows(made["key"])
        assert server.stop() == 0
    finally:
        server.kill()
    lines = [json.loads(line) for one in folder.glob("*") for line in one.read_text().splitlines()]
    own = [one for one in lines if one["credential_id"] == made["id"]]
    assert len(own) == len(counted) + 20
    assert made["key"].rsplit("_", 1)[1] not in "".join(one.read_text() for one in folder.glob("*"))
    assert {one.stat().st_mode & 0o777 for one in folder.glob("*")} == {0o600}
