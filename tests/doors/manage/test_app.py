"""The management API over HTTP: every route behind exactly its scope, strict, and by tenant."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
import time
from urllib.parse import quote, urlsplit

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import (
    BUILT_IN,
    FILES,
    WAYSCLOUD,
    Server,
    chain_faults,
    compiled,
    http_request,
    read_answer,
    until,
)

from latchgate.core.model import Noun
from latchgate.doors import leaks
from latchgate.doors.door import MAX_BODY
from latchgate.doors.manage import developers
from latchgate.doors.manage.app import OPERATIONS
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

POLICY = compiled({}, 0)
SCOPES = sorted(POLICY.scopes_of("manage") | POLICY.scopes_of("operator"))
# Developers come with a token of their own; tests/doors/manage/test_developers.py.
STRANGERS = [one for one in OPERATIONS if one.scope is None and one in developers.OPERATIONS]
PUBLIC = [one for one in OPERATIONS if one.scope is None and one not in STRANGERS]
OVERLAP = """\
provider = "x"
title = "X"
dialect = "problem"

[[areas]]
path = "/manage/v1/keys"
public = true
methods = ["GET"]
"""
STORAGE_KEY = {"name": "n", "services": ["storage"]}


def name(one):
    return f"{one.method} {one.path}" if hasattr(one, "path") else str(one)


def path_of(operation):
    return re.sub(r"{\w+}", "id", operation.path)


def area_of(operation):
    found = POLICY.match("", path_of(operation))
    assert found is not None
    return found


def fault_names(answer):
    assert answer.status == 422, answer.body
    return json.dumps(answer.json["errors"])


# --- routes (tests/doors/manage/test_scopes.py has every route under every scope)


@pytest.mark.parametrize("operation", PUBLIC, ids=name)
def test_public_routes_need_no_key_and_take_no_other_method(server, operation):
    url = server.addresses["api"] + operation.path
    assert http_request("GET", url).status == 200
    assert http_request("HEAD", url).body == b""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = http_request(method, url)
        assert answer.status == 405
        assert {one.strip() for one in answer.headers["allow"].split(",")} == {"GET", "HEAD"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=name)
def test_every_route_lies_in_an_area_that_asks_for_its_scope(operation):
    area = area_of(operation)
    methods = {operation.method, "HEAD"} if operation.method == "GET" else {operation.method}
    for method in methods:
        rule = area.rule(method)
        assert rule is not None
        assert rule.scope == operation.scope
    assert area.public is (operation.scope is None)
    taken = [] if area.public else ["latchgate.service_key", "latchgate.oauth_token"]
    assert [kind.name for kind in area.kinds] == taken


def test_every_rule_of_the_built_in_policy_is_some_routes():
    asked = {(area_of(one).path, one.method) for one in OPERATIONS}
    asked |= {(path, "HEAD") for path, method in asked if method == "GET"}
    asked.add((leaks.PATH, "POST"))  # partners' own door
    told = {(area.path, method) for area in POLICY.areas for method in area.rules}
    assert told == asked


@pytest.mark.parametrize(
    "path",
    [
        "/manage/v1/",
        "/manage/v1",
        "/manage/v2/keys",
        "/manage/v1/keys-admin",
        "/manage/v1/keys%2Fabc",
        "/manage/v1/openapi.json/x",
        "/healthz/x",
        "/Healthz",
        "/manage/v1/userss",
        "/",
        "/v1/nothing",
    ],
)
def test_what_is_not_a_route_is_not_found(server, path):
    assert server.call("GET", path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/manage/v1//keys",
        "/manage/v1/../v1/keys",
        "/manage/v1/%2e%2e/v1/keys",
        "/manage/v1/keys;x=1",
        "/manage/v1/keys/..;/policy",
        "/healthz/..%2f..%2fmanage/v1/keys",
        "/manage/v1/keys/%00",
        "/manage/v1/keys/a%5cb",
        "/manage/v1/keys/%252e%252e",
    ],
)
def test_a_path_that_two_programs_could_read_differently_is_refused(server, path):
    parts = urlsplit(server.addresses["api"])
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", path, headers={"Authorization": f"Bearer {server.token}"})
    answer = read_answer(connection)
    connection.close()
    assert (answer.status, answer.code) == (400, "request_invalid")


def test_the_host_header_is_never_used_to_make_a_link(server):
    # A redirect to whatever Host said is a link to somebody else's server (ATTACKS D1.15).
    for path in ("/manage/v1/keys/", "/manage/v1/policy/", "/manage/v1/keys"):
        answer = server.call("GET", path, headers={"Host": "evil.example"})
        assert "evil.example" not in answer.headers.get("location", "")
    assert server.call("GET", "/manage/v1/keys/").status == 404


def test_a_route_that_does_not_take_a_method_says_which_it_takes(server):
    for method, path, wanted in (
        ("DELETE", "/manage/v1/keys", {"GET", "HEAD", "POST"}),
        ("POST", "/manage/v1/keys/abc", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("PUT", "/manage/v1/keys", {"GET", "HEAD", "POST", "PATCH", "DELETE"}),
    ):
        answer = server.call(method, path)
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert {one.strip() for one in answer.headers["allow"].split(",")} == wanted


# --- making keys


def test_a_new_key_is_shown_once_and_no_cache_keeps_it(server, world):
    answer = server.call("POST", "/manage/v1/keys", STORAGE_KEY)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"/manage/v1/keys/{answer.json['id']}"
    made = answer.json
    assert set(made) >= {"id", "key", "services", "scopes", "created_at", "expires_at"}
    assert server.allows(made["key"])
    secret = made["key"].rpartition("_")[2]
    later = [
        server.call("GET", f"/manage/v1/keys/{made['id']}"),
        server.call("GET", "/manage/v1/keys?limit=1000"),
    ]
    for one in later:
        assert one.status == 200
        assert made["id"].encode() in one.body
        assert secret.encode() not in one.body
        assert one.headers["cache-control"] == "no-store"
    assert "key" not in later[0].json
    assert {field: later[0].json[field] for field in later[0].json} == {
        field: value for field, value in made.items() if field != "key"
    } | {field: later[0].json[field] for field in ("last_used_at", "last_used_from")}
    assert secret not in str(world.journal())
    until(lambda: server.call("GET", f"/manage/v1/keys/{made['id']}").json["last_used_at"])
    held = [path.read_bytes() for path in server.folder.rglob("*") if path.is_file()]
    assert not [one for one in held if secret.encode() in one]


def test_every_field_of_a_key_comes_back_as_it_was_given(server):
    asked = {
        "name": "Ünïcode name",
        "services": ["storage", "llm"],
        "description": "two\nlines",
        "scopes": ["storage:read"],
        "environment": "production",
        "external_id": "crm/7",
        "metadata": {"team": "blue"},
        "allowed_ip_ranges": ["192.0.2.77/24", "2001:db8::1"],
        "expires_at": "2099-01-01T00:00:00+02:00",
    }
    made = server.call("POST", "/manage/v1/keys", asked).json
    assert made["allowed_ip_ranges"] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert made["expires_at"] == "2098-12-31T22:00:00Z"
    for field in set(asked) - {"allowed_ip_ranges", "expires_at"}:
        assert made[field] == asked[field]
    assert (made["state"], made["revoked_at"]) == ("active", None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3_600), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5_400), ("1h30min", 5_400)],
)
def test_durations_as_people_write_them_are_taken(server, world, text, seconds):
    made = server.create(expires_in=text)
    row = world.one(sa.select(schema.credential).where(schema.credential.c.id == made["id"]))
    assert abs(row.expires_at - row.created_at - seconds) < 1


LONG = "x" * 3_000
BAD_FIELDS = [
    ("name", None),
    ("name", ""),
    ("name", 7),
    ("name", "x" * 256),
    ("name", "two\nlines"),
    ("name", "\x1b[31mred"),
    ("name", "a\x00b"),
    ("name", ["n"]),
    ("services", None),
    ("services", []),
    ("services", "storage"),
    ("services", ["nothing"]),
    ("services", ["storage", "storage"]),
    ("services", ["storage", "manage"]),
    ("services", [7]),
    ("services", [LONG]),
    ("services", ["storage"] * 33),
    ("description", 7),
    ("description", LONG),
    ("description", "a\x07b"),
    ("scopes", "storage:read"),
    ("scopes", ["storage:fly"]),
    ("scopes", ["*"]),
    ("scopes", [None]),
    ("scopes", ["storage:read"] * 257),
    ("environment", "test"),
    ("environment", ""),
    ("environment", 1),
    ("external_id", ""),
    ("external_id", "with space"),
    ("external_id", "ü"),
    ("external_id", "a\r\nX-Latchgate-Tenant: t"),
    ("external_id", "x" * 129),
    ("metadata", []),
    ("metadata", {"a": 1}),
    ("metadata", {"a": "b\nc"}),
    ("metadata", {"x" * 98: "b"}),
    ("metadata", {f"k{at}": "v" for at in range(33)}),
    ("allowed_ip_ranges", "192.0.2.1"),
    ("allowed_ip_ranges", ["300.0.0.1"]),
    ("allowed_ip_ranges", ["192.0.2.0/33"]),
    ("allowed_ip_ranges", ["192.0.2.010"]),
    ("allowed_ip_ranges", ["fe80::1%eth0"]),
    ("allowed_ip_ranges", ["::/129"]),
    ("allowed_ip_ranges", [""]),
    ("allowed_ip_ranges", ["192.0.2.1"] * 101),
    ("expires_in", 3_600),
    ("expires_in", "soon"),
    ("expires_in", ""),
    ("expires_in", "-1h"),
    ("expires_in", "0h"),
    ("expires_in", "1.5h"),
    ("expires_in", "1h1h"),
    ("expires_in", "1m1h"),
    ("expires_in", "99999w"),
    ("expires_in", "9" * 64),
    ("expires_in", "1" * 65),
    ("expires_at", 4_000_000_000),
    ("expires_at", "tomorrow"),
    ("expires_at", "2026-13-01T00:00:00Z"),
    ("expires_at", "2099-01-01T00:00:00"),
    ("expires_at", "2001-01-01T00:00:00Z"),
    ("expires_at", "0001-01-01T00:00:00+23:59"),
    ("expires_at", "2099-01-01T00:00:00Z" + " " * 60),
]


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param(*row, id=f"{row[0]}-{at}") for at, row in enumerate(BAD_FIELDS)],
)
def test_what_cannot_be_taken_is_refused_by_the_name_of_its_field(server, world, field, value):
    before = world.head()
    asked: dict[str, object] = {**STORAGE_KEY, field: value}
    if value is None:
        del asked[field]
    answer = server.call("POST", "/manage/v1/keys", asked)
    assert field in fault_names(answer)
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.head() == before


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999999Z"])
def test_a_key_that_expires_at_the_end_of_time_keeps_no_list_from_being_read(victim, text):
    answer = victim.call("POST", "/manage/v1/keys", {**STORAGE_KEY, "expires_at": text})
    assert answer.status in {201, 422}, answer.body
    assert victim.call("GET", "/manage/v1/keys").status == 200


@pytest.mark.parametrize(
    "field",
    [
        "owner",
        "owner_id",
        "user",
        "user_id",
        "userId",
        "tenant",
        "tenant_id",
        "project",
        "project_id",
        "parent_id",
        "created_by",
        "created_at",
        "revoked_at",
        "state",
        "id",
        "key",
        "secret",
        "digest",
        "hint",
        "kind",
        "networks",
        "Name",
        "__class__",
    ],
)
def test_nothing_of_whose_a_key_is_can_be_asked_for(server, world, field):
    before = world.head()
    for value in ("u-somebody", {"id": "u"}, None):
        answer = server.call("POST", "/manage/v1/keys", {**STORAGE_KEY, field: value})
        assert field in fault_names(answer)
    assert world.head() == before


def test_a_new_key_belongs_to_whoever_made_it(server, world):
    owner = world.somebody()
    made = server.create(token=world.key("manage", owner=owner).text)
    assert (made["owner_id"], made["project_id"]) == (owner.user_id, owner.project_id)
    table = schema.credential
    row = world.one(sa.select(table.c.tenant_id).where(table.c.id == made["id"]))
    assert row.tenant_id == owner.tenant_id


def test_an_actor_hands_out_only_what_it_holds(server, world):
    actor = world.key("manage", scopes=["manage:keys.write", "storage:read"]).text
    assert server.create(scopes=["storage:read"], token=actor)["scopes"] == ["storage:read"]
    assert server.create(scopes=[], token=actor)["scopes"] == []
    before = world.head()
    for asked in (
        {"services": ["storage"]},
        {"services": ["storage"], "scopes": ["storage:write"]},
        {"services": ["storage"], "scopes": ["storage:read", "storage:delete"]},
        {"services": ["manage"]},
        {"services": ["operator"]},
        {"services": ["manage"], "scopes": ["manage:keys.read"]},
    ):
        answer = server.call("POST", "/manage/v1/keys", {"name": "n", **asked}, token=actor)
        assert (answer.status, answer.code) == (403, "forbidden")
    assert world.head() == before


def test_an_actor_hands_out_only_what_its_owner_holds_now(server, world):
    owner = world.somebody("manage:keys.write", "storage:read")
    actor = world.key("manage", owner=owner)
    answer = server.call("POST", "/manage/v1/keys", STORAGE_KEY, token=actor.text)
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "storage:write" in answer.json["detail"]
    server.create(scopes=["storage:read"], token=actor.text)
    world.change(
        Noun.USER,
        owner.user_id,
        sa.update(schema.user).where(schema.user.c.id == owner.user_id).values(active=False),
    )
    answer = server.call("POST", "/manage/v1/keys", STORAGE_KEY, token=actor.text)
    assert (answer.status, answer.code) == (401, "owner_disabled")


def test_a_key_cannot_outlive_the_one_it_is_made_with(server, world):
    actor = world.key("manage", expires_at=time.time() + 3_600).text
    for asked in ({}, {"expires_in": "2h"}, {"expires_at": "2099-01-01T00:00:00Z"}):
        answer = server.call("POST", "/manage/v1/keys", {**STORAGE_KEY, **asked}, token=actor)
        assert (answer.status, answer.code) == (403, "forbidden")
        assert "outlive" in answer.json["detail"]
    assert server.create(token=actor, expires_in="30m")["expires_at"] is not None


# --- bodies


def send(server, body, *, path="/manage/v1/keys", method="POST", **headers):
    sent = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    sent |= {key.replace("_", "-"): value for key, value in headers.items()}
    return http_request(method, server.addresses["api"] + path, headers=sent, body=body)


WITH_BODIES = [one for one in OPERATIONS if one.body is not None and one.scope is not None]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe{}",
        b'{"name": "\xff"}',
        b'{"a": 1}{"b": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"metadata": ' + b'{"a":' * 100_000,
        b'{"files": ' + b"[" * 100_000,
        b'{"metadata": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b"\xef\xbb\xbf{}",
        b"{'a': 1}",
        b"NaN",
        b'{"name": ' + b"9" * 5_000 + b"}",
        b'{"name": "\\ud800", "method": "\\ud800"}',
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b'{"unknown": 1}',
    ],
)
def test_a_body_that_cannot_be_read_is_refused_on_every_route(server, world, body):
    before = world.head()
    for operation in WITH_BODIES:
        if operation.optional and not body:
            continue
        answer = send(server, body, path=path_of(operation), method=operation.method)
        refused = (answer.status, answer.code)
        assert refused in {(400, "request_invalid"), (422, "invalid")}, operation
        assert answer.headers["content-type"] == "application/problem+json"
    assert world.head() == before


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json-patch+json",
        "application/jsonx",
        "text/json",
    ],
)
def test_a_body_of_another_type_is_refused_on_every_route(server, kind):
    for operation in WITH_BODIES:
        path, method = path_of(operation), operation.method
        answer = send(server, b"{}", path=path, method=method, Content_Type=kind)
        assert (answer.status, answer.code) == (415, "request_invalid"), operation


def test_a_merge_patch_is_taken_where_something_is_patched_and_nowhere_else(server):
    for operation in WITH_BODIES:
        path, method, kind = path_of(operation), operation.method, "application/merge-patch+json"
        answer = send(server, b"{}", path=path, method=method, Content_Type=kind)
        assert answer.status == (404 if method == "PATCH" else 415), operation


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_type_may_carry_parameters_and_any_case(server, kind):
    assert send(server, msgspec.json.encode(STORAGE_KEY), Content_Type=kind).status == 201


def test_a_body_past_the_limit_is_refused_on_every_route(server):
    body = b'{"name": "' + b"x" * MAX_BODY + b'"}'
    for operation in WITH_BODIES:
        answer = send(server, body, path=path_of(operation), method=operation.method)
        assert (answer.status, answer.code) == (413, "request_too_large"), operation


def test_a_body_past_the_limit_in_chunks_is_refused(server):
    chunks = (b" " * 65_536 for _ in range(17))
    answer = send(server, chunks)
    assert (answer.status, answer.code) == (413, "request_too_large")


def test_a_body_at_the_limit_is_read(server):
    body = msgspec.json.encode(STORAGE_KEY)
    assert send(server, body + b" " * (MAX_BODY - len(body))).status == 201
    assert send(server, body + b" " * (MAX_BODY - len(body) + 1)).status == 413


def test_the_server_still_answers_after_all_of_that(server):
    assert server.call("GET", "/readyz").json == {"status": "ready"}
    assert '"a management request failed"' not in server.log
    assert "Exception in ASGI application" not in server.log


# --- lists


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=1001", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=1e2", "limit"),
        ("limit=+5", "limit"),
        ("limit=5.0", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=0000000019999", "limit"),
        ("limit=000000001" + "9" * 40, "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("after=nothing", "after"),
        ("after=", "after"),
        ("after=%00", "after"),
        ("after=%FF", "after"),
        ("after=" + "x" * 5_000, "after"),
        ("limit=5&limit=6", "query"),
        ("after=a&after=b", "query"),
        ("limit=5&LIMIT=6", "LIMIT"),
        ("offset=5", "offset"),
        ("tenant_id=t", "tenant_id"),
        ("owner=u", "owner"),
    ],
)
def test_a_query_that_cannot_be_taken_is_refused_by_name(server, query, field):
    answer = server.call("GET", f"/manage/v1/keys?{query}")
    assert field in fault_names(answer)


def test_pages_hold_each_key_once_and_in_order(server, world):
    owner = world.somebody()
    token = world.key("manage", owner=owner).text
    made = [server.create(token=token)["id"] for _ in range(10)]
    for limit in (1, 3, 10, 11, 12, 1_000):
        listed, after, rounds = [], None, 0
        while True:
            query = f"limit={limit}" + (f"&after={quote(after)}" if after else "")
            page = server.call("GET", f"/manage/v1/keys?{query}", token=token).json
            listed += [key["id"] for key in page["keys"]]
            after, rounds = page["next"], rounds + 1
            if after is None:
                break
        assert listed[1:] == made
        assert rounds == -(-11 // limit)


def test_without_a_limit_a_page_holds_100_keys(server, world):
    owner = world.somebody()
    with world.changing() as change:
        made = [world.key_in(change, owner=owner) for _ in range(101)]
    page = server.call("GET", "/manage/v1/keys", token=world.key("manage", owner=owner).text).json
    assert len(page["keys"]) == 100
    assert {key["id"] for key in page["keys"]} < {key.id for key in made}
    assert page["next"] is not None


def test_a_key_shows_its_last_use_within_a_second(server):
    made = server.create()
    assert made["last_used_at"] is None
    assert server.allows(made["key"])
    path = f"/manage/v1/keys/{made['id']}"
    until(lambda: server.call("GET", path).json["last_used_at"], seconds=1.5, what="the use")
    shown = server.call("GET", path).json
    assert shown["last_used_from"] == "192.0.2.1"
    listed = server.call("GET", "/manage/v1/keys?limit=1000").json["keys"]
    assert [key["last_used_from"] for key in listed if key["id"] == made["id"]] == ["192.0.2.1"]


def test_states_are_told(server, world):
    active, revoked = server.create(), server.create()
    expired = world.key(expires_at=time.time() - 1)
    server.call("DELETE", f"/manage/v1/keys/{revoked['id']}")
    states = {
        key["id"]: key["state"]
        for key in server.call("GET", "/manage/v1/keys?limit=1000").json["keys"]
    }
    assert (states[active["id"]], states[revoked["id"]], states[expired.id]) == (
        "active",
        "revoked",
        "expired",
    )


# --- tenants


@pytest.fixture(scope="module")
def neighbours(world):
    """Two tenants' administrators, and a key of the first."""
    one, other = world.somebody("*"), world.somebody("*")
    scopes = [scope for scope in SCOPES if scope.startswith("manage:")]
    return (
        world.key("manage", scopes=scopes, owner=one),
        world.key("manage", scopes=scopes, owner=other),
        world.key(scopes=["storage:read"], owner=one),
    )


