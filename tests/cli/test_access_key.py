"""`latchgate access-key` against the real server, and the roles that KakaoCloud has."""

from __future__ import annotations

import pytest
from tests.world import Owner, World

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

SCOPES = ["own:access-keys.read", "own:access-keys.write", "storage:read"]


@pytest.fixture(scope="module")
def poor(server):
    """The environment of somebody whose token does not hold what --yes takes; their password."""
    role = server.cli(
        "role",
        "create",
        "--name",
        "Keys",
        *(word for one in SCOPES for word in ("--scope", one)),
        "--json",
    ).json["id"]
    user = server.cli("user", "create", "--name", "pat", "--json").json["id"]
    project = server.cli("whoami", "--json").json["project_id"]
    assert server.cli("user", "give-role", user, project, role).code == 0
    world = World.beside(server)
    try:
        key = world.key("own", owner=Owner(world.owner.tenant_id, project, user))
    finally:
        world.close()
    password = server.cli("account", "password", "issue", "--user", user, "--json").json["password"]
    return {"LATCHGATE_TOKEN": key.text}, password


def create(server, *options, **env):
    return server.cli("access-key", "create", *options, **env)


def test_a_key_is_told_with_what_openstacks_clients_take_from_their_environment(server):
    made = create(server, "--name", "shown", "--expires-in", "90d")
    assert made.code == 0, made.err
    assert "shown this once" in made.out
    told = dict(line[7:].split("=", 1) for line in made.out.splitlines() if line[:7] == "export ")
    assert told["OS_AUTH_TYPE"] == "v3applicationcredential"
    assert told["OS_AUTH_URL"] == f"{server.addresses['api']}/identity/v3"
    assert len(told["OS_APPLICATION_CREDENTIAL_SECRET"]) == 86
    shown = server.cli("access-key", "show", told["OS_APPLICATION_CREDENTIAL_ID"])
    assert shown.code == 0
    assert told["OS_APPLICATION_CREDENTIAL_SECRET"] not in shown.out
    listed = server.cli("access-key", "list", "--search", "shown")
    assert told["OS_APPLICATION_CREDENTIAL_ID"] in listed.out


def test_rules_and_roles_are_told_as_they_were_given(server):
    options = ["--name", "ruled", "--unrestricted"]
    options += ["--access-rule", "get:identity:/identity/v3/projects/*"]
    made = create(server, *options, "--json").json
    (rule,) = made["access_rules"]
    assert (rule["method"], rule["service"]) == ("GET", "identity")
    assert made["unrestricted"]
    shown = server.cli("access-key", "show", made["id"])
    assert "GET:identity:/identity/v3/projects/*" in shown.out


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--name", "x", "--expires-in", "1h", "--expires-at", "2100-01-01T00:00:00Z"),
        ("--name", "x", "--access-rule", "GET"),
        ("--name", "x", "--access-rule", "GET:identity:projects"),
    ],
)
def test_a_wrong_call_ends_with_two_and_makes_nothing(server, options):
    assert create(server, *options).code == 2
    assert server.cli("access-key", "list", "--filter", "name=x", "--json").json == {
        "access_keys": [],
        "next": None,
    }


def test_deleting_reads_the_password_and_yes_says_what_is_missing(server, poor):
    env, password = poor
    made = create(server, "--name", "gone", "--json", **env).json
    assert [role["name"] for role in made["roles"]] == ["Keys"]
    bare = server.cli("access-key", "delete", made["id"], "--yes", **env)
    assert bare.code == 1
    assert "own:access-keys.delete" in bare.err
    silent = server.cli("access-key", "delete", made["id"], **env)
    assert (silent.code, "standard input" in silent.err) == (2, True)
    wrong = server.cli("access-key", "delete", made["id"], stdin=b"not it, at all\n", **env)
    assert (wrong.code, password in wrong.err) == (1, False)
    typed = f"{password}\n".encode()
    gone = server.cli("access-key", "delete", made["id"], "--json", stdin=typed, **env)
    assert gone.code == 0, gone.err
    assert gone.json["receipt"]["verifiers"]
    assert create(server, "--name", "gone", **env).code == 0


def test_a_token_that_holds_the_scope_goes_without(server):
    made = create(server, "--name", "quick", "--json").json
    assert server.cli("access-key", "delete", made["id"], "--yes").code == 0
    assert server.cli("access-key", "show", made["id"]).code == 1


def test_a_name_is_had_once(server):
    assert create(server, "--name", "twice").code == 0
    again = create(server, "--name", "twice")
    assert (again.code, "409 conflict" in again.err) == (1, True)
