"""The feed over HTTP: who may follow, what is refused and how, and that it never tells a secret."""

from __future__ import annotations

import base64
import secrets

import msgspec
import pytest
from tests.e2e.test_attacks_journal import somebody
from tests.world import http_request

from latchgate.core.feed import FORMAT, READABLE, FeedPlace

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

FEED = "/manage/v1/feed"
NONCE = "0123456789abcdef"


@pytest.fixture(scope="module")
def token(server):
    return server.create("verifier")["key"]


@pytest.fixture
def call(server, token):
    def ask(method, path, told=None, **more):
        return server.call(method, FEED + path, told, token=more.pop("token", token), **more)

    return ask


def registration(**more):
    told = {
        "format": FORMAT,
        "incarnation": secrets.token_hex(8),
        "node": "edge-1",
        "process": 7,
        "program": "1.0",
        "trust": 2.0,
        "stale": False,
        "tenants": None,
    }
    return told | more


@pytest.fixture
def edge(call):
    """An edge's path, and where it begins."""
    asked = registration()
    answer = call("POST", "/edges", asked)
    assert answer.status == 201, answer.body
    path = f"/edges/{asked['incarnation']}"
    yield path, answer.json["place"]
    assert call("DELETE", path).status == 204


def test_a_heartbeat_is_answered_with_its_nonce_and_what_changed(call, edge, world):
    path, place = edge
    key = world.key()
    told = call("POST", f"{path}/beat", {"since": place, "timeline": "", "nonce": NONCE})
    assert (told.status, told.json["nonce"]) == (200, NONCE)
    assert told.headers["cache-control"] == "no-store"
    assert [world.head(), "credential", key.id] in told.json["changes"]
    msgspec.convert(told.json["place"], FeedPlace)


def test_who_waits_hears_of_a_change_and_of_none_when_the_time_is_over(call, edge, world):
    head = world.head()
    assert call("GET", f"/wait?position={head}&seconds=0.01").json["position"] == head
    assert call("GET", f"/wait?position={head - 1}&seconds=60").json["position"] >= head
    assert call("GET", "/head").json == {"head": head}