def test_another_tenants_keys_are_neither_listed_nor_shown_nor_revoked(server, neighbours):
    mine, theirs, key = neighbours
    ids = [
        one["id"] for one in server.call("GET", "/manage/v1/keys", token=theirs.text).json["keys"]
    ]
    assert ids == [theirs.id]
    for method in ("GET", "DELETE"):
        foreign = server.call(method, f"/manage/v1/keys/{key.id}", token=theirs.text)
        nothing = server.call(method, "/manage/v1/keys/aaaaaaaaaaaa", token=theirs.text)
        assert (foreign.status, nothing.status) == (404, 404)
        # To the letter what is said of a key that never was.
        assert foreign.body.replace(key.id.encode(), b"aaaaaaaaaaaa") == nothing.body
    assert server.allows(key.text)
    assert server.call("GET", f"/manage/v1/keys/{key.id}", token=mine.text).status == 200


def test_another_tenants_key_is_no_place_to_start_a_page(server, neighbours):
    _, theirs, key = neighbours
    foreign = server.call("GET", f"/manage/v1/keys?after={key.id}", token=theirs.text)
    nothing = server.call("GET", "/manage/v1/keys?after=aaaaaaaaaaaa", token=theirs.text)
    assert foreign.status == nothing.status == 422
    assert foreign.body.replace(key.id.encode(), b"aaaaaaaaaaaa") == nothing.body


