"""Receipts by number, not waiting for one, and what is running: over a real server."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from tests.world import Server

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
NO_WAIT = {"Prefer": "respond-async"}


def listed(server):
    """Return what is listed by now: receipts are written a moment after they were given."""
    return server.call("GET", "/manage/v1/status/receipts").json["receipts"]


def test_a_receipt_can_be_asked_for_later_and_again(server):
    made = server.create()
    n = server.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]["journal"]
    for _ in range(2):
        told = server.call("GET", f"/manage/v1/receipts/{n}").json
        assert (told["journal"], told["waited"], told["known"]) == (n, True, True)
        assert [one["state"] for one in told["verifiers"]] == ["acknowledged"]


def test_whoever_does_not_want_to_wait_is_told_the_number(server):
    made = server.create()
    answer = server.call("DELETE", f"/manage/v1/keys/{made['id']}", headers=NO_WAIT)
    assert answer.headers["preference-applied"] == "respond-async"
    receipt = answer.json["receipt"]
    assert (receipt["waited"], receipt["known"], receipt["verifiers"]) == (False, False, [])
    told = server.call("GET", f"/manage/v1/receipts/{receipt['journal']}").json
    assert told["waited"]
    assert not server.allows(made["key"])


@pytest.mark.parametrize(
    "told", ["wait=5", "respond-asynchronously", "return=minimal; respond-async", ""]
)
def test_other_preferences_are_not_heeded(server, told):
    made = server.create()
    path = f"/manage/v1/keys/{made['id']}"
    answer = server.call("DELETE", path, headers={"Prefer": told})
    assert "preference-applied" not in answer.headers
    assert answer.json["receipt"]["waited"]


def test_the_preference_is_found_among_others(server):
    made = server.create()
    path = f"/manage/v1/keys/{made['id']}"
    prefer = {"Prefer": 'return=minimal, Respond-Async ; foo="x", wait=10'}
    assert not server.call("DELETE", path, headers=prefer).json["receipt"]["waited"]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1e3", "01", "1" * 19, "%D9%A3"])
def test_what_is_no_number_of_a_change_is_refused(server, number):
    answer = server.call("GET", f"/manage/v1/receipts/{number}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "journal")


def test_a_change_that_is_not_there_yet_has_no_receipt(server, world):
    answer = server.call("GET", f"/manage/v1/receipts/{world.head() + 1}")
    assert answer.status == 404
    assert f"the last one is {world.head()}" in answer.json["detail"]


def test_the_last_receipts_are_listed_newest_first(server):
    made = server.create()
    path = f"/manage/v1/keys/{made['id']}"
    n = server.call("DELETE", path).json["receipt"]["journal"]
    assert server.call("DELETE", path).json["receipt"]["journal"] == n
    give_up = time.monotonic() + 30
    while [one["journal"] for one in listed(server)[:2]] != [n, n]:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    found = listed(server)
    assert found[0]["acknowledged"] == 1
    assert [one["at"] for one in found] == sorted((one["at"] for one in found), reverse=True)
    assert len(server.call("GET", "/manage/v1/status/receipts?limit=1").json["receipts"]) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "a=1"])
def test_a_wrong_query_is_refused(server, query):
    assert server.call("GET", f"/manage/v1/status/receipts?{query}").status == 422


def test_status_shows_who_follows_and_how_far(server, world):
    told = server.call("GET", "/manage/v1/status").json
    assert (told["database"], told["head"], told["settled"]) == ("sqlite", world.head(), True)
    assert (told["timeline"], told["jobs"]) == (None, None)
    (one,) = told["verifiers"]
    assert (one["process"], one["lag"], one["state"]) == (server.pid, 0, "live")
    assert (one["trust_seconds"], one["seen_seconds_ago"], one["node"]) == (None, None, None)


@pytest.mark.parametrize("path", ["status", "status/receipts", "receipts/1"])
def test_it_takes_a_scope_of_its_own(server, path):
    made = server.create("manage", scopes=["manage:keys.write"])
    answer = server.call("GET", f"/manage/v1/{path}", token=made["key"])
    assert answer.status == 403


def test_the_command_line_shows_status_and_waits_for_receipts(server):
    made = server.create()
    done = server.cli("key", "revoke", made["id"], "--no-wait")
    assert (done.code, done.err) == (0, "")
    number = next(line.split()[1] for line in done.out.splitlines() if line.startswith("journal"))
    assert f"not waited for; latchgate receipt {number} does" in done.out
    assert f"journal    {number}" in server.cli("receipt", number).out
    assert server.cli("receipt", number, "--json").json["waited"]
    shown = server.cli("status").out
    assert f"{server.pid}" in shown
    assert re.search(r"^settled +yes$", shown, re.MULTILINE)
    assert server.cli("status", "--json").json["database"] == "sqlite"


@pytest.fixture
def draining(tmp_path):
    made = Server.made(tmp_path / "lg")
    made.config.write_text(made.config.read_text() + "\n[node]\ndrain = 300\n")
    made.start()
    yield made
    made.kill()


def test_a_server_that_is_told_to_stop_says_so_first_and_takes_requests_meanwhile(draining):
    victim = draining
    assert victim.call("GET", "/readyz").status == 200
    os.kill(victim.pid, signal.SIGTERM)
    give_up = time.monotonic() + 30
    while (answer := victim.call("GET", "/readyz")).status == 200:
        assert time.monotonic() < give_up
    assert (answer.status, answer.json["detail"]) == (503, "The server is stopping.")
    made = victim.create()
    assert victim.allows(made["key"])
    assert victim.stop() == 0  # a second signal hurries
