"""`latchgate app` against the real server: developer, operator and user each with their token."""

from __future__ import annotations

import pytest
from tests.world import Server, latchgate

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

REQUEST = (
    *("app", "register", "--name", "Sync", "--vendor", "Example", "--purpose", "Quotas."),
    *("--contact", "keys@example.com", "--developer", "individual"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("server") / "lg")
    yield made
    made.kill()


def test_a_request_needs_an_address_and_no_token(server, tmp_path):
    done = latchgate(*REQUEST, cwd=tmp_path, env={"LATCHGATE_URL": server.addresses["api"]})
    assert done.code == 0, done.err
    assert "lgdev_" in done.out
    assert "shown this once" in done.out


def test_each_verb_acts_as_whoever_its_token_is_of(server):
    made = server.cli(*REQUEST, "--json").json
    application_id, token = made["application"]["id"], made["developer_token"]
    early = server.cli("app", "key", application_id, LATCHGATE_TOKEN=token)
    assert (early.code, "only what is approved" in early.err) == (1, True)
    assert server.cli("app", "approve", application_id).code == 2  # a reason is needed
    approved = server.cli("app", "approve", application_id, "--reason", "ok", "--json")
    assert approved.json["state"] == "approved"
    key = server.cli("app", "key", application_id, "--json", LATCHGATE_TOKEN=token).json
    assert len(key["api_key"]) == 32
    shown = server.cli("app", "show", application_id, LATCHGATE_TOKEN=token)
    assert key["id"] in shown.out
    assert key["api_key"] not in shown.out
    assert server.cli("app", "show", application_id).out.startswith("id ")
    assert server.cli("app", "block", application_id, "--json").json["blocked"] is True
    assert "Sync" in server.cli("app", "list", "--blocked").out
    assert server.cli("app", "unblock", application_id, "--json").json["blocked"] is False
    gone = server.cli("app", "withdraw", application_id, "--json", LATCHGATE_TOKEN=token)
    assert gone.json["receipt"]["verifiers"]
    late = server.cli("app", "reinstate", application_id, "--reason", "please")
    assert (late.code, "409" in late.err) == (1, True)


def test_a_stranger_with_the_operators_token_is_no_developer(server):
    made = server.cli(*REQUEST, "--json").json
    done = server.cli("app", "withdraw", made["application"]["id"])
    assert (done.code, "401" in done.err) == (1, True)


def test_the_test_key_is_set_for_tenants_and_a_wrong_one_is_told(server):
    tenant = server.cli("whoami", "--json").json["tenant_id"]
    published = "FEF5078EA41D182EEF89A21E034BD680"
    made = server.cli("app", "test-key", published, "--tenant", tenant, "--json").json
    assert (made["application_id"], made["tenants"]) == ("app-test", [tenant])
    assert server.cli("app", "test-key", published, "--json").json["tenants"] == []
    wrong = server.cli("app", "test-key", published.lower(), "--tenant", tenant)
    assert (wrong.code, "32 hexadecimal digits" in wrong.err) == (1, True)
    nowhere = server.cli("app", "test-key", published, "--tenant", "t-nowhere")
    assert (nowhere.code, "there is no tenant 't-nowhere'" in nowhere.err) == (1, True)
