"""`rotate`, `disable` and `enable`, as transcripts against a running server."""

from __future__ import annotations

import pytest

from latchgate.cli.rotation import _hours

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def make(server):
    return server.cli("key", "create", "--service", "storage", "--name", "n", "--json").json


def test_rotate_says_plainly_when_the_old_one_ends(server):
    key = make(server)
    done = server.cli("key", "rotate", key["id"], "--grace", "2d", "--until-quiet", "24h")
    assert (done.code, done.err) == (0, "")
    assert f"The old one, {key['id']}, works until " in done.out
    assert "or until it was unused for 24h." in done.out
    assert done.out.endswith("The secret is shown this once.\n")
    told = server.cli("key", "rotation", key["id"], "--json").json
    assert (told["id"], told["ended"]) == (key["id"], False)
    again = server.cli("key", "rotate", key["id"])
    assert (again.code, told["successor"]["id"] in again.err) == (1, True)


def test_rotate_without_a_grace_prints_the_receipt(server):
    key = make(server)
    done = server.cli("key", "rotate", key["id"], "--grace", "0")
    assert "acknowledged" in done.out
    assert f"The old one, {key['id']}, works no more." in done.out
    assert not server.allows(key["key"])


def test_rotate_prints_json_for_programs(server):
    key = make(server)
    told = server.cli("key", "rotate", key["id"], "--json").json
    assert server.allows(told["secret"])
    assert server.allows(key["key"])


def test_disable_and_enable_print_the_receipt(server):
    key = make(server)
    assert "acknowledged" in server.cli("key", "disable", key["id"]).out
    assert not server.allows(key["key"])
    assert server.cli("key", "enable", key["id"], "--json").json["active"]
    assert server.allows(key["key"])


def test_spans_are_named_by_their_largest_whole_unit():
    told = {86_400: "24h", 172_800: "2d", 3_600: "1h", 90: "90s", 5_400: "90min", 7_200: "2h"}
    assert {seconds: _hours(seconds) for seconds in told} == told