def explain(server, token, key_text, *, method="GET"):
    asked = {
        "method": method,
        "url": "https://api.example/v1/storage/a",
        "headers": {"Authorization": f"Bearer {key_text}"},
    }
    return server.call("POST", "/manage/v1/explain", asked, token=token)


def test_explaining_another_tenants_key_tells_nothing(server, neighbours):
    mine, theirs, key = neighbours
    assert explain(server, mine.text, key.text).json["allowed"] is True
    for method in ("GET", "PUT", "PATCH"):
        answer = explain(server, theirs.text, key.text, method=method)
        assert key.owner.user_id.encode() not in answer.body
        assert key.owner.tenant_id.encode() not in answer.body
        assert b"storage:read" not in answer.body.replace(b"needs storage:read", b"")
        if method != "PATCH":
            assert answer.status == 404


def test_explaining_a_made_up_secret_does_not_tell_whether_another_tenant_has_that_key(
    server, neighbours
):
    _, theirs, key = neighbours
    foreign = explain(server, theirs.text, f"wayscloud_storage_{key.id}_made-up").json
    nothing = explain(server, theirs.text, "wayscloud_storage_aaaaaaaaaaaa_made-up").json
    for told in (foreign, nothing):
        for field in ("id", "at"):
            told.pop(field)
    assert json.dumps(foreign).replace(key.id, "aaaaaaaaaaaa") == json.dumps(nothing)