def test_the_policy_is_told_by_version_and_not_twice(call):
    newest = call("GET", "/policy")
    version, tag = newest.json["version"], newest.headers["etag"]
    assert call("GET", f"/policy/{version}").json == newest.json
    again = call("GET", "/policy", headers={"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")
    assert call("GET", "/policy", headers={"If-None-Match": '"0"'}).status == 200
    none = call("GET", "/policy/0").json
    assert (none["version"], none["files"], none["timeline"]) == (0, {}, "")
    for wrong in ("999", "one", "-1", "1.5"):
        assert call("GET", f"/policy/{wrong}").status == 404


@pytest.mark.parametrize(
    ("path", "told", "field"),
    [
        ("/edges", registration(format=2), "format"),
        ("/edges", registration(node="two words"), "node"),
        ("/edges", registration(tenants=["t-nowhere"]), "tenants"),
        ("/edges", registration(trust="long"), "trust"),
        ("/edges", {}, "body"),
        ("/edges/0123456789abcdef/beat", {"since": {}, "timeline": "", "nonce": NONCE}, "since"),
        ("/edges/0123456789abcdef/beat", {"since": None, "timeline": "", "nonce": NONCE}, "since"),
        ("/edges/0123456789abcdef/records", {"keys": [["session", "x"]]}, "keys[0]"),
        ("/edges/0123456789abcdef/records", {"keys": [["user"]]}, "keys[0]"),
        ("/edges/0123456789abcdef/records", {"keys": [["user", "x"]] * 1_001}, "keys"),
        ("/edges/0123456789abcdef/proof", {"keys": [], "nonce": "short"}, "nonce"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_the_name_of_its_field(call, path, told, field):
    answer = call("POST", path, told)
    assert (answer.status, answer.code) == (422, "invalid"), answer.body
    assert answer.json["errors"][0]["field"].startswith(field)


@pytest.mark.parametrize("query", ["", "?position=x", "?position=1&seconds=-1", "?other=1"])
def test_a_query_that_cannot_be_taken_is_refused(call, query):
    assert call("GET", f"/wait{query}").status == 422


def test_an_edge_that_is_not_there_is_gone_whatever_it_asks(call, edge):
    _, place = edge
    for path, told in (
        ("beat", {"since": place, "timeline": "", "nonce": NONCE}),
        ("records", {"keys": [["user", "x"]]}),
        ("proof", {"keys": [], "nonce": NONCE}),
    ):
        for name in (secrets.token_hex(8), "%2e%2e", "x" * 2_000, "a%00b"):
            answer = call("POST", f"/edges/{name}/{path}", told)
            assert answer.status in {400, 404, 410}, answer.body
    assert call("DELETE", f"/edges/{secrets.token_hex(8)}").status == 204


def test_an_edge_is_its_credentials_and_no_other_acknowledges_for_it(server, call, edge):
    path, place = edge
    other = server.create("verifier")["key"]
    told = {"since": place, "timeline": "", "nonce": NONCE}
    assert call("POST", f"{path}/beat", told, token=other).status == 410
    assert call("POST", f"{path}/beat", told).status == 200


def test_only_the_scope_opens_it_and_a_tenants_administrator_has_it_not(server, call):
    assert call("GET", "/head", token=server.create("manage")["key"]).status == 403
    assert call("GET", "/head", token=server.create("verifier", scopes=[])["key"]).status == 403
    assert http_request("GET", server.addresses["api"] + FEED + "/head").status == 401
    made = server.call(
        "POST", "/manage/v1/tenants", {"name": f"t {secrets.token_hex(3)}", "user": "eve"}
    ).json
    roles = server.call("GET", "/manage/v1/roles", token=made["token"]).json["roles"]
    held = {scope for role in roles for scope in role["scopes"]}
    assert "manage:keys.write" in held
    assert not {scope for scope in held if scope.startswith(("verifier:", "operator:"))}


def test_a_key_may_follow_its_own_tenant_without_the_right_to_all(server, call, world):
    own = server.create("verifier", scopes=["verifier:follow"])["key"]
    answer = call("POST", "/edges", registration(), token=own)
    assert answer.json["tenants"] == [world.owner.tenant_id]
    other = world.tenant()
    refused = call("POST", "/edges", registration(tenants=[other]), token=own)
    assert (refused.status, refused.code) == (403, "forbidden")


def test_no_answer_holds_a_secret(server, call, edge, world):
    path, place = edge
    user = somebody(server)
    secret = [server.create("storage")["key"], server.token]
    made = server.call("POST", f"/manage/v1/users/{user}/basic", {}).json
    chosen = server.call("POST", f"/manage/v1/users/{user}/password", {}).json
    hook = server.call("POST", "/manage/v1/webhooks", {"url": "https://hooks.example.com/"}).json
    secret += [made["password"], chosen["password"], hook["secret"]]
    everything = [[str(row.noun), row.record] for row in world.journal()]
    keys = [one for one in everything if one[0] in READABLE][-900:]
    keys += [["login", f"{one['namespace']}:{one['login']}"] for one in (made, chosen)]
    answers = [
        call("POST", f"{path}/beat", {"since": place, "timeline": "", "nonce": NONCE}).body,
        call("POST", f"{path}/records", {"keys": keys}).body,
        call("POST", f"{path}/proof", {"keys": keys, "nonce": NONCE}).body,
        call("GET", "/policy").body,
    ]
    # A hash of a chosen password is told: it is what edges check it by.
    assert any(one.startswith(b"$argon2id$") for one in digests(answers[1]))
    key = (server.folder / "master.key").read_bytes().strip()
    for told in answers:
        assert len(told) > 100
        for text in (*map(str.encode, secret), key):
            assert text.rpartition(b"_")[2] not in told


def digests(body):
    for one in msgspec.json.decode(body)["records"]:
        if one["noun"] == "credential" and one["record"] is not None:
            yield base64.b64decode(one["record"]["digest"])
