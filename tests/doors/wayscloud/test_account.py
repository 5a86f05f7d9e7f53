"""The profile that `cloud login` and `cloud whoami` ask for, with any credential that stands."""

from __future__ import annotations

import pytest
from tests.world import http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PROFILE = "/api/v1/dashboard/account/profile"
SCOPES = {
    "pat": ["storage:read"],
    "storage": ["storage:delete", "storage:read", "storage:write"],
    "llm": ["llm:inference", "llm:models"],
}


@pytest.mark.parametrize("service", ["pat", "storage", "llm"])
def test_any_key_may_ask_who_it_acts_for(server, service):
    more = {"scopes": ["storage:read"]} if service == "pat" else {}
    key = server.create(service, **more)["key"]
    who = server.call("GET", "/manage/v1/account").json
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        answer = http_request("GET", server.addresses["api"] + PROFILE, headers=headers)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json == {
            "customer_id": who["tenant_id"],
            "email": who["user"]["email"],
            "name": "admin",
            "customer_type": "main",
            "scopes": SCOPES[service],
            "expires_at": None,
        }


def test_it_says_until_when_the_key_stands(server):
    made = server.create("llm", expires_at="2099-01-01T00:00:00Z")
    told = server.call("GET", PROFILE, token=made["key"]).json
    assert told["expires_at"] == "2099-01-01T00:00:00Z" == made["expires_at"]


def test_a_key_without_a_scope_may_ask_and_a_revoked_one_may_not(server):
    made = server.create("storage", scopes=[])
    answer = server.call("GET", PROFILE, token=made["key"])
    assert (answer.status, answer.json["scopes"]) == (200, [])
    server.call("DELETE", f"/manage/v1/keys/{made['id']}")
    refused = server.call("GET", PROFILE, token=made["key"])
    assert refused.status == 401
    assert refused.body == b'{"error":"Invalid or expired API key","code":"AUTH_FAILED"}'


def test_a_key_from_outside_its_networks_may_not_ask(server):
    made = server.create("storage", allowed_ip_ranges=["203.0.113.0/24"])
    refused = server.call("GET", PROFILE, token=made["key"])
    assert (refused.status, refused.json["code"]) == (403, "INSUFFICIENT_PERMISSIONS")


def test_it_is_read_and_nothing_else(server):
    assert server.call("HEAD", PROFILE).body == b""
    for method in ("POST", "PUT", "DELETE"):
        refused = server.call(method, PROFILE, {} if method != "DELETE" else None)
        assert (refused.status, refused.json["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert server.call("GET", f"{PROFILE}/more").status == 404