def test_a_refusal_is_shown_to_its_tenant_and_to_the_operator_only(server, neighbours):
    mine, theirs, key = neighbours
    refused = server.verdict(key.text, method="PUT")
    path = f"/manage/v1/decisions/{refused['decision']}"
    told = server.call("GET", path, token=mine.text)
    assert (told.status, told.json["reason"], told.json["credential"]) == (
        200,
        "scope_not_granted",
        key.id,
    )
    assert server.call("GET", path).status == 200
    foreign = server.call("GET", path, token=theirs.text)
    nothing = server.call("GET", "/manage/v1/decisions/0", token=theirs.text)
    assert (foreign.status, nothing.status) == (404, 404)
    assert foreign.body.replace(refused["decision"].encode(), b"0") == nothing.body


def test_a_refusal_of_nobody_is_the_operators_to_read(server, neighbours):
    mine, _, key = neighbours
    for text in ("nonsense", f"wayscloud_storage_{key.id}_wrong", "wayscloud_storage_aaaa_wrong"):
        path = f"/manage/v1/decisions/{server.verdict(text)['decision']}"
        assert server.call("GET", path).status == 200
        assert server.call("GET", path, token=mine.text).status == 404


def test_what_an_operator_reads_needs_the_operators_scope_in_force(server, world):
    owner = world.somebody("manage:decisions.read")
    reader = world.key("manage", "operator", scopes=SCOPES, owner=owner)
    path = f"/manage/v1/decisions/{server.verdict('nonsense')['decision']}"
    assert server.call("GET", path, token=reader.text).status == 404


