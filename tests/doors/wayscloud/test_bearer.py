"""The dashboard with bearers of a real identity provider: keys, tokens, links, over sockets."""

from __future__ import annotations

import base64
import json
import time

import pytest
from tests.identity_provider import IdentityProvider, new_key, sign, sign_with_secret
from tests.world import http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PROFILE = "/api/v1/dashboard/account/profile"
KEYS = "/api/v1/dashboard/api-keys"
AUTH_FAILED = b'{"error":"Invalid or expired API key","code":"AUTH_FAILED"}'
SCOPES = ["own:keys.read", "own:keys.write", "storage:read", "storage:write", "storage:delete"]


@pytest.fixture(scope="module")
def linked(dashboard):
    """The subject that the provider's tokens name, linked with the administrator."""
    subject = dashboard.claims()["sub"]
    assert dashboard.link(subject).status == 201
    return subject


@pytest.fixture(scope="module")
def ada(dashboard):
    """A user who may manage their own storage keys, linked as `ada`; returns their id."""
    call, project = dashboard.server.call, dashboard.admin["project_id"]
    role = call("POST", "/manage/v1/roles", {"name": "customer", "scopes": SCOPES}).json["id"]
    user = call("POST", "/manage/v1/users", {"name": "ada", "email": "ada@example.com"}).json["id"]
    given = call("PUT", f"/manage/v1/users/{user}/roles/{project}/{role}")
    assert given.status == 200, given.body
    assert dashboard.link("ada", user).status == 201
    return user


def refused(dashboard, token):
    answer = dashboard.server.call("GET", PROFILE, token=token)
    return (answer.status, answer.body) == (401, AUTH_FAILED)


def test_the_documents_own_request_makes_a_key_for_the_linked_user(dashboard, ada):
    token = dashboard.token(sub="ada")
    told = {
        "name": "Production Storage Key",
        "service": "storage",
        "description": "Production environment storage access",
    }
    made = dashboard.server.call("POST", KEYS, told, token=token)
    assert made.status == 201, made.body
    assert dashboard.server.allows(made.json["key"])
    stored = dashboard.server.call("GET", f"/manage/v1/keys/{made.json['id']}").json
    assert stored["owner_id"] == ada
    assert stored["created_by"].startswith(f"user:{ada} key:link-")
    listed = dashboard.server.call("GET", KEYS, token=token).json
    assert [one["id"] for one in listed] == [made.json["id"]]
    profile = dashboard.server.call("GET", PROFILE, token=token).json
    assert (profile["name"], profile["email"]) == ("ada", "ada@example.com")
    revoked = dashboard.server.call("DELETE", f"{KEYS}/{made.json['id']}", token=token)
    assert revoked.status == 200
    assert not dashboard.server.allows(made.json["key"])


def test_d5_48_whoever_is_linked_sees_and_revokes_their_own_keys_only(dashboard, ada):
    theirs = dashboard.server.create("storage")
    token = dashboard.token(sub="ada")
    listed = dashboard.server.call("GET", KEYS, token=token).json
    assert theirs["id"] not in {one["id"] for one in listed}
    for method in ("GET", "DELETE"):
        answer = dashboard.server.call(method, f"{KEYS}/{theirs['id']}", token=token)
        assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    assert dashboard.server.allows(theirs["key"])


def test_d5_38_a_linked_user_hands_out_no_more_than_they_hold(dashboard, ada):
    asked = {"name": "x", "service": "llm"}
    answer = dashboard.server.call("POST", KEYS, asked, token=dashboard.token(sub="ada"))
    assert (answer.status, answer.json["code"]) == (403, "INSUFFICIENT_PERMISSIONS")


def test_somebody_who_is_not_linked_is_401_whatever_else_they_claim(dashboard, linked):
    assert dashboard.status(dashboard.token()) == 200
    for change in (
        {"sub": "somebody-else"},
        {"sub": linked.upper()},
        {"sub": f"{linked} "},
        {"sub": "somebody-else", "email": "ada@example.com", "preferred_username": "admin"},
    ):
        assert refused(dashboard, dashboard.token(**change)), change


def test_a_token_opens_the_dashboard_and_nothing_else(dashboard, linked):
    token = dashboard.token()
    for path in ("/manage/v1/account", "/manage/v1/keys", "/v1/storage/a", "/v1/models"):
        assert dashboard.status(token, path) == 401
    assert not dashboard.server.allows(token)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example/realms/customers"},
        {"iss": None},
        {"aud": "account"},
        {"aud": None},
        {"aud": []},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 9_000_000_000},
        {"iat": 9_000_000_000},
        {"iat": 1_000_000_000, "exp": 9_000_000_000},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"cnf": {"jkt": "abc"}},
        {"sub": None},
    ],
    ids=str,
)
def test_d6_52_a_token_that_is_not_for_us_or_not_for_now_is_refused(dashboard, linked, change):
    assert refused(dashboard, dashboard.token(**change))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS512"])
