"""The own keys at WAYSCloud's dashboard, over a socket, as its documents describe them."""

from __future__ import annotations

import msgspec
import pytest
from tests.asking import allows
from tests.world import Server, http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KEYS = "/api/v1/dashboard/api-keys"
AUTH_FAILED = b'{"error":"Invalid or expired API key","code":"AUTH_FAILED"}'
FORBIDDEN = (
    b'{"error":"API key does not have permission for this service",'
    b'"code":"INSUFFICIENT_PERMISSIONS"}'
)
LISTED = {
    *("id", "name", "key_prefix", "key_type", "service", "services", "description", "scopes"),
    *("ip_whitelist", "is_active", "created_at", "last_used_at", "expires_at", "revoked_at"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with one worker and the shipped policy."""
    made = Server.started(tmp_path_factory.mktemp("keys") / "lg")
    yield made
    made.kill()


def made(server, **form):
    answer = server.call("POST", KEYS, {"name": "made by a test", **form})
    assert answer.status == 201, answer.body
    return answer.json


def wrong(server, form):
    answer = server.call("POST", KEYS, form)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert set(answer.json) == {"error", "code"}
    assert answer.json["code"] == "INVALID_PARAMETER"
    return answer.json["error"]


def test_the_documents_own_request_makes_a_key_that_works(server):
    answer = server.call(
        "POST",
        KEYS,
        {
            "name": "Production Storage Key",
            "service": "storage",
            "description": "Production environment storage access",
        },
    )
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    assert set(told) == {*LISTED, "key"}
    assert told["key"].startswith(f"wayscloud_storage_{told['id']}_")
    assert answer.headers["location"] == f"{KEYS}/{told['id']}"
    assert (told["name"], told["service"]) == ("Production Storage Key", "storage")
    assert told["description"] == "Production environment storage access"
    assert told["scopes"] == ["storage:delete", "storage:read", "storage:write"]
    assert (told["is_active"], told["ip_whitelist"], told["last_used_at"]) == (True, None, None)
    assert server.allows(told["key"])
    assert not server.allows(told["key"], target="/v1/models")


def test_one_key_may_be_for_several_services(server):
    told = made(server, services=["llm", "dns"])
    assert (told["service"], told["services"]) == ("llm", ["llm", "dns"])
    assert server.allows(told["key"], target="/v1/models")
    assert server.allows(told["key"], target="/v1/dns/zones", method="POST")
    assert not server.allows(told["key"])


@pytest.mark.parametrize(
    ("whitelist", "stored"),
    [
        ("192.0.2.1", ["192.0.2.1/32"]),
        ("192.0.2.0/24", ["192.0.2.0/24"]),
        (
            "192.0.2.1, 198.51.100.0/24,2001:db8::/32",
            ["192.0.2.1/32", "198.51.100.0/24", "2001:db8::/32"],
        ),
        (["192.0.2.1", "198.51.100.0/24"], ["192.0.2.1/32", "198.51.100.0/24"]),
    ],
)
def test_a_whitelist_is_an_address_a_network_or_several(server, whitelist, stored):
    told = made(server, service="storage", ip_whitelist=whitelist)
    assert told["ip_whitelist"] == stored
    sent = {"Authorization": f"Bearer {told['key']}"}
    assert allows(server, "/v1/storage/a", sent, client="192.0.2.1")
    assert not allows(server, "/v1/storage/a", sent, client="203.0.113.1")


def test_the_list_holds_all_keys_with_what_the_dashboard_shows_and_no_secret(server):
    for number in range(3):
        made(server, service="dns", name=f"listed {number}")
    told = server.call("GET", KEYS)
    assert told.status == 200
    assert isinstance(told.json, list)
    assert all(set(one) == LISTED for one in told.json)
    assert [one["name"] for one in told.json][-3:] == ["listed 0", "listed 1", "listed 2"]
    assert b'"key":' not in told.body
    part = server.call("GET", f"{KEYS}?limit=2&offset=1").json
    assert part == told.json[1:3]
    assert server.call("GET", f"{KEYS}?offset={len(told.json)}").json == []
    shown = server.call("GET", f"{KEYS}/{told.json[0]['id']}")
    assert shown.json["id"] == told.json[0]["id"]
    head = server.call("HEAD", KEYS)
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "page=2", "limit=1&limit=2"])
def test_a_query_that_would_hide_keys_by_mistake_is_refused(server, query):
    answer = server.call("GET", f"{KEYS}?{query}")
    assert (answer.status, answer.json["code"]) == (400, "INVALID_PARAMETER")


def test_when_a_key_was_last_used_is_listed(server):
    told = made(server, service="storage")
    assert server.allows(told["key"])
    server.stop()
    server.start()
    (one,) = [one for one in server.call("GET", KEYS).json if one["id"] == told["id"]]
    assert one["last_used_at"] is not None


def test_revoking_is_at_once_and_for_good(server):
    told = made(server, service="storage")
    assert server.allows(told["key"])
    answer = server.call("DELETE", f"{KEYS}/{told['id']}")
    assert answer.status == 200
    assert not server.allows(told["key"])
    assert (answer.json["is_active"], answer.json["id"]) == (False, told["id"])
    assert answer.json["revoked_at"] is not None
    again = server.call("DELETE", f"{KEYS}/{told['id']}")
    assert (again.status, again.json) == (200, answer.json)
    for method in ("PUT", "PATCH"):
        assert server.call(method, f"{KEYS}/{told['id']}", {}).status == 405
    listed = {one["id"]: one["is_active"] for one in server.call("GET", KEYS).json}
    assert listed[told["id"]] is False


def test_a_key_across_services_has_exactly_the_scopes_that_were_named(server):
    scopes = ["storage:read", "llm:models", "own:keys.read"]
    told = made(server, service="pat", scopes=scopes)
    assert told["key"].startswith(f"wayscloud_pat_{told['id']}_")
    assert (told["key_type"], told["service"]) == ("pat", "pat")
    assert told["scopes"] == sorted(scopes)
    assert sorted(told["services"]) == ["llm", "own", "storage"]
    key = told["key"]
    assert server.allows(key)
    assert server.allows(key, target="/v1/models")
    assert not server.allows(key, method="PUT")
    assert not server.allows(key, target="/v1/chat/completions", method="POST")
    assert not server.allows(key, target="/v1/dns")
    assert server.call("GET", KEYS, token=key).status == 200
    assert server.call("DELETE", f"{KEYS}/{told['id']}", token=key).body == FORBIDDEN


def test_the_spelling_of_a_key_opens_nothing_its_record_does(server):
    told = made(server, service="storage")
    other = told["key"].replace("wayscloud_storage_", "wayscloud_pat_")
    assert not server.allows(other)
    assert not server.allows(other, target="/v1/models")


def test_a_key_across_services_is_made_on_the_command_line_too(server):
    run = server.cli(
        *("key", "create", "--service", "pat", "--name", "laptop"),
        *("--scope", "storage:read", "--scope", "llm:models", "--json"),
    )
    assert run.code == 0, run.err
    told = msgspec.json.decode(run.out)
    assert told["key"].startswith("wayscloud_pat_")
    assert (told["services"], told["scopes"]) == (
        ["storage", "llm"],
        ["llm:models", "storage:read"],
    )
    assert server.allows(told["key"], target="/v1/models")
    refused = server.cli("key", "create", "--service", "pat", "--name", "laptop")
    assert refused.code == 1
    assert "scopes" in refused.err


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "name"),
        ({"name": "x"}, "service"),
        ({"name": "x", "service": "storage", "services": ["llm"]}, "service"),
        ({"name": "", "service": "storage"}, "name"),
        ({"name": 5, "service": "storage"}, "name"),
        ({"name": "x", "service": 5}, "service"),
        ({"name": "x", "services": "storage"}, "services"),
        ({"name": "x", "services": []}, "services"),
        ({"name": "x", "services": ["llm", "llm"]}, "services"),
        ({"name": "x", "service": "nope"}, "service"),
        ({"name": "x", "service": "manage"}, "service"),
        ({"name": "x", "service": "dav"}, "service"),
        ({"name": "x", "services": ["pat", "llm"], "scopes": ["llm:models"]}, "services"),
        ({"name": "x", "service": "pat"}, "scopes"),
        ({"name": "x", "service": "pat", "scopes": ["*"]}, "scopes"),
        ({"name": "x", "service": "pat", "scopes": ["manage:keys.write"]}, "scopes"),
        ({"name": "x", "service": "storage", "scopes": ["llm:models"]}, "scopes"),
        ({"name": "x", "service": "storage", "ip_whitelist": ""}, "ip_whitelist"),
        ({"name": "x", "service": "storage", "ip_whitelist": []}, "ip_whitelist"),
        ({"name": "x", "service": "storage", "ip_whitelist": "a.example"}, "ip_whitelist"),
        ({"name": "x", "service": "storage", "ip_whitelist": "1.2.3.4/99"}, "ip_whitelist"),
        ({"name": "x", "service": "storage", "ip_whitelist": ["1.2.3.4", ""]}, "ip_whitelist"),
        ({"name": "x", "service": "storage", "owner_id": "u-1"}, "owner_id"),
    ],
    ids=str,
)
def test_a_field_that_can_not_be_taken_is_named_and_nothing_is_made(server, form, said):
    before = len(server.call("GET", KEYS).json)
    assert wrong(server, form).startswith(said)
    assert len(server.call("GET", KEYS).json) == before


def test_a_body_that_is_no_json_object_is_refused(server):
    headers = {"Authorization": f"Bearer {server.token}"}
    url = server.addresses["api"] + KEYS
    json_type = {**headers, "Content-Type": "application/json"}
    for body, sent, status, code in (
        (b"{", json_type, 400, "INVALID_PARAMETER"),
        (b"[]", json_type, 400, "INVALID_PARAMETER"),
        (b"\xff", json_type, 400, "INVALID_PARAMETER"),
        (b"{}", headers, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b" " * 1_100_000, json_type, 413, "PAYLOAD_TOO_LARGE"),
    ):
        answer = http_request("POST", url, headers=sent, body=body)
        assert (answer.status, answer.json["code"]) == (status, code)
        assert set(answer.json) == {"error", "code"}


def test_every_refusal_below_the_dashboard_is_in_its_dialect(server):
    assert server.call("GET", "/api/v1/dashboard/nowhere").json["code"] == "NOT_FOUND"
    assert server.call("GET", f"{KEYS}/none").json == {
        "error": "API key not found",
        "code": "NOT_FOUND",
    }
    refused = server.call("PUT", KEYS, {})
    assert (refused.status, refused.json["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert refused.headers["allow"]
    assert server.call("DELETE", KEYS).json["code"] == "METHOD_NOT_ALLOWED"


def test_without_a_right_key_it_is_401_and_without_the_right_403_to_the_letter(server):
    storage = made(server, service="storage")["key"]
    url = server.addresses["api"] + KEYS
    for headers in (
        {},
        {"Authorization": "Bearer wayscloud_storage_abc123_XyZ789SecretKey"},
        {"Authorization": f"bearer {storage}"},
        {"Authorization": f"Bearer  {storage}"},
        {"Authorization": storage},
        {"Authorization": "Bearer ucat_01DQ6P2SBAWPA8AB0AFGQYCR13"},
        {"X-API-Key": "wayscloud_storage_abc123_XyZ789SecretKey"},
    ):
        for method in ("GET", "POST", "DELETE"):
            path = f"{url}/x" if method == "DELETE" else url
            answer = http_request(method, path, headers=headers)
            assert (answer.status, answer.body) == (401, AUTH_FAILED), headers
    for headers in ({"Authorization": f"Bearer {storage}"}, {"X-API-Key": storage}):
        answer = http_request("GET", url, headers=headers)
        assert (answer.status, answer.body) == (403, FORBIDDEN)


def test_d5_38_nobody_makes_a_key_with_more_than_they_hold(server):
    pat = made(server, service="pat", scopes=["storage:read", "own:keys.write"])["key"]
    wide = server.call("POST", KEYS, {"name": "x", "service": "storage"}, token=pat)
    assert (wide.status, wide.body) == (403, FORBIDDEN)
    asked = {"name": "x", "service": "storage", "scopes": ["storage:read"]}
    narrow = server.call("POST", KEYS, asked, token=pat)
    assert narrow.status == 201
    assert not server.allows(narrow.json["key"], method="PUT")


def test_latchgates_own_tokens_are_not_this_providers_keys(server):
    own = made(server, service="storage")["id"]
    token = server.call("GET", "/manage/v1/account").json["credential_id"]
    listed = {one["id"] for one in server.call("GET", KEYS).json}
    assert own in listed
    assert token not in listed
    assert server.call("GET", f"{KEYS}/{token}").status == 404
    assert server.call("DELETE", f"{KEYS}/{token}").status == 404


def test_two_keys_in_one_request_count_together_when_both_are_right(server):
    storage, llm = made(server, service="storage"), made(server, service="llm")
    both = {"Authorization": f"Bearer {storage['key']}", "X-API-Key": llm["key"]}
    turned = {"Authorization": f"Bearer {llm['key']}", "X-API-Key": storage["key"]}
    for sent in (both, turned):
        assert allows(server, "/v1/storage/a", sent)
        assert allows(server, "/v1/models", sent)
        assert not allows(server, "/v1/dns", sent)
    server.call("DELETE", f"{KEYS}/{llm['id']}")
    for sent in (both, turned, {**both, "X-API-Key": "nothing of ours"}):
        assert not allows(server, "/v1/storage/a", sent)
