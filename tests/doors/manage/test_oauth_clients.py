"""Clients and consents over HTTP, and access tokens on the management API itself."""

from __future__ import annotations

import pytest
from tests.minting import Minting
from tests.world import http_request

from latchgate.config import load
from latchgate.keyring import master
from latchgate.manage import oauth_clients
from latchgate.manage.own_client import CLI

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

CLIENTS = "/manage/v1/oauth-clients"
GRANTS = "/manage/v1/oauth-grants"
OWN = "/manage/v1/account/consents"
APPLICATION = {
    "name": "Reports",
    "vendor": "Example AG",
    "contact": "a@example.com",
    "purpose": "Nightly.",
    "developer": "corporation",
}


@pytest.fixture(scope="module")
def minting(server, world):
    """The server's own signing key, as its token endpoint will use it."""
    key = master.load(load(server.config).master_key)
    return Minting(world, issuer=server.addresses["console"], master=key)


@pytest.fixture
def machine(server, world):
    """A client with a secret that may act by itself, of an application made with it."""
    asked = {
        "application": APPLICATION,
        "tenant_id": world.owner.tenant_id,
        "scopes": ["own:account.read", "storage:read"],
        "grant_types": ["client_credentials"],
    }
    answer = server.call("POST", CLIENTS, asked)
    assert answer.status == 201, answer.body
    return answer


def test_a_client_is_made_shown_changed_switched_and_withdrawn(server, machine):
    made = machine.json
    assert made["client_secret"].startswith("lgcs_")
    path = f"{CLIENTS}/{made['id']}"
    assert machine.headers["location"] == path
    shown = server.call("GET", path)
    assert shown.json["application_name"] == "Reports"
    assert made["client_secret"].encode() not in shown.body
    stale = server.call("PATCH", path, {"scopes": []}, headers={"If-Match": '"1"'})
    assert (stale.status, stale.code) == (412, "version_changed")
    tag = {"If-Match": shown.headers["etag"]}
    changed = server.call("PATCH", path, {"scopes": ["storage:read"]}, headers=tag)
    assert changed.json["receipt"]["verifiers"]
    for verb, state in (("disable", "disabled"), ("enable", "active")):
        assert server.call("POST", f"{path}/{verb}").json["state"] == state
    renewed = server.call("POST", f"{path}/secrets", {"grace": "7d"})
    assert renewed.status == 201
    secrets = server.call("GET", path).json["secrets"]
    assert [one["superseded_by"] for one in secrets] == [renewed.json["id"], None]
    gone = server.call("DELETE", f"{path}/secrets/{secrets[0]['id']}")
    assert gone.json["receipt"]["journal"] > 0
    withdrawn = server.call("DELETE", path)
    assert (withdrawn.json["state"], withdrawn.json["secrets"]) == ("withdrawn", [])
    assert server.call("POST", f"{path}/enable").status == 409
    assert server.call("DELETE", path).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "application_id"),
        ({"scopes": ["fly"], "application": APPLICATION, "grant_types": ["password"]}, None),
        ({"scopes": [], "application": APPLICATION, "redirect_uris": ["http://x/"]}, None),
        ({"scopes": [], "application": APPLICATION, "secret": "mine"}, "body"),
        ({"scopes": "openid"}, "scopes"),
    ],
)
def test_what_is_wrong_with_a_client_is_told_by_field(server, body, field):
    answer = server.call("POST", CLIENTS, body)
    assert (answer.status, answer.code) == (422, "invalid")
    if field is not None:
        assert field in {one["field"] for one in answer.json["errors"]}


def test_a_client_acts_as_a_service_user_until_it_is_told_otherwise(
    server, world, minting, machine
):
    path = f"{GRANTS}/{machine.json['id']}"
    user = server.call("POST", "/manage/v1/users", {"name": path[-16:], "sort": "service"}).json
    world.assign(user["id"], world.owner.project_id, world.role_id)
    asked = {"user_id": user["id"], "scopes": ["own:account.read"]}
    acting = server.call("PUT", path, asked)
    assert acting.status == 200, acting.body
    assert acting.json["acts_as"]["user_id"] == user["id"]
    token = minting.token(acting.json["acts_as"]["id"])
    whoami = server.call("GET", "/manage/v1/account", token=token)
    assert whoami.status == 200, whoami.body
    assert server.call("GET", "/manage/v1/users", token=token).code == "insufficient_scope"
    listed = server.call("GET", GRANTS).json["oauth_grants"]
    assert machine.json["id"] in {one["client_id"] for one in listed}
    ended = server.call("DELETE", path)
    assert ended.json["acts_as"]["revoked_at"] is not None
    late = server.call("GET", "/manage/v1/account", token=token)
    assert (late.status, late.code) == (401, "parent_gone")
    assert server.call("GET", path).json["acts_as"]["revoked_at"] is not None


