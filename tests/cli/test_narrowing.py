"""`latchgate key unused` and `key narrow`, against a running server."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


def test_a_key_is_narrowed_and_the_server_follows(server):
    made = server.cli("key", "create", "--service", "storage", "--name", "wide", "--json").json
    assert server.allows(made["key"])
    refused = server.cli("key", "narrow", made["id"], "--unused", "90d")
    assert refused.code == 1
    assert "younger than 90 days" in refused.err
    dry = server.cli("key", "narrow", made["id"], "--keep", "storage:write", "--dry-run")
    assert (dry.code, "Nothing was changed." in dry.out) == (0, True)
    assert server.allows(made["key"])
    done = server.cli("key", "narrow", made["id"], "--keep", "storage:write")
    assert done.code == 0
    assert "storage:delete, storage:read" in done.out
    assert not server.allows(made["key"])
    told = server.cli("key", "unused", made["id"], "--json").json
    assert (told["scopes"], told["proven"]) == (["storage:write"], False)
    listed = server.cli("key", "unused").out
    assert made["id"] in listed
    assert server.cli("key", "narrow", made["id"]).code == 2
    assert server.cli("key", "narrow", made["id"], "--unused", "36h").code == 2