# --- revoking


def test_a_revoked_key_is_refused_by_the_very_next_request(server):
    for _ in range(20):
        made = server.create()
        assert server.allows(made["key"])
        assert server.call("DELETE", f"/manage/v1/keys/{made['id']}").status == 200
        assert not server.allows(made["key"])


def test_a_receipt_says_number_time_and_who_dropped_it(server, world):
    made = server.create()
    answer = server.call("DELETE", f"/manage/v1/keys/{made['id']}")
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    assert told["id"] == made["id"]
    receipt = told["receipt"]
    assert receipt["journal"] == world.head()
    assert receipt["at"] >= told["revoked_at"]
    assert 0 <= receipt["elapsed_ms"] < 1_000
    (verifier,) = receipt["verifiers"]
    assert (verifier["process"], verifier["state"]) == (server.pid, "acknowledged")


def test_revoking_again_gives_a_new_receipt_and_changes_nothing(server, world):
    made = server.create()
    path = f"/manage/v1/keys/{made['id']}"
    first = server.call("DELETE", path).json
    head = world.head()
    again = server.call("DELETE", path)
    assert again.status == 200
    assert again.json["revoked_at"] == first["revoked_at"]
    assert again.json["receipt"]["journal"] >= first["receipt"]["journal"]
    assert again.json["receipt"]["at"] > first["receipt"]["at"]
    assert world.head() == head


