"""An alert is raised by the server itself, of real requests, and read over its API."""

from __future__ import annotations

import time

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

WAIT_SECONDS = 60


def test_requests_of_a_key_raise_an_alert_which_the_command_line_shows(server):
    made = server.cli("key", "create", "--service", "storage", "--name", "busy", "--json").json
    alert = server.cli(
        *("alert", "create", "--name", "Busy", "--kind", "requests_per_day", "--threshold", "3"),
        *("--credential", made["id"], "--json"),
    ).json
    for _ in range(4):
        assert server.allows(made["key"])
    deadline = time.monotonic() + WAIT_SECONDS
    while not (raised := server.cli("alert", "history", alert["id"], "--json").json["raised"]):
        assert time.monotonic() < deadline, "no alert was raised"
        time.sleep(0.5)
    assert [one["subject"] for one in raised] == [made["id"]]
    assert raised[0]["data"]["value"] >= 3
    shown = server.cli("alert", "show", alert["id"], "--json").json
    assert shown["last_raised_at"] is not None
    assert server.cli("alert", "update", alert["id"], "--inactive").code == 0
    assert "Busy" in server.cli("alert", "list").out
    assert server.cli("alert", "delete", alert["id"]).code == 0
    assert server.cli("alert", "show", alert["id"]).code == 1
