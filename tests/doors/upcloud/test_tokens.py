"""API tokens as recorded at the provider, and what makes them wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.asking import allows, basic, verdict
from tests.doors.upcloud.client import SCOPES, Client, bearer
from tests.world import FILES, compiled, until

from latchgate.manage import lifetimes
from latchgate.manage.lifetimes import LifetimeSpec

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,5}[1-9]|\.[1-9])?Z")
RANGES = ["0.0.0.0/0", "::/0"]


def make(main, **spec):
    asked = {"name": "my_1st_token", "expires_in": "1h", **spec}
    return main.json("POST", "/account/tokens", asked, status=201)


def bearing(main, token):
    return replace(main, headers={"Authorization": f"Bearer {token['token']}"})


def wrong(main, method, path, body=None):
    """Return the fields that a problem document names."""
    answer = main.ask(method, path, body)
    assert answer.status == 400, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json
    assert ULID.fullmatch(told["correlation_id"])
    assert (told["title"], told["status"]) == ("Validation error.", 400)
    assert told["type"] == "https://developers.upcloud.com/1.3/errors#ERROR_INVALID_REQUEST"
    assert all(one["reason"] for one in told["invalid_params"])
    return {one["name"] for one in told["invalid_params"]}


def test_the_recorded_creation_has_the_recorded_members_in_their_order(main):
    asked = {
        "name": "my_1st_token",
        "expires_in": "24h",
        "can_create_tokens": True,
        "allowed_ip_ranges": RANGES,
    }
    answer = main.ask("POST", "/account/tokens", asked)
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    assert list(told) == [
        "allowed_ip_ranges",
        "can_create_tokens",
        "created_at",
        "expires_at",
        "gui",
        "id",
        "name",
        "token",
        "type",
    ]
    assert re.fullmatch("ucat_[0-9A-HJKMNP-TV-Z]{26}", told["token"])
    assert re.fullmatch("0c[0-9a-f]{6}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", told["id"])
    assert TIME.fullmatch(told["created_at"])
    assert TIME.fullmatch(told["expires_at"])
    # It is told once: shown again it has no text, and no last use before the first.
    shown = main.json("GET", f"/account/tokens/{told['id']}")
    assert shown == {name: value for name, value in told.items() if name != "token"}
    assert (shown["type"], shown["gui"]) == ("workspace", False)
    assert shown["allowed_ip_ranges"] == RANGES


def test_last_used_at_is_told_from_the_first_use_on(main):
    token = make(main)
    path = f"/account/tokens/{token['id']}"
    assert "last_used_at" not in main.json("GET", path)
    assert bearing(main, token).json("GET", "/account")
    until(lambda: "last_used_at" in main.json("GET", path), seconds=30, what="the last use")
    assert TIME.fullmatch(main.json("GET", path)["last_used_at"])


def test_the_list_is_a_bare_array_oldest_first_by_twenty(main):
    first = main.json("GET", "/account/tokens")
    assert len(first) == 1  # what it asks with
    for number in range(21):
        make(main, name=f"n{number:02}", expires_in=f"{30 - number}h")
    listed = main.json("GET", "/account/tokens")
    assert isinstance(listed, list)
    assert [one["name"] for one in listed] == [first[0]["name"], *(f"n{i:02}" for i in range(19))]
    assert len(main.json("GET", "/account/tokens?limit=100&offset=0")) == 22
    last = main.json("GET", "/account/tokens?limit=100&offset=20")
    assert [one["name"] for one in last] == ["n19", "n20"]
    assert main.json("GET", "/account/tokens?limit=1&offset=500") == []
    assert main.json("GET", "/account/tokens?gui=true") == []
    assert len(main.json("GET", "/account/tokens?gui=false&limit=100")) == 22

    def names(sort):
        told = main.json("GET", f"/account/tokens?limit=100&sort={sort}")
        return [one["name"] for one in told if one["name"].startswith("n")]

    rising = [f"n{number:02}" for number in range(21)]
    assert names("%2Bname") == names("+name") == names("%20name") == rising
    # Without a sign it falls, as the provider documents.
    assert names("name") == names("-name") == rising[::-1]
    assert names("%2Bexpires_at") == rising[::-1]
    assert names("-expires_at,name") == rising
    # What was never used comes before what was.
    path = "/account/tokens?limit=100&sort=%2Blast_used_at"
    until(lambda: "last_used_at" in main.json("GET", path)[-1], seconds=30, what="the last use")
    assert main.json("GET", path)[-1]["id"] == first[0]["id"]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=0", {"limit"}),
        ("limit=101", {"limit"}),
        ("limit=ten&offset=-1", {"limit", "offset"}),
        ("offset=99999999999", {"offset"}),
        ("sort=token", {"sort"}),
        ("sort=name,name", {"sort"}),
        ("sort=", {"sort"}),
        ("gui=yes", {"gui"}),
        ("owner=somebody", {"owner"}),
        ("limit=1&limit=2", {"query"}),
    ],
)
def test_a_parameter_that_cannot_be_taken_is_named(main, query, fields):
    assert wrong(main, "GET", f"/account/tokens?{query}") == fields


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "a" * 1025}, {"name"}),
        ({"name": None}, {"name"}),
        ({"expires_in": "8761h"}, {"expires_in"}),
        ({"expires_in": "0h"}, {"expires_in"}),
        ({"expires_in": "-1h"}, {"expires_in"}),
        ({"expires_in": "soon"}, {"expires_in"}),
        ({"expires_at": "2026-12-01T00:00:00Z"}, {"expires_at"}),
        ({"expires_in": None}, {"expires_at"}),
        ({"expires_in": None, "expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}),
        ({"expires_in": None, "expires_at": "tomorrow"}, {"expires_at"}),
        ({"allowed_ip_ranges": ["1.2.3.4/33"]}, {"allowed_ip_ranges"}),
        ({"allowed_ip_ranges": ["10.0.0.1"] * 101}, {"allowed_ip_ranges"}),
        ({"allowed_ip_ranges": "1.2.3.4"}, {"allowed_ip_ranges"}),
        ({"scopes": ["upcloud:everything"]}, {"scopes"}),
        ({"can_create_tokens": "yes"}, {"can_create_tokens"}),
        ({"can_create_sub_tokens": True}, {"can_create_sub_tokens"}),
    ],
)
def test_a_field_that_cannot_be_taken_is_named_and_nothing_is_made(main, spec, fields):
    body = {"name": "x", "expires_in": "1h"} | spec
    assert wrong(main, "POST", "/account/tokens", body) == fields
    assert len(main.json("GET", "/account/tokens")) == 1


@pytest.mark.parametrize(("told", "seconds"), [("1h30min", 5400), ("7d", 604_800), ("90s", 90)])
def test_a_life_is_told_as_a_duration_or_as_a_time(main, told, seconds):
    made = make(main, expires_in=told)
    born, ends = (datetime.fromisoformat(made[one]) for one in ("created_at", "expires_at"))
    assert abs((ends - born).total_seconds() - seconds) < 30
    again = make(main, expires_in=None, expires_at=made["expires_at"])
    assert again["expires_at"] == made["expires_at"]


def test_ranges_absent_or_null_are_the_accounts_and_an_empty_list_is_nowhere(server, main):
    for spec in ({}, {"allowed_ip_ranges": None}):
        token = make(main, **spec)
        assert token["allowed_ip_ranges"] == RANGES
        assert bearing(main, token).json("GET", "/account")
    none = make(main, allowed_ip_ranges=[])
    assert none["allowed_ip_ranges"] == []
    assert bearing(main, none).code("GET", "/account") == (403, "ACTION_FORBIDDEN")


def test_the_documents_own_command_as_upctl_sends_it(server, main):
    """`account token create --name terraform --expires-in 1h --allow-ip-range …`, three ranges."""
    ranges = ["1.2.3.4", "::/0", "2.3.4.0/24"]
    # It turns the duration into a time of its own clock before it asks.
    life = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {
        "name": "terraform",
        "expires_at": life,
        "can_create_tokens": False,
        "allowed_ip_ranges": ranges,
    }
    token = main.json("POST", "/account/tokens", body, status=201)
    assert token["allowed_ip_ranges"] == ranges
    text = bearing(main, token).headers
    for client in ("1.2.3.4", "2001:db8::1", "2.3.4.255"):
        assert allows(server, "/1.3/server", text, client=client)
    for client in ("1.2.3.5", "2.3.5.0", "127.0.0.1"):
        assert not allows(server, "/1.3/server", text, client=client)
    told = verdict(server, "/1.3/account/tokens", text, client="1.2.3.5")
    assert told["status"] == 403


def test_scopes_narrow_a_token_and_are_told_where_there_are_any(main):
    token = make(main, scopes=["upcloud:read"])
    assert token["scopes"] == ["upcloud:read"]
    narrow = bearing(main, token)
    assert narrow.json("GET", "/account")
    assert narrow.json("GET", "/account/tokens")
    answer = narrow.ask("POST", "/account/tokens", {"name": "x", "expires_in": "1h"})
    # The gate's own refusal is a problem document here too, with the decision's id in it.
    assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    assert answer.json["type"].endswith("#ERROR_ACTION_FORBIDDEN")
    assert ULID.fullmatch(answer.json["correlation_id"])
    assert answer.headers["x-latchgate-decision"]
    assert "scopes" not in make(main)


def test_d5_38_a_token_makes_none_unless_it_may_and_never_a_wider_one(main):
    plain = bearing(main, make(main))
    body = {"name": "x", "expires_in": "1h"}
    assert plain.code("POST", "/account/tokens", body) == (403, "ACTION_FORBIDDEN")
    maker = bearing(main, make(main, can_create_tokens=True, expires_in="2h"))
    assert maker.json("POST", "/account/tokens", body, status=201)
    longer = {"name": "x", "expires_in": "3h"}
    assert maker.code("POST", "/account/tokens", longer) == (403, "ACTION_FORBIDDEN")


def test_a_deleted_token_is_gone_with_the_answer(main):
    token = make(main, can_create_tokens=True)
    own = bearing(main, token)
    child = bearing(
        main, own.json("POST", "/account/tokens", {"name": "c", "expires_in": "1m"}, status=201)
    )
    path = f"/account/tokens/{token['id']}"
    answer = main.ask("DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    assert own.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
    assert child.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
    assert main.code("GET", path) == (404, "RESOURCE_NOT_FOUND")
    assert main.ask("DELETE", path).status == 204  # a repeat, whose first answer may be lost
    assert main.code("DELETE", "/account/tokens/0c-none") == (404, "RESOURCE_NOT_FOUND")


def test_d5_48_nobody_sees_or_deletes_anothers_token(server, world, main):
    token = make(main)
    colleague = Client(
        server, bearer(world, world.somebody(*SCOPES, tenant_id=main.owner.tenant_id))
    )
    path = f"/account/tokens/{token['id']}"
    assert colleague.code("GET", path) == (404, "RESOURCE_NOT_FOUND")
    assert colleague.code("DELETE", path) == (404, "RESOURCE_NOT_FOUND")
    assert token["id"] not in json.dumps(colleague.json("GET", "/account/tokens?limit=100"))
    assert bearing(main, token).json("GET", "/account")


def test_a_password_makes_tokens_and_an_app_password_does_not(server, world):
    admin = server.call("GET", "/manage/v1/account").json
    path = f"/manage/v1/users/{admin['user']['id']}"
    made = server.call("POST", f"{path}/password", {"namespace": "upcloud", "login": "boss"})
    told = made.json
    person = Client(server, basic(told["login"], told["password"]))
    body = {"name": "by password", "expires_in": "1h"}
    token = person.json("POST", "/account/tokens", body, status=201)
    assert bearing(person, token).json("GET", "/account")["account"]["username"] == "boss"
    made = server.call("POST", f"{path}/basic", {"namespace": "upcloud"})
    assert made.status == 201, made.body
    program = Client(server, basic("boss", made.json["password"]))
    assert program.json("GET", "/account")["account"]["username"] == "boss"
    assert program.code("POST", "/account/tokens", body) == (403, "ACTION_FORBIDDEN")


def test_a_token_lives_no_longer_than_the_tenants_policy_lets_it(main, world):
    caller = world.acting(world.key("manage", owner=main.owner))
    policy = compiled(FILES, 1)
    spec = LifetimeSpec(maximum_life="2d")
    lifetimes.set_lifetime(world.store, policy, caller, "upcloud.api_token", spec)
    make(main, expires_in="48h")
    asked = {"name": "longer", "expires_in": "49h"}
    assert wrong(main, "POST", "/account/tokens", asked) == {"expires_in"}