def test_many_who_revoke_one_key_at_once_all_get_a_receipt_and_make_one_row(server, world):
    made, answers = server.create(), []

    def work():
        answers.append(server.call("DELETE", f"/manage/v1/keys/{made['id']}"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    rows = [row for row in world.journal() if row.record == made["id"]]
    assert [row.action for row in rows] == ["key.create", "key.revoke"]


@pytest.mark.parametrize(
    "key_id", ["aaaaaaaaaaaa", "x", "-", "%20", "a" * 4_000, "%F0%9F%94%91", "'--", "keys"]
)
def test_a_key_that_never_was_is_not_found(server, key_id):
    for method in ("GET", "DELETE"):
        answer = server.call(method, f"/manage/v1/keys/{key_id}")
        assert (answer.status, answer.code) == (404, "not_found")


def test_an_administrator_who_revokes_its_own_token_is_out(server, world):
    own = world.key("manage")
    assert server.call("DELETE", f"/manage/v1/keys/{own.id}", token=own.text).status == 200
    answer = server.call("GET", "/manage/v1/keys", token=own.text)
    assert (answer.status, answer.code) == (401, "credential_revoked")


# --- explaining


def test_an_explanation_says_step_by_step_what_decided(server):
    made = server.create(scopes=["storage:read"])
    told = explain(server, None, made["key"], method="PUT").json
    assert (told["allowed"], told["reason"], told["status"]) == (False, "scope_not_granted", 403)
    assert [step["ok"] for step in told["steps"]][-1] is False
    assert all(step["ok"] for step in told["steps"][:-1])
    assert "storage:write" in told["change"]
    assert made["key"] not in json.dumps(told)


def test_an_explanation_is_what_the_real_request_was_refused_with(server):
    made = server.create(scopes=["storage:read"])
    refused = server.verdict(made["key"], method="PUT")
    kept = server.call("GET", f"/manage/v1/decisions/{refused['decision']}").json
    tried = explain(server, None, made["key"], method="PUT").json
    assert kept["id"] == refused["decision"]
    for field in ("reason", "status", "code", "area", "scope", "credential", "change"):
        assert kept[field] == tried[field]
    assert [step["step"] for step in kept["steps"]] == [step["step"] for step in tried["steps"]]


def test_an_explanation_of_a_request_that_nobody_made_counts_as_no_use(server):
    made = server.create()
    assert explain(server, None, made["key"]).json["allowed"] is True
    time.sleep(0.5)
    assert server.call("GET", f"/manage/v1/keys/{made['id']}").json["last_used_at"] is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/v1/storage/a", "credential_missing"),
        ("/v1/storage/a?b=https://c/d", "credential_missing"),
        ("https://api.example/v1/storage/a", "credential_missing"),
        ("http://user:pw@api.example:8080/v1/storage/a", "credential_missing"),
        ("https://api.example/v1/storage/a%2Fb", "credential_missing"),
        ("https://api.example/v1/storage/../models", "path_ambiguous"),
        ("https://api.example/v1/storage//a", "path_ambiguous"),
        ("https://api.example//v1/storage/a", "path_ambiguous"),
        ("//v1/storage/a", "path_ambiguous"),
        ("https://api.example/v1/storage/%2e%2e/a", "path_ambiguous"),
        ("https://api.example/v1/storage/a;b=c", "path_ambiguous"),
        ("https://api.example/v1/storage/a#b", "path_ambiguous"),
        ("https://api.example/v1/storage/a b", "path_ambiguous"),
        ("https://api.example/v1/storage/\u00fc", "path_ambiguous"),
        ("https://api.example", "no_area"),
        ("https://api.example?a=b", "no_area"),
        ("/nothing", "no_area"),
        ("nothing", "path_ambiguous"),
        ("", "path_ambiguous"),
        ("*", "path_ambiguous"),
        ("https://bad host/v1/storage/a", "host_invalid"),
        ("https://[::1/v1/storage/a", "host_invalid"),
        ("https://\u2100/v1/storage/a", "host_invalid"),
    ],
)
def test_a_url_is_explained_as_it_would_be_decided(server, url, reason):
    answer = server.call("POST", "/manage/v1/explain", {"method": "GET", "url": url})
    assert (answer.status, answer.json["reason"]) == (200, reason)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"url": "/"}, "method"),
        ({"method": "GET"}, "url"),
        ({"method": "G" * 41, "url": "/"}, "method"),
        ({"method": 1, "url": "/"}, "method"),
        ({"method": "GET", "url": "x" * 16_385}, "url"),
        ({"method": "GET", "url": "/", "headers": []}, "headers"),
        ({"method": "GET", "url": "/", "headers": {"A": 1}}, "headers"),
        ({"method": "GET", "url": "/", "headers": {"A": "1", "a": "2"}}, "headers"),
        ({"method": "GET", "url": "/", "headers": {"x" * 257: "1"}}, "headers"),
        ({"method": "GET", "url": "/", "client": "nobody"}, "client"),
        ({"method": "GET", "url": "/", "client": "192.0.2.1:80"}, "client"),
        ({"method": "GET", "url": "/", "client": 7}, "client"),
        ({"method": "GET", "url": "/", "client": ""}, "client"),
        ({"method": "GET", "url": "/", "now": 1}, "now"),
        ({"method": "GET", "url": "/", "tenant_id": "t"}, "tenant_id"),
    ],
)
def test_what_cannot_be_explained_is_refused_by_the_name_of_its_field(server, asked, field):
    assert field in fault_names(server.call("POST", "/manage/v1/explain", asked))


