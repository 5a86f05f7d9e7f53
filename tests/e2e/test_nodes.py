"""Three nodes over one PostgreSQL, as an operator runs them, and what revocation promises there.

Who is running and who runs the jobs, how a node goes, and an edge that follows one of them.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from typing import Any

import bcrypt
import pytest
from tests.asking import basic
from tests.e2e.stack import Latchgate, Port, text_of
from tests.edges import EdgeProcess, Question
from tests.world import until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
NAMES = (socket.gethostname(), "node1", "node2")
LEASE = 2.0
TURN = 1.25 * LEASE  # what a receipt waits for a verifier that says nothing
SECONDS = 60.0
CREDENTIAL = "X-Latchgate-Credential"
# Another system's, with keys and passwords that it made.
ACME = """
provider = "acme"
title = "Acme"
dialect = "problem"

[kinds.imported_key]
pattern = "ak_[0-9A-Za-z]{24,64}"
headers = ["X-Acme-Key"]
hash = "sha256"

[kinds.account_password]

[services.acme]
title = "Acme"

[services.acme.scopes]
"acme:read" = "Read what is there"

[[areas]]
path = "/acme"
service = "acme"
accepts = ["imported_key", "account_password"]
rules = [{ methods = ["GET"], scope = "acme:read" }]
"""


def _port(node: Latchgate) -> Port:
    assert not isinstance(node.verify, str)
    return node.verify


class Nodes(list[Latchgate]):
    """Those that serve, by number: node1 by way of a socket, node2 by way of a pooler."""

    def decide(self, number: int, key: str) -> int:
        """Ask a node's verify address whether a key may read storage; returns the status."""
        return self.asked(number, key).status

    def asked(self, number: int, key: str) -> http.client.HTTPResponse:
        """Do so, and return the whole answer."""
        connection = http.client.HTTPConnection(*_port(self[number]), timeout=SECONDS)
        try:
            told = {
                "Authorization": f"Bearer {key}",
                "X-Original-Method": "GET",
                "X-Original-URI": "/v1/storage/a",
                "X-Original-Host": "api.example",
                "X-Original-Scheme": "https",
                "X-Real-IP": "192.0.2.1",
            }
            connection.request("GET", "/nginx", headers=told)
            answer = connection.getresponse()
            answer.read()
            return answer
        finally:
            connection.close()

    def everywhere(self, key: str) -> set[int]:
        """Return what all nodes answer."""
        return {self.decide(number, key) for number in range(len(self))}

    def status(self, number: int = 0) -> dict[str, Any]:
        """Return what a node says of all."""
        told: dict[str, Any] = self[number].call("GET", "/manage/v1/status")
        return told

    def known(self, number: int = 0) -> set[str]:
        """Return the names of the nodes that a receipt may have to wait for."""
        return {one["node"] for one in self.status(number)["verifiers"]}

    def until_noted(self, number: int, journal: int) -> None:
        """Wait until a node lists the receipt of a change among those that were given."""

        def noted() -> bool:
            told = self[number].call("GET", "/manage/v1/status/receipts")["receipts"]
            return journal in [one["journal"] for one in told]

        until(noted, seconds=SECONDS)

    def ready(self, number: int) -> int:
        """Return what a load balancer is told."""
        connection = http.client.HTTPConnection(*self[number].api, timeout=SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def nodes(postgres, pgbouncer, tmp_path_factory):
    with postgres.database() as database:
        folder = tmp_path_factory.mktemp("nodes")
        pooled = pgbouncer.uri(database.name)
        with Latchgate(folder / "0", database=database.uri) as first:
            made = Nodes([first])
            made += [
                first.another(folder / str(n), f"node{n}", uri)
                for n, uri in ((1, database.socket_uri), (2, pooled))
            ]
            with contextlib.ExitStack() as running:
                for one in made:
                    running.callback(one.stop)
                    one.serve(workers=1)
                yield made


def states(receipt) -> dict[str, str]:
    return {one["node"]: one["state"] for one in receipt["verifiers"]}


@pytest.fixture
def edge(nodes, tmp_path):
    """An edge that follows the node behind the pooler."""
    url = f"http://{text_of(nodes[2].api)}"
    made = EdgeProcess(tmp_path / "edge", url, nodes[0].key("verifier").text)
    yield made.start("--node", "edge")
    assert made.stop() == 0


def test_every_node_shows_all_nodes_and_who_runs_the_jobs(nodes):
    until(lambda: all(nodes.status(n)["jobs"] for n in range(len(nodes))), seconds=SECONDS)
    shown = [nodes.status(n) for n in range(len(nodes))]
    assert [one["database"] for one in shown] == ["postgresql"] * len(nodes)
    assert len({one["jobs"] for one in shown}) == 1
    assert shown[0]["jobs"].split()[0] in NAMES
    assert all(one["settled"] and one["timeline"] for one in shown)
    listed = {one["node"]: one for one in shown[0]["verifiers"]}
    running = {name: node.pid for name, node in zip(NAMES, nodes, strict=True)}
    assert {name: one["process"] for name, one in listed.items()} == running
    assert {one["trust_seconds"] for one in listed.values()} == {LEASE}


def test_what_one_node_makes_all_accept_and_what_one_revokes_none_does(nodes):
    for at, one in enumerate(nodes):
        key = one.key("storage")
        assert nodes.everywhere(key.text) == {200}
        receipt = nodes[at - 1].revoke(key)
        assert nodes.everywhere(key.text) == {401}
        assert set(states(receipt).values()) == {"acknowledged"}
        assert len(receipt["verifiers"]) == len(nodes)
        nodes.until_noted(at, receipt["journal"])


def test_no_request_after_a_receipt_is_accepted_by_any_node(nodes):
    keys = [nodes[0].key("storage") for _ in range(6)]
    revoked: dict[str, float] = {}
    wrong, stop = [], threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            for key in keys:
                before = key.id in revoked
                if nodes.decide(number, key.text) == 200 and before:
                    wrong.append((number, key.id))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(nodes))]
    for thread in threads:
        thread.start()
    for at, key in enumerate(keys):
        nodes[at % len(nodes)].revoke(key)
        revoked[key.id] = time.monotonic()
    stop.set()
    for thread in threads:
        thread.join(SECONDS)
    assert not wrong