def test_an_algorithm_that_the_policy_does_not_name_is_refused(dashboard, linked, algorithm):
    assert refused(dashboard, dashboard.token(alg=algorithm))
    assert dashboard.status(dashboard.token(alg="PS256")) == 200


def test_d6_51_no_signature_and_a_signature_with_the_public_key_are_refused(dashboard, linked):
    head, body, tail = dashboard.token().split(".")

    def headed(**header):
        told = json.dumps({"typ": "JWT", "kid": "first", **header}).encode()
        return base64.urlsafe_b64encode(told).decode().rstrip("=")

    pem = dashboard.key.as_pem(private=False)
    told = dashboard.claims()
    for token in (
        f"{headed(alg='none')}.{body}.",
        f"{headed(alg='none')}.{body}.{tail}",
        f"{headed(alg='None')}.{body}.AA",
        f"{head}.{body}.",
        f"{head}.{body}.AA",
        f"{head}.{body}.{tail[:-4]}",
        f"{head}.{body}",
        f"{head}.{body}.{tail}.{tail}",
        sign_with_secret(told, pem, "first", "HS256"),
        sign_with_secret(told, pem, "first", "RS256"),
        sign_with_secret(told, pem.strip(), "first", "HS256"),
    ):
        assert refused(dashboard, token)


def test_a_key_of_somebody_else_under_the_same_id_is_refused(dashboard, linked):
    other = new_key("RS256", "first")
    assert refused(dashboard, dashboard.token(key=other))
    told = {**dashboard.claims(), "sub": linked}
    forged = base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    head, _, tail = dashboard.token(sub="somebody-else").split(".")
    assert refused(dashboard, f"{head}.{forged}.{tail}")


@pytest.mark.parametrize("more", [{"crit": ["exp"]}, {"zip": "DEF"}, {"b64": False}], ids=str)
def test_d6_53_a_header_that_must_be_understood_is_refused(dashboard, linked, more):
    assert refused(dashboard, dashboard.token(header=more))


def test_d6_56_where_a_token_says_that_its_keys_are_is_never_asked(dashboard, linked):
    trap = IdentityProvider()
    try:
        own = new_key("RS256", "of-the-trap")
        trap.publish(own)
        for name in ("jku", "x5u"):
            for url in (trap.jwks_uri, f"{trap.url}/cert.pem"):
                token = dashboard.token(key=own, header={name: url})
                assert refused(dashboard, token)
                # One that is right says it in vain.
                assert dashboard.status(dashboard.token(header={name: url})) == 200
        jwk = own.as_dict(private=False)
        assert refused(dashboard, dashboard.token(key=own, header={"jwk": jwk}))
        assert refused(dashboard, dashboard.token(key=own, header={"jwk": jwk, "kid": "first"}))
        assert trap.asked == []
    finally:
        trap.close()


def test_in_both_headers_a_token_and_a_key_of_one_owner_count_together(dashboard, linked):
    own = dashboard.server.create("storage")
    url = dashboard.server.addresses["api"] + KEYS
    sent = {"Authorization": f"Bearer {dashboard.token()}", "X-API-Key": own["key"]}
    assert http_request("GET", url, headers=sent).status == 200
    dashboard.server.call("DELETE", f"{KEYS}/{own['id']}")
    assert http_request("GET", url, headers=sent).body == AUTH_FAILED


def test_unlinked_is_at_once_and_for_every_token(dashboard):
    made = dashboard.link("bob")
    assert made.status == 201
    token = dashboard.token(sub="bob")
    assert dashboard.status(token) == 200
    path = f"/manage/v1/users/{made.json['user_id']}/links/{made.json['id']}"
    gone = dashboard.server.call("DELETE", path)
    assert refused(dashboard, token)
    assert gone.json["receipt"]["verifiers"]
    again = dashboard.server.call("DELETE", path)
    assert (again.status, again.json["revoked_at"]) == (200, gone.json["revoked_at"])
    # Whom nobody is linked with may be linked anew; the token that is out then counts again.
    assert dashboard.link("bob").status == 201
    assert dashboard.status(token) == 200


def test_a_disabled_user_is_out_at_once_and_back_when_enabled(dashboard, ada):
    token = dashboard.token(sub="ada")
    assert dashboard.status(token) == 200
    dashboard.server.call("POST", f"/manage/v1/users/{ada}/disable")
    assert refused(dashboard, token)
    dashboard.server.call("POST", f"/manage/v1/users/{ada}/enable")
    assert dashboard.status(token) == 200