@pytest.mark.parametrize("method", ["", "get", "GET\r\nX: y", "\x00", "G ET", "PROPFIND", "X" * 40])
def test_any_method_can_be_explained(server, method):
    asked = {"method": method, "url": "/v1/storage/a"}
    answer = server.call("POST", "/manage/v1/explain", asked)
    assert (answer.status, answer.json["allowed"]) == (200, False)


def test_a_decision_that_is_not_kept_is_not_found(server):
    for decision in ("0", "x" * 3_000, "%20", "..."):
        answer = server.call("GET", f"/manage/v1/decisions/{decision}")
        assert (answer.status, answer.code) == (404, "not_found")


def test_refusals_of_the_management_api_itself_can_be_explained(server):
    refused = server.call("GET", "/manage/v1/keys", token="nonsense")
    decision = refused.headers["x-latchgate-decision"]
    told = server.call("GET", f"/manage/v1/decisions/{decision}").json
    assert (told["path"], told["reason"], told["client"]) == (
        "/manage/v1/keys",
        "credential_malformed" if "malformed" in told["reason"] else "credential_not_accepted",
        "127.0.0.1",
    )


# --- policy


@pytest.fixture
def original(server):
    """Put the shipped policy back after a test that publishes another."""
    yield
    assert server.call("PUT", "/manage/v1/policy", {"files": FILES}).status == 200


def test_the_published_policy_is_shown(server):
    told = server.call("GET", "/manage/v1/policy").json
    assert told["files"] == FILES
    assert told["version"] >= 1
    assert told["published_at"].endswith("Z")


def test_a_good_policy_is_followed_by_the_very_next_request(server, original):
    made = server.create()
    assert server.verdict(made["key"], target="/v1/archive/a")["status"] == 404
    before = server.call("GET", "/manage/v1/policy").json["version"]
    wider = WAYSCLOUD.replace('path = "/v1/storage"', 'path = "/v1/archive"')
    answer = server.call("PUT", "/manage/v1/policy", {"files": {"wayscloud.toml": wider}})
    assert (answer.status, answer.json["version"]) == (200, before + 1)
    assert [one["state"] for one in answer.json["receipt"]["verifiers"]] == ["acknowledged"]
    assert server.allows(made["key"], target="/v1/archive/a")
    assert server.verdict(made["key"])["status"] == 404
    assert server.call("GET", "/manage/v1/policy").json["files"] == {"wayscloud.toml": wider}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("not = = toml", "bad.toml:1"),
        ('provider = "x"\ntitle = "X"\ndialect = "problem"\nunknown = 1\n', "bad.toml:4"),
        ('provider = "wayscloud"\ntitle = "X"\ndialect = "problem"\n', "bad.toml:1"),
        ('provider = "x"\ntitle = "X"\n\ndialect = "none"\n', "bad.toml:4"),
        (OVERLAP, "bad.toml:5"),
        ("a = " + "9" * 5_000, "bad.toml:1"),
        ("a = " + "[" * 5_000, "bad.toml:1"),
        ("", "bad.toml:1"),
    ],
    ids=["not TOML", "key", "provider", "dialect", "overlap", "number", "deep", "empty"],
)
def test_a_bad_policy_is_refused_by_file_and_line_and_the_old_one_stays(server, world, text, where):
    before = server.call("GET", "/manage/v1/policy").json
    head, made = world.head(), server.create()
    files = {"wayscloud.toml": WAYSCLOUD, "bad.toml": text}
    answer = server.call("PUT", "/manage/v1/policy", {"files": files})
    assert (answer.status, answer.code) == (422, "policy_invalid")
    assert where in [one["field"] for one in answer.json["errors"]]
    assert server.call("GET", "/manage/v1/policy").json == before
    assert world.head() == head + 1  # the key
    assert server.allows(made["key"])


@pytest.mark.parametrize("file", ["(built in) latchgate.toml", "latchgate.toml"])
def test_the_programs_own_policy_cannot_be_replaced(victim, file):
    # Else one call opens the whole management API, or shuts it for good.
    text = BUILT_IN.replace('title = "Latchgate"', 'title = "Replaced"')
    answer = victim.call("PUT", "/manage/v1/policy", {"files": {file: text}})
    assert (answer.status, answer.code) == (422, "policy_invalid")
    assert victim.call("GET", "/manage/v1/policy").json["files"] == FILES


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "files"),
        ({"files": {}}, "files"),
        ({"files": []}, "files"),
        ({"files": {"a.toml": 1}}, "files"),
        ({"files": {"x" * 256: ""}}, "files"),
        ({"files": {f"{at}.toml": "" for at in range(65)}}, "files"),
        ({"files": FILES, "version": 9}, "version"),
        ({"files": FILES, "actor": "x"}, "actor"),
    ],
)
def test_what_cannot_be_published_is_refused_by_the_name_of_its_field(server, asked, field):
    assert field in fault_names(server.call("PUT", "/manage/v1/policy", asked))


