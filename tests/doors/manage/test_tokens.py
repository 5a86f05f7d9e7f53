"""One's own API tokens over HTTP, and what making and deleting them does to the next request."""

from __future__ import annotations

import pytest
from tests.asking import allows, verdict

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PATH = "/manage/v1/account/tokens"
SERVERS = "/1.3/server"


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def owner(world):
    return world.somebody("upcloud:read", "upcloud:write", tenant_id=world.owner.tenant_id)


@pytest.fixture
def key(world, owner):
    # Its roles hold UpCloud's scopes only: what opens this API is the test's own key row.
    world.assign(
        owner.user_id,
        owner.project_id,
        world.role(owner.tenant_id, ["own:tokens.read", "own:tokens.write"]),
    )
    return world.key("own", owner=owner)


def make(server, key, **spec):
    asked = {"name": "made by a test", "expires_in": "1h", **spec}
    return server.call("POST", PATH, asked, token=key.text)


def test_a_token_opens_what_its_owner_may_until_it_is_deleted(server, key):
    made = make(server, key)
    assert made.status == 201, made.body
    assert made.headers["cache-control"] == "no-store"
    token = made.json
    assert (token["scopes"], token["allowed_ip_ranges"], token["can_create_tokens"]) == (
        None,
        None,
        False,
    )
    assert allows(server, SERVERS, bearer(token["token"]))
    assert allows(server, SERVERS, bearer(token["token"]), method="POST")
    assert not allows(server, SERVERS, bearer(token["token"].lower()))
    gone = server.call("DELETE", f"{PATH}/{token['id']}", token=key.text)
    assert gone.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert not allows(server, SERVERS, bearer(token["token"]))
    assert server.call("GET", f"{PATH}/{token['id']}", token=key.text).status == 404
    assert server.call("GET", PATH, token=key.text).json["tokens"] == []
    # A repeat, whose first answer may have been lost, has a receipt of its own.
    assert server.call("DELETE", f"{PATH}/{token['id']}", token=key.text).json["receipt"]


def test_absent_lists_are_the_owners_and_empty_ones_are_nothing(server, key):
    none = make(server, key, scopes=[]).json
    nowhere = make(server, key, allowed_ip_ranges=[]).json
    told = verdict(server, SERVERS, bearer(none["token"]))
    assert (none["scopes"], told["status"]) == ([], 403)
    assert nowhere["allowed_ip_ranges"] == []
    assert not allows(server, SERVERS, bearer(nowhere["token"]))
    null = make(server, key, allowed_ip_ranges=None, scopes=None).json
    assert allows(server, SERVERS, bearer(null["token"]))


def test_networks_and_scopes_bound_a_token(server, key):
    made = make(server, key, allowed_ip_ranges=["192.0.2.0/24", "::/0"], scopes=["upcloud:read"])
    text = bearer(made.json["token"])
    assert allows(server, SERVERS, text, client="192.0.2.7")
    assert not allows(server, SERVERS, text, client="198.51.100.7")
    assert not allows(server, SERVERS, text, client="192.0.2.7", method="POST")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"expires_in": None}, "expires_at"),
        ({"expires_at": "2100-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_in": "8761h"}, "expires_in"),
        ({"expires_in": "0h"}, "expires_in"),
        ({"expires_in": None, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_in": None, "expires_at": "tomorrow"}, "expires_at"),
        ({"name": ""}, "name"),
        ({"name": "x" * 1025}, "name"),
        ({"allowed_ip_ranges": ["everywhere"]}, "allowed_ip_ranges"),
        ({"allowed_ip_ranges": ["192.0.2.1"] * 101}, "allowed_ip_ranges"),
        ({"scopes": ["upcloud:everything"]}, "scopes"),
        ({"scopes": ["*"]}, "scopes"),
        ({"owner_id": "somebody"}, "body"),
    ],
)
def test_what_can_not_be_taken_is_named(server, key, spec, field):
    answer = make(server, key, **spec)
    assert answer.status == 422, answer.body
    assert field in {fault["field"] for fault in answer.json["errors"]}


@pytest.mark.parametrize("expires_in", ["8760h", "1h30min", "7d", "90s"])
def test_durations_are_taken_as_upctl_and_its_provider_write_them(server, key, expires_in):
    assert make(server, key, expires_in=expires_in).status == 201


def test_a_key_makes_no_token_that_is_wider_longer_or_nearer_than_itself(server, world, owner, key):
    now = world.clock()
    narrow = world.key(
        "own",
        owner=owner,
        scopes=["own:tokens.write", "upcloud:read"],
        networks=["127.0.0.0/8"],
        expires_at=now + 7200,
    )
    assert make(server, narrow, scopes=["upcloud:write"]).code == "forbidden"
    assert make(server, narrow, expires_in="3h").code == "forbidden"
    assert make(server, narrow, allowed_ip_ranges=["0.0.0.0/0"]).code == "forbidden"
    copied = make(server, narrow).json
    assert copied["scopes"] == ["own:tokens.write", "upcloud:read"]
    assert copied["allowed_ip_ranges"] == ["127.0.0.0/8"]
    assert not allows(server, SERVERS, bearer(copied["token"]), method="POST")


def test_nobody_sees_or_deletes_anothers_token(server, world, owner, key):
    theirs = make(server, key).json
    path = f"{PATH}/{theirs['id']}"
    assert server.call("GET", path).status == 404  # the administrator of the same tenant
    assert server.call("DELETE", path).status == 404
    assert theirs["id"] not in server.call("GET", PATH).body.decode()
    assert allows(server, SERVERS, bearer(theirs["token"]))


def test_lists_are_searched_sorted_paged_and_repeat_safely(server, key):
    names = ["beta", "alpha", "gamma"]
    sent = {"Idempotency-Key": "one"}
    for at, name in enumerate(names):
        spec = {"name": name, "expires_in": "1h"}
        more = sent if at == 0 else {}
        assert server.call("POST", PATH, spec, token=key.text, headers=more).status == 201
    repeat = server.call(
        "POST", PATH, {"name": "beta", "expires_in": "1h"}, token=key.text, headers=sent
    )
    assert (repeat.status, "token" in repeat.json) == (200, False)
    page = server.call("GET", f"{PATH}?sort=name&limit=2", token=key.text).json
    assert [one["name"] for one in page["tokens"]] == ["alpha", "beta"]
    rest = server.call("GET", f"{PATH}?sort=name&limit=2&after={page['next']}", token=key.text)
    assert [one["name"] for one in rest.json["tokens"]] == ["gamma"]
    found = server.call("GET", f"{PATH}?q=amm&state=active", token=key.text).json["tokens"]
    assert [one["name"] for one in found] == ["gamma"]
