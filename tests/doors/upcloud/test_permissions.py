"""Permissions: kept as they were told, shown to whom they concern, taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.asking import basic
from tests.doors.upcloud.client import SCOPES, Client, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PASSWORD = "seven otters juggle lanterns"


@pytest.fixture(scope="module")
def named(server, world):
    owner = world.somebody(*SCOPES)
    main = Client(server, bearer(world, owner), owner)
    for name in ("sub_one", "sub_two"):
        told = {"sub_account": {"username": name, "password": PASSWORD}}
        main.json("POST", "/account/sub", told, status=204)
    return main


def permission(user="sub_one", sort="server", target="*", **more):
    told = {"target_identifier": target, "target_type": sort, "user": user}
    return {"permission": told | more}


def test_what_was_granted_is_told_listed_and_shown_with_the_account_until_it_is_taken_back(named):
    whole = permission(options={"storage": "yes"})
    assert named.json("POST", "/permission/grant", whole) == whole
    assert named.json("POST", "/permission/grant?skip_target_check=true", whole) == whole
    database = permission(user="sub_two", sort="managed_database", target="a-b-c")
    assert named.json("POST", "/permission/grant", database) == database
    listed = named.json("GET", "/permission")["permissions"]["permission"]
    assert listed == [whole["permission"], database["permission"]]
    mine = replace(named, headers=basic("sub_two", PASSWORD))
    assert mine.json("GET", "/permission") == {
        "permissions": {"permission": [database["permission"]]}
    }
    shown = named.json("GET", "/account/details/sub_one")["account"]
    assert shown["server_access"] == {"server": [{"storage": "yes", "uuid": "*"}]}
    for one in (whole, database):
        assert named.ask("POST", "/permission/revoke", one).status == 204
        assert named.code("POST", "/permission/revoke", one) == (404, "NOT_FOUND")
    assert named.json("GET", "/permission") == {"permissions": {"permission": []}}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (permission(user="nobody"), (404, "USER_NOT_FOUND")),
        (permission(sort="moon"), (400, "TARGET_TYPE_INVALID")),
        (permission(target=""), (400, "TARGET_IDENTIFIER_INVALID")),
        (permission(target="a\x00"), (400, "TARGET_IDENTIFIER_INVALID")),
        (permission(target="a" * 129), (400, "TARGET_IDENTIFIER_INVALID")),
        (permission(options={"storage": "perhaps"}), (400, "STORAGE_INVALID")),
        (permission(admin="yes"), (400, "UNKNOWN_ATTRIBUTE")),
        ({"permission": {"user": "sub_one"}}, (400, "TARGET_TYPE_MISSING")),
        ({}, (400, "PERMISSION_MISSING")),
        ([], (400, "REQUEST_INVALID")),
    ],
)
def test_what_cannot_be_granted_is_named(named, wrong, told):
    assert named.code("POST", "/permission/grant", wrong) == told
    assert named.json("GET", "/permission") == {"permissions": {"permission": []}}
