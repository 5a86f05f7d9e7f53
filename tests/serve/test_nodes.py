"""Two nodes over one PostgreSQL: who is running, who runs the jobs, and how one goes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest
from tests.world import Server, latchgate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
SECONDS = 60.0


@pytest.fixture(scope="module")
def nodes(postgres, tmp_path_factory):
    """Two servers of one configuration, each with a name of its own."""
    folder = tmp_path_factory.mktemp("nodes")
    with postgres.database() as database:
        first = folder / "one"
        first.mkdir()
        at = ("--database", database.socket_uri, "--listen", "127.0.0.1:0")
        done = latchgate(
            "init", "--config", str(first / "latchgate.toml"), *at,
            "--console-listen", "127.0.0.1:0", "--verify-listen", "127.0.0.1:0", "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        told = json.loads(done.out)
        shutil.copytree(first, folder / "two")
        made = [Server(folder / name, told["token"], told) for name in ("one", "two")]
        for one in made:
            text = one.config.read_text()
            one.config.write_text(f'{text}\n[node]\nname = "{one.folder.name}"\nlease = 1.0\n')
            one.start()
        yield made
        for one in made:
            one.kill()


def status(server):
    return server.call("GET", "/manage/v1/status").json


def states(server):
    return {one["node"]: one["state"] for one in status(server)["verifiers"]}


def until(true):
    give_up = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_every_node_shows_all_nodes_and_who_runs_the_jobs(nodes):
    for one in nodes:
        until(lambda one=one: status(one)["jobs"] is not None)
    shown = [status(one) for one in nodes]
    assert [one["database"] for one in shown] == ["postgresql"] * 2
    assert shown[0]["jobs"] == shown[1]["jobs"]
    assert shown[0]["jobs"].split()[0] in {"one", "two"}
    assert all(one["settled"] and one["timeline"] for one in shown)
    listed = {one["node"]: one for one in shown[0]["verifiers"]}
    assert {name: one["process"] for name, one in listed.items()} == {
        "one": nodes[0].pid,
        "two": nodes[1].pid,
    }
    assert {one["trust_seconds"] for one in listed.values()} == {1.0}


def test_what_one_node_revokes_the_other_acknowledges_and_refuses(nodes):
    one, two = nodes
    made = one.create()
    until(lambda: two.allows(made["key"]))
    receipt = one.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
    assert {each["node"]: each["state"] for each in receipt["verifiers"]} == {
        "one": "acknowledged",
        "two": "acknowledged",
    }
    assert not two.allows(made["key"])
    listed = "/manage/v1/status/receipts"
    n = receipt["journal"]
    until(lambda: n in [e["journal"] for e in two.call("GET", listed).json["receipts"]])


def test_a_node_that_is_suspended_lapses_is_expelled_and_comes_back(nodes):
    one, two = nodes
    made = one.create()
    until(lambda: two.allows(made["key"]))
    os.kill(two.pid, signal.SIGSTOP)
    try:
        receipt = one.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
        assert {each["node"]: each["state"] for each in receipt["verifiers"]} == {
            "one": "acknowledged",
            "two": "lapsed",
        }
        assert receipt["elapsed_ms"] >= 1_250
    finally:
        os.kill(two.pid, signal.SIGCONT)
    assert not two.allows(made["key"])
    until(lambda: two.call("GET", "/readyz").status == 200)


def test_a_node_that_stops_takes_its_row_along_and_hands_the_jobs_over(nodes):
    one, two = nodes
    holder = status(one)["jobs"].split()[0]
    leaves, stays = (one, two) if holder == "one" else (two, one)
    assert leaves.stop() == 0
    assert set(states(stays)) == {stays.folder.name}
    until(lambda: (status(stays)["jobs"] or "").startswith(stays.folder.name))
    leaves.start()
    until(lambda: set(states(stays)) == {"one", "two"})


def test_the_row_of_a_node_that_was_killed_is_removed(nodes):
    one, two = nodes
    until(lambda: status(one)["jobs"] is not None)
    holder = status(one)["jobs"].split()[0]
    killed, stays = (two, one) if holder == "one" else (one, two)
    killed.kill()
    assert killed.folder.name in states(stays)
    until(lambda: set(states(stays)) == {stays.folder.name})