def test_a_user_is_linked_shown_and_unlinked_on_the_command_line(dashboard, ada):
    server, issuer = dashboard.server, dashboard.provider.issuer
    pair = ("--issuer", issuer, "--subject", "ada-at-work")
    made = server.cli("user", "link", ada, *pair)
    assert made.code == 0, made.err
    assert dashboard.status(dashboard.token(sub="ada-at-work")) == 200
    shown = server.cli("user", "show", ada)
    assert f"{issuer}#ada-at-work" in shown.out
    told = json.loads(server.cli("user", "show", ada, "--json").out)
    assert {one["subject"] for one in told["links"]} >= {"ada", "ada-at-work"}
    assert server.cli("user", "link", ada, *pair).code == 1
    gone = server.cli("user", "unlink", ada, *pair)
    assert gone.code == 0, gone.err
    assert "verifiers" in gone.out
    assert refused(dashboard, dashboard.token(sub="ada-at-work"))
    missing = server.cli("user", "unlink", ada, *pair)
    assert missing.code == 1
    assert "is not linked" in missing.err


def test_what_can_not_be_linked_is_told_field_by_field(dashboard, ada):
    path = f"/manage/v1/users/{ada}/links"
    call, issuer = dashboard.server.call, dashboard.provider.issuer
    for told, field in (
        ({"issuer": "https://other.example", "subject": "x"}, "issuer"),
        ({"issuer": issuer, "subject": "é"}, "subject"),
        ({"issuer": issuer, "subject": "x", "project_id": "p-none"}, "project_id"),
        ({"issuer": issuer, "subject": "x", "email": "a@b.example"}, "email"),
    ):
        answer = call("POST", path, told)
        assert answer.status == 422
        assert field in answer.body.decode()
    assert dashboard.link("ada").status == 409
    assert dashboard.link("ada", ada).status == 409
    assert dashboard.link("x", "u-none").status == 404
    assert call("GET", "/manage/v1/users/u-none/links").status == 404
    assert call("DELETE", f"{path}/link-none").status == 404


def test_the_journal_says_who_linked_whom(dashboard, linked):
    told = dashboard.server.call("GET", "/manage/v1/audit?limit=1000").json
    actions = {one["action"] for one in told["rows"]}
    assert {"user.link", "user.unlink"} <= actions


def test_no_token_is_in_the_log_or_in_what_is_kept_of_refusals(dashboard, linked):
    token = dashboard.token(aud="somebody-else")
    answer = dashboard.server.call("GET", PROFILE, token=token)
    assert answer.status == 401
    signature = token.split(".")[2]
    log = (dashboard.server.folder / "serve.log").read_text("utf-8")
    assert signature not in log
    kept = dashboard.server.folder.glob("latchgate-usage.db*")
    assert not any(signature.encode() in path.read_bytes() for path in kept)


def test_thirty_unknown_key_ids_cost_at_most_five_fetches_and_known_keys_go_on(dashboard, linked):
    before = len(dashboard.provider.asked)
    forger = new_key("RS256", "forged")
    told = dashboard.claims()
    for number in range(30):
        token = sign(told, forger, header={"kid": f"unknown-{number}"})
        assert refused(dashboard, token)
    assert len(dashboard.provider.asked) - before <= 5
    assert dashboard.status(dashboard.token()) == 200


def test_a_rotated_key_is_found_and_the_one_before_ends_with_the_set(tmp_path):
    from tests.doors.wayscloud.conftest import Dashboard
    from tests.world import Server

    provider = IdentityProvider()
    server = Server.started(tmp_path / "lg")
    try:
        dashboard = Dashboard(server, provider)
        dashboard.believe()
        assert dashboard.link("ada").status == 201
        before = dashboard.token(sub="ada")
        assert dashboard.status(before) == 200
        assert len(provider.asked) == 1
        second = new_key("ES256", "second")
        provider.publish(dashboard.key, second)
        assert dashboard.status(dashboard.token(sub="ada", key=second, alg="ES256")) == 200
        assert dashboard.status(before) == 200
        assert len(provider.asked) == 2
        # The address is gone: what was read goes on.
        provider.answer = (503, {}, b"")
        assert dashboard.status(dashboard.token(sub="ada", exp=int(time.time()) + 60)) == 200
    finally:
        server.kill()
        provider.close()


def test_while_no_keys_can_be_had_it_is_503_and_nobody_passes(tmp_path):
    from tests.doors.wayscloud.conftest import Dashboard
    from tests.world import Server

    provider, trap = IdentityProvider(), IdentityProvider()
    server = Server.started(tmp_path / "lg")
    try:
        dashboard = Dashboard(server, provider)
        dashboard.believe()
        assert dashboard.link("ada").status == 201
        trap.publish(dashboard.key)
        provider.answer = (302, {"Location": trap.jwks_uri}, b"")
        answer = dashboard.server.call("GET", PROFILE, token=dashboard.token(sub="ada"))
        assert (answer.status, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert provider.asked
        assert trap.asked == []  # a redirect is not followed
        # A key of Latchgate's own needs nobody else.
        assert dashboard.status(server.token) == 200
    finally:
        server.kill()
        provider.close()
        trap.close()