# --- through a gateway


def test_the_client_behind_a_trusted_gateway_is_the_one_it_names(server, world):
    key = world.key("manage", networks=["198.51.100.7"])
    for forwarded, status in (("198.51.100.7", 200), ("198.51.100.8", 403), ("nonsense", 400)):
        headers = {"X-Forwarded-For": forwarded}
        answer = server.call("GET", "/manage/v1/keys", token=key.text, headers=headers)
        assert answer.status == status
    assert server.call("GET", "/manage/v1/keys", token=key.text).status == 403


# --- health


def test_health_and_readiness_are_told_and_kept_by_no_cache(server):
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = http_request("GET", server.addresses["api"] + path)
        assert (answer.status, answer.json) == (200, {"status": status})
        assert answer.headers["cache-control"] == "no-store"


def test_the_server_does_not_say_what_it_runs_on(server):
    answer = server.call("GET", "/manage/v1/keys")
    assert "server" not in answer.headers


# --- two workers


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("pair") / "lg", workers=2)
    yield made
    made.kill()


def states(receipt):
    return {one["process"]: one["state"] for one in receipt["verifiers"]}


def test_a_receipt_lists_every_worker(pair):
    made = pair.create()
    receipt = pair.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
    assert states(receipt) == dict.fromkeys(pair.children(), "acknowledged")
    published = pair.call("PUT", "/manage/v1/policy", {"files": FILES}).json
    assert states(published["receipt"]) == dict.fromkeys(pair.children(), "acknowledged")


def test_a_revoked_key_is_refused_by_the_very_next_request_on_every_worker(pair):
    lines = {process: line(pair, process) for process in pair.children()}
    for _ in range(20):
        made = pair.create()
        assert all(allows_on(one, made["key"]) for one in lines.values())
        assert pair.call("DELETE", f"/manage/v1/keys/{made['id']}").status == 200
        assert not any(allows_on(one, made["key"]) for one in lines.values())
    for one in lines.values():
        one.close()


def test_a_new_policy_holds_for_the_very_next_request_on_every_worker(pair):
    made = pair.create()
    lines = [line(pair, process) for process in pair.children()]
    for target in ("/v1/archive", "/v1/storage"):
        text = WAYSCLOUD.replace('path = "/v1/storage"', f'path = "{target}"')
        pair.call("PUT", "/manage/v1/policy", {"files": {"wayscloud.toml": text}})
        assert all(allows_on(one, made["key"], f"{target}/a") for one in lines)
    for one in lines:
        one.close()


def line(server, process):
    """Open a connection to the verify address that one certain worker has taken."""
    wanted = f"{incarnations(server)[process]}"
    for _ in range(500):
        connection = http.client.HTTPConnection(urlsplit(server.addresses["verify"]).netloc)
        connection.request("GET", "/healthz")
        if read_answer(connection).json["verifier"] == wanted:
            return connection
        connection.close()
    msg = f"no connection reached worker {process}"
    raise AssertionError(msg)


def incarnations(server):
    made = server.create(scopes=[])
    receipt = server.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
    return {one["process"]: one["id"] for one in receipt["verifiers"]}


def ask_on(connection, key, target="/v1/storage/a"):
    asked = {"method": "GET", "target": target, "headers": {"Authorization": f"Bearer {key}"}}
    connection.request("POST", "/", body=msgspec.json.encode(asked))


def allows_on(connection, key, target="/v1/storage/a"):
    ask_on(connection, key, target)
    return read_answer(connection).json["allowed"]


def test_a_worker_that_was_stopped_is_lapsed_and_refuses_as_soon_as_it_goes_on(pair):
    made = pair.create()
    stopped, awake = pair.children()
    waiting, other = line(pair, stopped), line(pair, awake)
    assert allows_on(waiting, made["key"])
    assert allows_on(other, made["key"])
    os.kill(stopped, signal.SIGSTOP)
    try:
        receipt = pair.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]
        assert states(receipt) == {stopped: "lapsed", awake: "acknowledged"}
        assert receipt["elapsed_ms"] >= 1_000
        assert not allows_on(other, made["key"])
        ask_on(waiting, made["key"])
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert read_answer(waiting).json["allowed"] is False
    for _ in range(20):
        assert not allows_on(waiting, made["key"])
    waiting.close()
    other.close()
    # Awake again, it acknowledges like the other.
    until(lambda: set(states(receipt_of_nothing(pair)).values()) == {"acknowledged"})


def receipt_of_nothing(server):
    made = server.create(scopes=[])
    return server.call("DELETE", f"/manage/v1/keys/{made['id']}").json["receipt"]


def test_a_refusal_of_one_worker_is_explained_by_any(pair):
    for process in pair.children():
        connection = line(pair, process)
        ask_on(connection, "nonsense")
        decision = read_answer(connection).json["decision"]
        connection.close()
        for _ in range(6):
            assert pair.call("GET", f"/manage/v1/decisions/{decision}").status == 200


def test_the_journal_of_all_this_adds_up(server, pair):
    for one in (server, pair):
        assert chain_faults(one.folder / "latchgate.db") == []
