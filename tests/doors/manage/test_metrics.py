"""Metrics of a server with two workers, read as Prometheus reads them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.wire import Wire
from tests.world import Server, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("server") / "lg", workers=2)
    yield made
    made.kill()


def scraped(server, token=None):
    """Return every sample by its name and labels."""
    answer = server.call("GET", "/metrics", token=token)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def at(server, listener):
    """Return where a listener answers, as a socket is told."""
    parts = urlsplit(server.addresses[listener])
    return parts.hostname, parts.port


def decisions(found, **labels):
    return found.get(("latchgate_decisions_total", tuple(sorted(labels.items()))), 0)


def test_decisions_of_all_workers_are_counted_exactly(server):
    key = server.create(scopes=["storage:read"])["key"]
    allowed = {"area": "/v1/storage", "outcome": "allowed", "reason": "allowed"}
    refused = {"area": "/v1/storage", "outcome": "refused", "reason": "scope_not_granted"}
    before = scraped(server)
    for _ in range(30):  # each on a connection of its own: both workers take some
        assert server.allows(key)
    for _ in range(5):
        assert not server.allows(key, method="PUT")

    def told():
        found = scraped(server)
        return [decisions(found, **one) - decisions(before, **one) for one in (allowed, refused)]

    until(lambda: told() == [30, 5], seconds=30, what="the counts")
    server.stop()
    server.start()
    assert told() == [30, 5]  # a counter goes on where it was


def test_the_server_says_what_it_holds_and_what_it_is(server):
    before = scraped(server)
    made = server.create()
    server.call("DELETE", f"/manage/v1/keys/{made['id']}")
    kind = ("kind", "wayscloud.service_key")
    revoked = ("latchgate_credentials", (kind, ("state", "revoked")))
    until(  # counted by each worker in its time
        lambda: scraped(server).get(revoked) == before.get(revoked, 0) + 1,
        seconds=30,
        what="the revoked key",
    )
    found = scraped(server)
    head = ("latchgate_journal_head", ())
    assert found[head] == before[head] + 2
    assert found["latchgate_verifiers", ()] == 2
    assert found["latchgate_policy_version", ()] >= 1
    assert [value for (name, _), value in found.items() if name == "latchgate_build_info"] == [1]
    for what in ("count", "refusal"):
        assert found["latchgate_usage_dropped_total", (("what", what),)] == 0


def test_who_asks_makes_no_series(server):
    for number in range(20):
        server.verdict(f"wayscloud_storage_{number}_{number}", target=f"/nowhere/{number}")
        server.verdict("x", target=f"/v1/storage/{number}", method=f"M{number}")
    unknown = {"area": "", "outcome": "refused", "reason": "no_area"}
    until(lambda: decisions(scraped(server), **unknown) == 20, seconds=30, what="the counts")
    areas = {dict(labels).get("area", "") for _, labels in scraped(server)}
    assert not [area for area in areas if re.search("nowhere|[0-9]{2}", area)]


def test_a_token_with_the_scope_alone_opens_metrics(server):
    path = "/metrics"
    token = server.create("operator", scopes=["operator:metrics.read"])["key"]
    scraped(server, token)
    other = server.create("operator", scopes=["operator:policy.read"])["key"]
    assert server.call("GET", path, token=other).code == "insufficient_scope"
    assert server.call("GET", path, headers={"Authorization": ""}).status == 401
    assert server.call("POST", path).status == 405
    assert server.call("HEAD", path).body == b""


def test_what_listeners_turn_away_is_counted_by_listener_and_why(server):
    def away(listener, why):
        labels = (("listener", listener), ("reason", why))
        return scraped(server)["latchgate_requests_turned_away_total", labels]

    doors = {listener: at(server, listener) for listener in ("api", "console", "verify")}
    before = {listener: away(listener, "request_invalid") for listener in doors}
    for times, address in enumerate(doors.values(), 1):
        for _ in range(times):
            with Wire(address) as wire:
                wire.send(b"GET / HTTP/1.1\r\n\r\n")  # without a Host
                assert wire.answer().status == 400

    def told():
        return [away(listener, "request_invalid") - before[listener] for listener in doors]

    until(lambda: told() == [1, 2, 3], seconds=30, what="the counts")
    server.stop()
    server.start()
    assert told() == [1, 2, 3]
