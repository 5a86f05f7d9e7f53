"""A CI job at a running server: what its issuer signed, and who is told what is wrong with it."""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlencode

import pytest
from tests.identity_provider import IdentityProvider, new_key, sign
from tests.world import Server, http_request, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KEY, NEXT = new_key("RS256", "one"), new_key("ES256", "two")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
MAIN = "repo:acme/photos:ref:refs/heads/main"


@pytest.fixture(scope="module")
def provider():
    made = IdentityProvider()
    made.publish(KEY)
    yield made
    made.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A server whose operator lets tenants trust issuers on this machine."""
    made = Server.made(tmp_path_factory.mktemp("workloads") / "lg")
    with made.config.open("a", encoding="utf-8") as file:
        file.write('\n[workloads]\nallowed_networks = ["127.0.0.1/32"]\n')
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def robot(here):
    """A service user with a role, by its id."""
    made = here.call("POST", "/manage/v1/users", {"name": "ci", "sort": "service"})
    assert made.status == 201, made.body
    role = {"name": "ci", "scopes": ["own:account.read", "storage:read"]}
    role_id = here.call("POST", "/manage/v1/roles", role).json["id"]
    project = here.call("GET", "/manage/v1/account").json["project_id"]
    user_id = made.json["id"]
    path = f"/manage/v1/users/{user_id}/roles/{project}/{role_id}"
    assert here.call("PUT", path).status in {200, 201, 204}
    return user_id


@pytest.fixture
def trusted(here, robot, provider):
    """A workload, whose issuer was asked where its keys are."""
    told = f'{{"issuer":"{provider.issuer}","jwks_uri":"{provider.jwks_uri}"}}'
    provider.answer = (200, {}, told.encode())
    spec = {"name": f"deploy {secrets.token_hex(4)}", "issuer": provider.issuer}
    spec |= {"claims": {"sub": MAIN}, "user_id": robot, "scopes": ["own:account.read"]}
    made = here.call("POST", "/manage/v1/workloads", spec)
    provider.answer = None
    assert made.status == 201, made.body
    assert made.json["jwks_uri"] == provider.jwks_uri
    return made.json


def statement(provider, here, key=KEY, alg="RS256", **changes):
    now = int(time.time())
    told = {"iss": provider.issuer, "aud": here.addresses["console"], "sub": MAIN}
    told |= {"iat": now, "exp": now + 300, "jti": secrets.token_hex(8)}
    return sign(told | changes, key, alg=alg)


def ask(here, trusted, token, **more):
    form = {"grant_type": EXCHANGE, "client_id": trusted["id"], "subject_token": token}
    form |= {"subject_token_type": f"{TYPE}jwt"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url = here.addresses["console"] + "/oauth/token"
    sent = {name: value for name, value in (form | more).items() if value is not None}
    return http_request("POST", url, headers=headers, body=urlencode(sent).encode())


def error(answer, status=400):
    assert answer.status == status, answer.body
    assert set(answer.json) == {"error", "error_description"}
    return answer.json["error"]


def shown(here, path):
    """Return a decision, which is written a moment after it was taken."""
    until(lambda: here.call("GET", path).status == 200, seconds=30, what="the decision")
    return here.call("GET", path).json


@pytest.mark.parametrize("sort", ["jwt", "id_token"])
def test_a_job_gets_a_token_without_any_secret(here, provider, trusted, sort):
    token = statement(provider, here)
    answer = ask(here, trusted, token, subject_token_type=TYPE + sort)
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["scope"] == "own:account.read"
    account = here.call("GET", "/manage/v1/account", token=answer.json["access_token"])
    assert account.json["user"]["id"] == trusted["user_id"]
    again = ask(here, trusted, token)
    assert error(again) == "invalid_grant"
    shown = here.call("DELETE", f"/manage/v1/workloads/{trusted['id']}")
    assert {one["state"] for one in shown.json["receipt"]["verifiers"]} == {"acknowledged"}
    gone = here.call("GET", "/manage/v1/account", token=answer.json["access_token"])
    assert gone.status == 401


def test_outsiders_are_told_one_thing_and_administrators_exactly_why(here, provider, trusted):
    other = trusted | {"id": "wl-0000000000000000"}
    refusals = {
        "claim sub is": ask(here, trusted, statement(provider, here, sub=MAIN + "x")),
        "aud does not hold": ask(here, trusted, statement(provider, here, aud="x")),
        "signature": ask(here, trusted, statement(provider, here)[:-8] + "AAAAAAAA"),
        "no such workload": ask(here, other, statement(provider, here)),
    }
    said = set()
    for why, answer in refusals.items():
        assert error(answer) == "invalid_grant"
        text, _, decision_id = answer.json["error_description"].rpartition(" ")
        said.add(text)
        path = f"/manage/v1/decisions/{decision_id}"
        told = shown(here, path)
        assert why in told["steps"][-1]["text"]
        known = None if why == "no such workload" else trusted["grant_id"]
        assert told["credential"] == known
    assert len(said) == 1


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_secret": "x"}, "invalid_request"),
        ({"actor_token": "x"}, "invalid_request"),
        ({"audience": "https://other.example"}, "invalid_target"),
        ({"requested_token_type": f"{TYPE}refresh_token"}, "invalid_request"),
        ({"scope": "storage:read"}, "invalid_scope"),
        ({"subject_token": "x"}, "invalid_grant"),
        ({"subject_token": "x" * 20_000}, "invalid_grant"),
    ],
    ids=str,
)
def test_what_is_asked_otherwise_is_refused(here, provider, trusted, more, code):
    assert error(ask(here, trusted, statement(provider, here), **more)) == code


def test_keys_are_fetched_anew_when_the_issuer_rotates_and_held_while_it_is_down(
    here, provider, trusted
):
    assert ask(here, trusted, statement(provider, here)).status == 200
    provider.publish(KEY, NEXT)
    rotated = statement(provider, here, NEXT, "ES256")
    until(lambda: ask(here, trusted, rotated).status == 200, seconds=60, what="the new key")
    provider.answer = (500, {}, b"")
    for key, alg in ((KEY, "RS256"), (NEXT, "ES256")):
        assert ask(here, trusted, statement(provider, here, key, alg)).status == 200
    unknown = new_key("ES256", "three")
    before = len(provider.asked)
    for _ in range(30):
        forged = statement(provider, here, unknown, "ES256")
        assert error(ask(here, trusted, forged)) == "invalid_grant"
    assert len(provider.asked) - before <= 5
    provider.answer = None


def test_the_command_line_trusts_lists_changes_and_deletes(here, robot, provider):
    claims = ("--claim", f"sub={MAIN}", "--claim", "environment=prod", "--claim", "environment=qa")
    made = here.cli(
        "workload", "create", "--name", "by hand", "--issuer", provider.issuer, "--user", robot,
        *claims, "--claim", "protected=true", "--scope", "storage:read",
        "--jwks-uri", provider.jwks_uri, "--lifetime", "5m", "--json",
    )  # fmt: skip
    assert made.code == 0, made.err
    told = made.json
    assert told["claims"] == {"sub": MAIN, "environment": ["prod", "qa"], "protected": True}
    assert told["lifetime"] == "5m"
    assert told["audience"] == here.addresses["console"]
    listed = here.cli("workload", "list", "--filter", f"issuer={provider.issuer}", "--json")
    assert told["id"] in {one["id"] for one in listed.json["workloads"]}
    changed = here.cli("workload", "update", told["id"], "--claim", "environment=prod", "--json")
    assert changed.json["claims"] == {"environment": "prod"}
    for verb, state in (("disable", "disabled"), ("enable", "active"), ("delete", "active")):
        assert here.cli("workload", verb, told["id"], "--json").json["state"] == state
    assert here.cli("workload", "show", told["id"]).code == 1
    wrong = here.cli("workload", "update", told["id"], "--claim", "environment")
    assert (wrong.code, "NAME=VALUE" in wrong.err) == (2, True)


def test_an_issuer_that_can_not_be_asked_is_told_and_nothing_is_kept(here, robot, provider):
    spec = {"name": "nowhere", "issuer": provider.url, "claims": {"sub": MAIN}, "user_id": robot}
    spec |= {"scopes": ["storage:read"]}
    provider.answer = (404, {}, b"")
    answer = here.call("POST", "/manage/v1/workloads", spec)
    provider.answer = None
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "issuer"
    assert "answered 404" in answer.json["errors"][0]["detail"]
