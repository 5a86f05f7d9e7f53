"""`latchgate oauth-client` and `consent` against the real server."""

from __future__ import annotations

import pytest
from tests.world import Server

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

CREATE = ("oauth-client", "create", "--scope", "storage:read", "--application")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


def test_a_client_lives_with_its_application_secret_and_grant(server):
    missing = server.cli(*CREATE, "Reports", "--grant", "client_credentials")
    assert (missing.code, "--contact makes one" in missing.err) == (2, True)
    tenant = server.cli("whoami", "--json").json["tenant_id"]
    machine = ("--grant", "client_credentials", "--tenant", tenant)
    made = server.cli(*CREATE, "Reports", "--contact", "a@example.com", *machine)
    assert made.code == 0, made.err
    assert "lgcs_" in made.out
    assert "shown this once" in made.out
    again = server.cli(*CREATE, "Reports", *machine)
    assert (again.code, "already" in again.err) == (1, True)
    ids = [
        one["id"]
        for one in server.cli("oauth-client", "list", "--json").json["oauth_clients"]
        if one["application_name"] == "Reports"
    ]
    (client_id,) = ids
    assert client_id in server.cli("oauth-client", "acting").out
    user = server.cli("user", "create", "--name", "robot", "--sort", "service", "--json")
    assert user.code == 0, user.err
    asked = ("oauth-client", "act-as", client_id, "--user", user.json["id"])
    homeless = server.cli(*asked, "--scope", "storage:read")
    assert (homeless.code, "which project" in homeless.err) == (1, True)
    secret = server.cli("oauth-client", "new-secret", client_id, "--grace", "7d", "--json").json
    shown = server.cli("oauth-client", "show", client_id)
    assert secret["id"] in shown.out
    assert secret["client_secret"] not in shown.out
    revoked = server.cli("oauth-client", "revoke-secret", client_id, secret["id"], "--json")
    assert revoked.json["receipt"]["verifiers"]
    updated = server.cli("oauth-client", "update", client_id, "--no-scopes", "--json")
    assert updated.json["scopes"] == []
    for verb, state in (("disable", "disabled"), ("enable", "active"), ("withdraw", "withdrawn")):
        done = server.cli("oauth-client", verb, client_id, "--json")
        assert done.json["state"] == state, done.err


def test_the_command_lines_own_client_is_there_from_the_start(server):
    shown = server.cli("oauth-client", "show", "latchgate-cli", "--json").json
    assert (shown["public"], shown["first_party"], shown["state"]) == (True, True, "active")
    assert "operator:tenants.write" not in shown["scopes"]


def test_who_consented_to_nothing_has_nothing_to_withdraw(server):
    assert server.cli("consent", "list", "--json").json == {"consents": []}
    done = server.cli("consent", "withdraw", "latchgate-cli")
    assert (done.code, "no consent" in done.err) == (1, True)