def test_a_refusal_of_one_node_is_explained_by_another(nodes):
    key = nodes[0].key("dns")
    answer = nodes.asked(1, key.text)
    assert answer.status in {401, 403}
    told = nodes[2].explain(answer.headers["X-Latchgate-Decision"])
    assert told["path"] == "/v1/storage/a"


def test_an_edge_of_one_node_acknowledges_what_another_revokes_and_refuses_it(nodes, edge):
    key = nodes[0].key("storage")
    question = Question("/v1/storage/a", {"X-API-Key": key.text})
    assert edge.decide(question)["allowed"]
    receipt = nodes[1].revoke(key)
    assert edge.decide(question)["status"] == 401
    assert states(receipt) == dict.fromkeys((*NAMES, "edge"), "acknowledged")
    assert {one["node"] for one in receipt["verifiers"] if one["kind"] == "edge"} == {"edge"}


def test_an_edge_takes_keys_and_passwords_that_another_system_made(nodes, edge):
    folder = nodes[0].folder
    files = {one.name: one.read_text("utf-8") for one in (folder / "providers").iterdir()}
    nodes[0].call("PUT", "/manage/v1/policy", {"files": {**files, "acme.toml": ACME}})
    secret = "ak_Q2f7Zs91LmXb04TtVwYc8RkPd6"
    hashed = bcrypt.hashpw(b"grass is green", bcrypt.gensalt(5)).decode()
    (folder / "keys").write_text(json.dumps({"secret": secret, "owner": "admin"}))
    (folder / "passwords").write_text(f"admin:{hashed}\n")
    of_keys = ("--format", "jsonl", "--kind", "acme.imported_key", "--scope", "acme:read")
    of_passwords = ("--format", "htpasswd", "--namespace", "acme")
    for name, options in (("keys", of_keys), ("passwords", of_passwords)):
        told = nodes[0].json("import", name, *options, "--config", str(nodes[0].config))
        assert told["imported"] == 1

    by_key = Question("/acme/things", {"X-Acme-Key": secret})
    by_password = Question("/acme/things", basic("admin", "grass is green"))
    found = [edge.decide(one) for one in (by_key, by_password)]
    assert [(one["status"], one["identity"]["X-Latchgate-Kind"]) for one in found] == [
        (200, "acme.imported_key"),
        (200, "acme.account_password"),
    ]
    wrong = Question("/acme/things", basic("admin", "grass is blue"))
    assert edge.decide(wrong)["status"] == 401
    receipt = nodes[1].call("DELETE", f"/manage/v1/keys/{found[0]['identity'][CREDENTIAL]}")
    assert states(receipt["receipt"])["edge"] == "acknowledged"
    assert edge.decide(by_key)["status"] == 401


def test_a_suspended_node_lapses_and_believes_nothing_old_when_it_goes_on(nodes):
    key = nodes[0].key("storage")
    assert nodes.everywhere(key.text) == {200}
    os.kill(nodes[1].pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        receipt = nodes[0].revoke(key)
        assert time.monotonic() - begun >= receipt["elapsed_ms"] / 1_000 >= TURN
    finally:
        os.kill(nodes[1].pid, signal.SIGCONT)
    assert nodes.decide(1, key.text) in {401, 503}
    told = states(receipt)
    assert (told.pop("node1"), set(told.values())) == ("lapsed", {"acknowledged"})
    until(lambda: nodes.ready(1) == 200, seconds=SECONDS)
    another = nodes[2].key("storage")
    assert nodes.decide(1, another.text) == 200
    assert set(states(nodes[1].revoke(another)).values()) == {"acknowledged"}


def test_a_killed_node_is_waited_for_until_it_is_removed_and_comes_back_as_a_new_one(nodes):
    key = nodes[0].key("storage")
    nodes[1].stop(signal.SIGKILL)
    assert states(nodes[0].revoke(key))["node1"] == "lapsed"
    until(lambda: "node1" not in nodes.known(), seconds=SECONDS)
    assert "node1" not in states(nodes[0].revoke(nodes[0].key("storage")))
    nodes[1].serve(workers=1)
    assert nodes.decide(1, key.text) == 401
    assert states(nodes[0].revoke(nodes[0].key("storage")))["node1"] == "acknowledged"


def test_a_node_that_stops_in_order_hands_the_jobs_over_and_is_waited_for_by_nobody(nodes):
    until(lambda: nodes.status()["jobs"] and nodes.known() == set(NAMES), seconds=SECONDS)
    holder = nodes.status()["jobs"].split()[0]
    leaves = NAMES.index(holder)
    stays = (leaves + 1) % len(nodes)
    assert nodes[leaves].stop() == 0
    assert nodes.known(stays) == set(NAMES) - {holder}
    receipt = nodes[stays].revoke(nodes[stays].key("storage"))
    assert holder not in states(receipt)
    others = tuple(nodes.known(stays))
    until(lambda: (nodes.status(stays)["jobs"] or "").startswith(others), seconds=SECONDS)
    nodes[leaves].serve(workers=1)
    assert nodes.known(stays) == set(NAMES)
