"""Subaccounts as recorded at the provider: made, shown, changed, listed, deleted."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tests.asking import allows, basic
from tests.doors.upcloud.client import SCOPES, Client, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

_numbers = itertools.count(1)
PASSWORD = "mysecr3tPassword of otters"


def recorded(username: str) -> dict[str, object]:
    """Return the body that the Go SDK sent, its names changed."""
    return {
        "username": username,
        "password": PASSWORD,
        "first_name": "Test",
        "last_name": "User",
        "company": "UpCloud Ltd",
        "address": "my address",
        "postal_code": "00130",
        "city": "Helsinki",
        "email": "test@myhost.mydomain",
        "phone": "+358.31245434",
        "state": "",
        "country": "FIN",
        "currency": "EUR",
        "language": "en",
        "vat_number": "FI24315605",
        "timezone": "UTC",
        "allow_api": "yes",
        "allow_gui": "no",
        "tag_access": {"tag": [{"name": "a_tag", "storage": "yes"}]},
        "roles": {"role": ["billing", "aux_billing", "technical"]},
        "server_access": {"server": [{"uuid": "*", "storage": "yes"}]},
        "storage_access": {"storage": ["*"]},
        "network_access": {"network": ["*"]},
        "ip_filters": {"ip_filter": ["127.0.0.1"]},
    }


@pytest.fixture
def name():
    return f"sdk_test_{next(_numbers)}"


@pytest.fixture
def sub(main, name):
    main.json("POST", "/account/sub", {"sub_account": recorded(name)}, status=204)
    return replace(main, headers=basic(name, PASSWORD), owner=None)


def test_a_subaccount_made_with_a_password_logs_in_at_once_and_is_shown_as_it_was_told(
    main, name, sub
):
    assert sub.json("GET", "/account")["account"]["username"] == name
    told = recorded(name)
    del told["password"]
    shown = main.json("GET", f"/account/details/{name}")["account"]
    expected = told | {
        "campaigns": {"campaign": []},
        "enable_3rd_party_services": "no",
        "main_account": main.json("GET", "/account")["account"]["username"],
        "type": "sub",
    }
    assert shown == expected
    assert list(shown) == sorted(shown)
    assert sub.json("GET", f"/account/details/{name}")["account"] == shown


def test_the_recorded_change_is_shown_and_lists_replace_what_was(main, name, sub):
    change: dict[str, object] = {
        "first_name": "User",
        "email": "test@mydomain.myhost",
        "currency": "USD",
        "vat_number": "",
        "allow_api": "no",
        "allow_gui": "yes",
        "roles": {"role": ["billing"]},
        "tag_access": {"tag": []},
        "server_access": {"server": []},
        "storage_access": {"storage": None},
        "network_access": None,
        "ip_filters": {"ip_filter": ["127.0.0.3"]},
    }
    assert main.ask("PUT", f"/account/sub/{name}", {"account": change}).status == 204
    shown = main.json("GET", f"/account/details/{name}")["account"]
    empty: dict[str, object] = {
        "storage_access": {"storage": []},
        "network_access": {"network": []},
    }
    expected = change | empty
    assert {field: shown[field] for field in expected} == expected
    assert shown["last_name"] == "User"
    # From the moment the change was answered it is kept out, wherever it asks from.
    assert sub.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")


def test_ip_filters_are_addresses_networks_and_ranges_and_none_of_them_is_everywhere(
    server, main, name, sub
):
    def set_to(*filters):
        body = {"account": {"ip_filters": {"ip_filter": list(filters)}}}
        assert main.ask("PUT", f"/account/sub/{name}", body).status == 204
        shown = main.json("GET", f"/account/details/{name}")["account"]["ip_filters"]
        assert shown == {"ip_filter": list(filters)}

    def passes(client):
        return allows(server, "/1.3/server", sub.headers, client=client)

    set_to("192.0.2.5-192.0.2.9", "2001:db8::/32", "198.51.100.7")
    assert all(map(passes, ("192.0.2.5", "192.0.2.9", "2001:db8::9", "198.51.100.7")))
    assert not any(map(passes, ("192.0.2.4", "192.0.2.10", "198.51.100.8", "127.0.0.1")))
    set_to()
    assert passes("203.0.113.1")
    for wrong in ("192.0.2.9-192.0.2.5", "192.0.2.1-2001:db8::1", "somewhere", "0.0.0.0/0.0.0.0"):
        body = {"account": {"ip_filters": {"ip_filter": [wrong]}}}
        assert main.code("PUT", f"/account/sub/{name}", body) == (400, "IP_FILTERS_INVALID")


def test_a_deleted_subaccount_opens_nothing_and_its_name_is_free_for_another(main, name, sub):
    body = {"account": {"ip_filters": None}}
    main.json("PUT", f"/account/sub/{name}", body, status=204)
    made = sub.json("POST", "/account/tokens", {"name": "its own", "expires_in": "1h"}, status=201)
    own = replace(main, headers={"Authorization": f"Bearer {made['token']}"})
    assert own.json("GET", "/account")["account"]["username"] == name
    assert main.ask("DELETE", f"/account/sub/{name}").status == 204
    assert own.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
    assert sub.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
    assert main.code("GET", f"/account/details/{name}") == (404, "USER_NOT_FOUND")
    assert main.code("DELETE", f"/account/sub/{name}") == (404, "USER_NOT_FOUND")
    listed = main.json("GET", "/account/list")["accounts"]["account"]
    assert name not in [one["username"] for one in listed]
    again = recorded(name) | {"password": "another four words entirely", "first_name": "New"}
    main.json("POST", "/account/sub", {"sub_account": again}, status=204)
    # Neither the old password nor the old token are the new one's.
    assert sub.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
    assert own.code("GET", "/account") == (401, "AUTHENTICATION_FAILED")
    new = replace(main, headers=basic(name, "another four words entirely"))
    assert new.json("GET", f"/account/details/{name}")["account"]["first_name"] == "New"
    assert new.json("GET", "/account/tokens") == []


def test_a_subaccount_sees_and_changes_itself_alone_and_never_what_bounds_it(
    main, name, sub, world
):
    other = f"{name}_other"
    main.json("POST", "/account/sub", {"sub_account": recorded(other)}, status=204)
    forbidden = (403, "ACCOUNT_FORBIDDEN")
    boss = main.json("GET", "/account")["account"]["username"]
    for who in (other, boss, "nobody at all"):
        path = f"/account/details/{who.replace(' ', '%20')}"
        assert sub.code("GET", path) == forbidden
        assert sub.code("PUT", path, {"account": {}}) == forbidden
    assert sub.code("GET", "/account/list") == forbidden
    assert sub.code("POST", "/account/sub", {"sub_account": recorded("one_more")}) == forbidden
    for who in (name, other, boss.replace(" ", "%20")):
        assert sub.code("DELETE", f"/account/sub/{who}") == forbidden
    permission = {"user": name, "target_type": "server", "target_identifier": "a"}
    for act in ("grant", "revoke"):
        path = f"/permission/{act}"
        assert sub.code("POST", path, {"permission": permission}) == forbidden
    # What it got back may be sent again whole; what bounds it may not be another.
    mine = sub.json("GET", f"/account/details/{name}")["account"]
    changed = mine | {"city": "Espoo"}
    told = sub.json("PUT", f"/account/details/{name}", {"account": changed})["account"]
    assert told == changed
    every: tuple[dict[str, object], ...] = (
        {"allow_gui": "yes"},
        {"ip_filters": {"ip_filter": []}},
        {"roles": {"role": []}},
        {"server_access": {"server": [{"uuid": "*", "storage": "no"}]}},
        {"tag_access": {"tag": []}},
    )
    for wider in every:
        body = {"account": mine | wider}
        assert sub.code("PUT", f"/account/details/{name}", body) == (403, "ACTION_FORBIDDEN")
    assert sub.json("GET", f"/account/details/{name}")["account"] == changed


def test_nobody_reaches_an_account_of_another_tenant(main, name, sub, server, world):
    stranger = Client(server, bearer(world, world.somebody(*SCOPES)))
    missing = (404, "USER_NOT_FOUND")
    assert stranger.code("GET", f"/account/details/{name}") == missing
    assert stranger.code("PUT", f"/account/sub/{name}", {"account": {}}) == missing
    assert stranger.code("DELETE", f"/account/sub/{name}") == missing
    permission = {"user": name, "target_type": "server", "target_identifier": "*"}
    assert stranger.code("POST", "/permission/grant", {"permission": permission}) == missing
    # A login name is one of the whole namespace.
    taken = (409, "RESOURCE_ALREADY_EXISTS")
    assert stranger.code("POST", "/account/sub", {"sub_account": recorded(name)}) == taken
    assert stranger.code("POST", "/account/sub", {"sub_account": recorded(name.upper())}) == taken
    assert sub.json("GET", "/account")


def test_a_main_account_is_no_subaccount_and_only_it_changes_itself(main, world, server):
    other = world.somebody(*SCOPES, tenant_id=main.owner.tenant_id)
    second = Client(server, bearer(world, other))
    told = second.json("GET", "/account")["account"]["username"].replace(" ", "%20")
    refused = (403, "ACTION_FORBIDDEN")
    assert main.json("GET", f"/account/details/{told}")["account"]["type"] == "main"
    assert main.code("PUT", f"/account/details/{told}", {"account": {}}) == refused
    assert main.code("PUT", f"/account/sub/{told}", {"account": {}}) == refused
    assert second.code("PUT", f"/account/sub/{told}", {"account": {}}) == refused
    assert main.code("DELETE", f"/account/sub/{told}") == refused
    body = {"account": {"city": "Oulu"}}
    assert second.json("PUT", f"/account/details/{told}", body)["account"]["city"] == "Oulu"


def test_accounts_are_listed_with_their_kind_and_roles(main, name, sub):
    boss = main.json("GET", "/account")["account"]["username"]
    assert main.json("GET", "/account/list") == {
        "accounts": {
            "account": [
                {"roles": {"role": []}, "type": "main", "username": boss},
                {
                    "roles": {"role": ["billing", "aux_billing", "technical"]},
                    "type": "sub",
                    "username": name,
                },
            ]
        }
    }


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"password": "short1A"}, "PASSWORD_INVALID"),
        ({"password": "upcloudupcloudupcloud"}, "PASSWORD_INVALID"),
        ({"password": ""}, "PASSWORD_INVALID"),
        ({"username": "abc"}, "INVALID_USERNAME"),
        ({"username": "a" * 65}, "INVALID_USERNAME"),
        ({"username": "with space"}, "INVALID_USERNAME"),
        ({"username": "\u0430dmin_in_cyrillic"}, "INVALID_USERNAME"),
        ({"email": "nobody"}, "EMAIL_INVALID"),
        ({"allow_api": "perhaps"}, "ALLOW_API_INVALID"),
        ({"roles": {"role": ["king"]}}, "ROLE_INVALID"),
        ({"first_name": "a\nb"}, "FIRST_NAME_INVALID"),
        ({"first_name": 7}, "FIRST_NAME_INVALID"),
        ({"is_admin": "yes"}, "UNKNOWN_ATTRIBUTE"),
        ({"type": "main"}, "UNKNOWN_ATTRIBUTE"),
        ({"tenant_id": "t-1"}, "UNKNOWN_ATTRIBUTE"),
        ({"server_access": {"server": [{"uuid": ""}]}}, "TARGET_IDENTIFIER_INVALID"),
    ],
)
def test_what_cannot_be_taken_is_named_and_nothing_is_made(main, name, wrong, code):
    body = {"sub_account": recorded(name) | wrong}
    assert main.code("POST", "/account/sub", body) == (400, code)
    assert len(main.json("GET", "/account/list")["accounts"]["account"]) == 1


@pytest.mark.parametrize(
    ("fixed", "code"),
    [
        ({"type": "main"}, "TYPE_INVALID"),
        ({"username": "another"}, "INVALID_USERNAME"),
        ({"main_account": "another"}, "MAIN_ACCOUNT_INVALID"),
        ({"password": PASSWORD}, "UNKNOWN_ATTRIBUTE"),
        ({"campaigns": {"campaign": ["free"]}}, "CAMPAIGN_INVALID"),
    ],
)
def test_what_an_account_is_cannot_be_changed(main, name, sub, fixed, code):
    before = main.json("GET", f"/account/details/{name}")
    body = {"account": {"city": "Oulu", **fixed}}
    assert main.code("PUT", f"/account/sub/{name}", body) == (400, code)
    assert main.json("GET", f"/account/details/{name}") == before


def test_no_password_is_in_an_answer_or_the_log(main, name, server):
    wrong = recorded(name) | {"password": "hunter2hunter2 is too like itself", "allow_gui": "x"}
    assert b"hunter2" not in main.ask("POST", "/account/sub", {"sub_account": wrong}).body
    xml = b"<sub_account><username>x</username><password>hunter2<b/></password></sub_account>"
    told = main.ask("POST", "/account/sub", xml, headers={"Content-Type": "application/xml"})
    assert (told.status, b"hunter2" in told.body) == (400, False)
    assert "hunter2" not in server.log


def test_d5_38_a_subaccount_gets_no_right_that_its_maker_lacks(server, world, name):
    blind = Client(server, bearer(world, world.somebody("upcloud:account")))
    told = blind.code("POST", "/account/sub", {"sub_account": recorded(name)})
    assert told == (403, "ACTION_FORBIDDEN")
    bounded = Client(
        server,
        bearer(world, world.somebody("upcloud:read", "upcloud:account"), can_create_tokens=False),
    )
    # It could have made what the token itself must not: further credentials.
    told = bounded.code("POST", "/account/sub", {"sub_account": recorded(name)})
    assert told == (403, "ACTION_FORBIDDEN")


def test_d5_38_nobody_changes_or_ends_an_account_that_holds_more(main, name, sub, world):
    user = next(row for row in world.journal()[::-1] if row.action == "user.create").record
    role = world.role(main.owner.tenant_id, ["manage:users.write"])
    world.assign(user, main.owner.project_id, role)
    told = (403, "ACTION_FORBIDDEN")
    assert main.code("DELETE", f"/account/sub/{name}") == told
    assert main.code("PUT", f"/account/sub/{name}", {"account": {"allow_api": "no"}}) == told
    assert sub.json("GET", "/account")


def test_a_subaccount_may_look_and_manage_itself_until_its_role_says_more(
    server, main, name, sub, world
):
    main.json("PUT", f"/account/sub/{name}", {"account": {"ip_filters": None}}, status=204)
    assert allows(server, "/1.3/server", sub.headers)
    # A permission is kept, and gives no right.
    permission = {"user": name, "target_type": "server", "target_identifier": "*"}
    main.json("POST", "/permission/grant", {"permission": permission})
    assert not allows(server, "/1.3/server", sub.headers, method="POST")


def test_a_tenant_keeps_somebody_who_can_manage_it(server, world):
    only = Client(server, bearer(world, world.somebody("*")))
    username = only.json("GET", "/account")["account"]["username"].replace(" ", "%20")
    told = only.code("PUT", f"/account/details/{username}", {"account": {"allow_api": "no"}})
    assert told == (409, "CONFLICT")


def test_what_was_done_is_in_the_journal_without_the_password(main, name, sub, world):
    main.json("DELETE", f"/account/sub/{name}", status=204)
    rows = [row for row in world.journal() if row.tenant_id == main.owner.tenant_id]
    actions = [row.action for row in rows]
    assert {"user.create", "role.assign", "basic.create", "permission.change"} <= set(actions)
    assert actions[-1] == "user.delete"
    assert {"basic.revoke", "login.delete", "role.take"} <= set(actions)
    assert PASSWORD not in "".join(row.detail for row in rows)
    assert all(row.credential_id for row in rows if row.action == "user.delete")


def test_a_password_that_the_providers_rules_allow_and_ours_do_not_is_refused_with_advice(main):
    # The one that was recorded: letters of two sorts and a digit, around common words.
    body = {"sub_account": recorded("by_their_rules") | {"password": "mysecr3tPassword"}}
    answer = main.ask("POST", "/account/sub", body)
    assert (answer.status, answer.json["error"]["error_code"]) == (400, "PASSWORD_INVALID")
    assert "unrelated words" in answer.json["error"]["error_message"]
    assert b"mysecr3t" not in answer.body