def test_what_is_signed_in_with_the_command_line_makes_lasting_keys_and_is_withdrawn(
    server, world, minting
):
    client = oauth_clients.shown(world.store, minting.policy, CLI, now=world.clock())
    scopes = (*(one for one in client.scopes if ":" in one), "storage:read")
    grant_id = minting.grant(client, world.owner, *scopes, issues=True)
    token = minting.token(grant_id)
    made = server.call(
        "POST",
        "/manage/v1/keys",
        {"name": "made", "services": ["storage"], "scopes": []},
        token=token,
    )
    assert (made.status, made.json["expires_at"]) == (201, None), made.body
    wide = {"name": "made", "services": ["storage"], "scopes": ["storage:write"]}
    assert server.call("POST", "/manage/v1/keys", wide, token=token).code == "forbidden"
    rotated = server.call("POST", f"/manage/v1/keys/{made.json['id']}/rotation", {}, token=token)
    assert rotated.status == 201, rotated.body
    (consent,) = server.call("GET", OWN, token=token).json["consents"]
    assert (consent["client_id"], consent["first_party"], consent["grants"]) == (CLI, True, 1)
    ended = server.call("DELETE", f"{OWN}/{CLI}", token=token)
    assert ended.json["receipt"]["verifiers"]
    assert server.call("GET", OWN, token=token).status == 401
    assert server.allows(made.json["key"]) is False  # it has no scope
    path = f"/manage/v1/users/{world.owner.user_id}/consents"
    assert server.call("GET", path).json == {"consents": []}
    assert server.call("DELETE", f"{path}/{CLI}").status == 200  # its receipt, once more


def test_a_token_that_may_make_nothing_makes_nothing(server, world, minting, machine):
    client = oauth_clients.shown(world.store, minting.policy, machine.json["id"], now=world.clock())
    grant_id = minting.grant(client, world.owner, "manage:keys.write", "own:tokens.write")
    token = minting.token(grant_id)
    spec = {"name": "made", "services": ["storage"], "scopes": []}
    for path, body in (
        ("/manage/v1/keys", spec),
        ("/manage/v1/account/tokens", {"name": "x", "scopes": [], "expires_in": "1h"}),
        (f"/manage/v1/keys/{world.admin.id}/rotation", {}),
    ):
        answer = server.call("POST", path, body, token=token)
        assert (answer.status, answer.code) == (403, "forbidden"), answer.body


def test_deleting_an_access_key_takes_more_than_a_fresh_token(server, world, minting):
    client = oauth_clients.shown(world.store, minting.policy, CLI, now=world.clock())
    key = server.call("POST", "/manage/v1/account/access-keys", {"name": "deploy"}).json
    scopes = ("own:access-keys.write", "own:access-keys.delete")
    token = minting.token(minting.grant(client, world.owner, *scopes, issues=True))
    path = f"/manage/v1/account/access-keys/{key['id']}"
    answer = server.call("DELETE", path, token=token)
    assert (answer.status, answer.code) == (401, "insufficient_user_authentication")


@pytest.mark.parametrize("at", [5, 60, 300, -5])
def test_a_token_changed_anywhere_opens_nothing(server, world, minting, at):
    client = oauth_clients.shown(world.store, minting.policy, CLI, now=world.clock())
    token = minting.token(minting.grant(client, world.owner, "own:account.read"))
    other = "A" if token[at] != "A" else "B"
    changed = token[:at] + other + (token[at + 1 :] if at != -1 else "")
    url = server.addresses["api"] + "/manage/v1/account"
    assert server.call("GET", "/manage/v1/account", token=token).status == 200
    answer = http_request("GET", url, headers={"Authorization": f"Bearer {changed}"})
    assert (answer.status, answer.code) == (401, "authentication_failed")


@pytest.mark.parametrize(
    "told",
    [
        {"first_party": True},
        {"public": True},
        {"tenant_id": None},
        {"application_id": "app-latchgate-cli"},
        {"grant_id": "og-1"},
        {"disabled_at": None},
        {"secrets": []},
    ],
)
def test_d5_37_what_a_client_is_can_not_be_changed_with_what_it_may(server, machine, told):
    path = f"{CLIENTS}/{machine.json['id']}"
    before = server.call("GET", path)
    answer = server.call("PATCH", path, {"scopes": []} | told)
    assert (answer.status, answer.code) == (422, "invalid")
    assert server.call("GET", path).body == before.body
