"""Three nodes over one PostgreSQL, as an operator runs them, and what revocation promises there."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import threading
import time

import pytest
from tests.e2e.stack import Latchgate
from tests.world import until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
LEASE = 2.0
TURN = 1.25 * LEASE  # what a receipt waits for a verifier that says nothing
SECONDS = 60.0


class Nodes(list[Latchgate]):
    """Those that serve, by number; the last reaches the database by way of a pooler."""

    def decide(self, number: int, key: str) -> int:
        """Ask a node's verify address whether a key may read storage; returns the status."""
        return self.asked(number, key).status

    def asked(self, number: int, key: str) -> http.client.HTTPResponse:
        """Do so, and return the whole answer."""
        connection = http.client.HTTPConnection(*self[number].verify, timeout=SECONDS)
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

    def known(self) -> set[str]:
        """Return the names of the nodes that a receipt may have to wait for."""
        return {one["node"] for one in self[0].call("GET", "/manage/v1/status")["verifiers"]}

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
                for n, uri in ((1, database.uri), (2, pooled))
            ]
            with contextlib.ExitStack() as running:
                for one in made:
                    running.callback(one.stop)
                    one.serve(workers=1)
                yield made


def states(receipt) -> dict[str, str]:
    return {one["node"]: one["state"] for one in receipt["verifiers"]}


def test_what_one_node_makes_all_accept_and_what_one_revokes_none_does(nodes):
    for at, one in enumerate(nodes):
        key = one.key("storage")
        assert nodes.everywhere(key.text) == {200}
        receipt = nodes[at - 1].revoke(key)
        assert nodes.everywhere(key.text) == {401}
        assert set(states(receipt).values()) == {"acknowledged"}
        assert len(receipt["verifiers"]) == len(nodes)


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


def test_a_suspended_node_lapses_and_believes_nothing_old_when_it_goes_on(nodes):
    key = nodes[0].key("storage")
    assert nodes.everywhere(key.text) == {200}
    os.kill(nodes[1].pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        receipt = nodes[0].revoke(key)
        assert time.monotonic() - begun >= TURN
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


def test_a_node_that_is_stopped_in_order_is_waited_for_by_nobody(nodes):
    assert nodes[1].stop() == 0
    assert "node1" not in nodes.known()
    receipt = nodes[0].revoke(nodes[0].key("storage"))
    assert "node1" not in states(receipt)
    nodes[1].serve(workers=1)
