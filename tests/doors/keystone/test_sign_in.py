"""Signing in at the identity API, over HTTP: what is answered, and that nothing else is told."""

from __future__ import annotations

import socket
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
import pytest
import sqlalchemy as sa
from tests.doors.keystone.cloud import NO_SIGN_IN, TOKENS, V3, error

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
CHOSEN = "correct horse battery staple 7"


def raw(cloud, request: bytes) -> bytes:
    """Send bytes and return the bytes of the answer."""
    parts = urlsplit(cloud.url)
    with socket.create_connection((parts.hostname, parts.port), 30) as connection:
        connection.sendall(request)
        told = b""
        while chunk := connection.recv(65_536):
            told += chunk
    return told


def test_the_documents_first_method_gives_a_token(cloud, alice, key):
    answer = cloud.sign_in({"id": key.id, "secret": key.secret})
    assert answer.status == 201
    assert answer.headers["vary"] == "X-Auth-Token"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    token = answer.json["token"]
    domain = {"id": alice.tenant_id, "name": cloud.named(schema.tenant, alice.tenant_id)}
    project = {"domain": domain, "id": alice.project_id}
    assert token["methods"] == ["application_credential"]
    assert token["user"] == {
        "domain": domain,
        "id": alice.user_id,
        "name": cloud.named(schema.user, alice.user_id),
        "password_expires_at": None,
    }
    assert token["project"] == project | {"name": cloud.named(schema.project, alice.project_id)}
    assert token["is_domain"] is False
    assert token["roles"] == [
        {"id": cloud.roles["Member"], "name": "Member"},
        {"id": cloud.roles["Reader"], "name": "Reader"},
    ]
    assert token["application_credential"] == {"id": key.id, "name": key.name, "restricted": True}
    (audit_id,) = token["audit_ids"]
    assert len(audit_id) == 22
    (identity,) = token["catalog"]
    assert identity["type"] == "identity"
    assert {one["interface"]: one["url"] for one in identity["endpoints"]} == dict.fromkeys(
        ("public", "internal", "admin"), cloud.url + V3
    )
    assert {one["region"] for one in identity["endpoints"]} == {"kr-central-2"}
    begun, ended = (datetime.fromisoformat(token[name]) for name in ("issued_at", "expires_at"))
    assert (ended - begun).total_seconds() == 12 * 3_600
    assert all(token[name][-8] == "." for name in ("issued_at", "expires_at"))


def test_the_documents_second_method_gives_a_token(cloud, alice, key):
    answer = cloud.sign_in({"name": key.name, "secret": key.secret, "user": {"id": alice.user_id}})
    assert answer.status == 201
    assert answer.json["token"]["application_credential"]["id"] == key.id


@pytest.mark.parametrize("field", ["id", "name"])
def test_a_keys_user_may_be_told_by_name_and_domain(cloud, alice, key, field):
    named = cloud.named(schema.tenant, alice.tenant_id)
    domain = {field: alice.tenant_id if field == "id" else named}
    user = {"name": cloud.named(schema.user, alice.user_id), "domain": domain}
    answer = cloud.sign_in({"name": key.name, "secret": key.secret, "user": user})
    assert answer.status == 201


def test_the_token_is_in_a_header_of_that_very_spelling_whatever_the_client_sends(cloud, key):
    identity = {"methods": ["application_credential"], "application_credential": key.by_id}
    body = msgspec.json.encode({"auth": {"identity": identity}})
    head = f"POST {TOKENS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    told = raw(cloud, head.encode() + b"Connection: close\r\n\r\n" + body)
    assert told.startswith(b"HTTP/1.1 201 ")
    assert b"\r\nX-Subject-Token: kcpt_" in told


def test_the_catalog_is_left_out_where_it_is_not_wanted(cloud, key):
    assert "catalog" not in cloud.sign_in(key.by_id, query="?nocatalog").json["token"]
    assert "catalog" in cloud.sign_in(key.by_id, query="?nocatalog=0").json["token"]


def test_an_expiring_key_gives_tokens_that_end_with_it(cloud):
    key = cloud.key(expires_in="1h")
    token = cloud.sign_in(key.by_id).json["token"]
    begun, ended = (datetime.fromisoformat(token[name]) for name in ("issued_at", "expires_at"))
    assert (ended - begun).total_seconds() <= 3_600


def test_a_secret_that_was_chosen_gives_a_token_and_one_like_it_none(cloud):
    key = cloud.key(chosen=CHOSEN)
    assert cloud.sign_in(key.by_id).status == 201
    assert cloud.sign_in(key.by_name).status == 201
    assert cloud.sign_in(key.by_id | {"secret": CHOSEN + "x"}).status == 401


# --- one answer to every wrong credential


def same_but_for_ids(answer):
    """What is told, without the names of this very answer."""
    names = {"date", "x-openstack-request-id", "x-latchgate-decision"}
    pairs = [(name, "" if name in names else value) for name, value in answer.pairs]
    return answer.status, pairs, answer.body


def test_every_wrong_credential_is_told_the_same_in_bytes(cloud, alice, key, password):
    dead = cloud.key(alice, "dead")
    cloud.delete_key(dead)
    gone = cloud.person()
    orphan = cloud.key(gone, "orphan")
    cloud.take(gone, "Member")
    chosen = cloud.key(alice, "chosen", chosen=CHOSEN)
    other = key.secret[:-9] + ("A" if key.secret[-9] != "A" else "B") + key.secret[-8:]
    user = {"id": alice.user_id}
    domain = {"id": alice.tenant_id}
    wrong = [
        key.by_id | {"secret": other},
        key.by_id | {"secret": "wrong"},
        key.by_id | {"secret": ""},
        {"id": key.id},
        {"id": "0" * 32, "secret": key.secret},
        {"id": "nope", "secret": "wrong"},
        {"id": "x" * 5_000, "secret": "wrong"},
        {"id": "", "secret": "wrong"},
        key.by_id | {"secret": "w" * 2_000},
        dead.by_id,
        dead.by_name,
        orphan.by_id,
        chosen.by_id | {"secret": "wrong"},
        key.by_name | {"secret": "wrong"},
        key.by_name | {"name": "nope"},
        key.by_name | {"name": key.name.upper()},
        key.by_name | {"user": {"id": "nobody"}},
        key.by_name | {"user": {"name": "nobody", "domain": domain}},
        key.by_name | {"user": {"name": "alice", "domain": {"name": "no such domain"}}},
        # Of a key by its id the secret decides, whatever else is told.
        {"id": "nope", "name": key.name, "user": user, "secret": key.secret},
    ]
    told = [cloud.sign_in(block) for block in wrong]
    told += [
        cloud.sign_in({"user": one}, "password")
        for one in (
            user | {"password": "wrong"},
            user | {"password": ""},
            {"id": "nobody", "password": "wrong"},
            {"name": "nobody", "domain": domain, "password": "wrong"},
            {"name": "alice", "domain": {"id": "elsewhere"}, "password": password},
        )
    ]
    answers = [same_but_for_ids(answer) for answer in told]
    decided = [pair for pair in answers[0][1] if pair[0] != "x-latchgate-decision"]
    for status, pairs, body in answers:
        assert status == 401
        assert msgspec.json.decode(body)["error"]["message"] == NO_SIGN_IN
        assert [pair for pair in pairs if pair[0] != "x-latchgate-decision"] == decided
        assert body == answers[0][2]
    assert f'Keystone uri="{cloud.url}{V3}"' == told[0].headers["www-authenticate"]


def test_a_key_is_not_its_owners_password_nor_a_password_a_key(cloud, alice, key, password):
    assert cloud.sign_in({"id": key.id, "secret": password}).status == 401
    user = {"id": alice.user_id, "password": key.secret}
    assert cloud.sign_in({"user": user}, "password").status == 401


# --- passwords


def test_a_password_gives_a_token_without_a_project(cloud, alice, password):
    domain = {"name": cloud.named(schema.tenant, alice.tenant_id)}
    for user in ({"id": alice.user_id}, {"name": "alice", "domain": domain}):
        for scope in ({}, {"scope": "unscoped"}, {"scope": None}):
            sent = {"user": user | {"password": password}}
            token = cloud.sign_in(sent, "password", **scope).json["token"]
            assert token["methods"] == ["password"]
            assert token["user"]["id"] == alice.user_id
            assert not {"project", "roles", "catalog", "is_domain"} & set(token)


def test_a_password_gives_a_token_of_a_project_its_user_has_roles_in(cloud, alice, password):
    domain = {"id": alice.tenant_id}
    named = {"name": cloud.named(schema.project, alice.project_id), "domain": domain}
    user = {"id": alice.user_id, "password": password}
    for project in ({"id": alice.project_id}, named):
        answer = cloud.sign_in({"user": user}, "password", scope={"project": project})
        token = answer.json["token"]
        assert token["project"]["id"] == alice.project_id
        assert [role["name"] for role in token["roles"]] == ["Member", "Reader"]
        assert "application_credential" not in token


def test_a_password_gives_no_token_of_anybody_elses_project(cloud, alice, password):
    stranger = cloud.person()
    colleague = cloud.person(tenant_id=alice.tenant_id)
    user = {"id": alice.user_id, "password": password}
    domain = {"id": stranger.tenant_id}
    for project in (
        {"id": stranger.project_id},
        {"id": colleague.project_id},
        {"id": "nowhere"},
        {"name": cloud.named(schema.project, stranger.project_id), "domain": domain},
        {"name": "nowhere", "domain": domain},
    ):
        answer = cloud.sign_in({"user": user}, "password", scope={"project": project})
        assert answer.status == 401
        assert error(answer)["message"] == NO_SIGN_IN


def test_a_password_is_never_taken_for_that_of_a_namesake_in_another_domain(cloud):
    one, other = cloud.person(), cloud.person()
    text = cloud.password(one, "namesake")
    user = {"name": "namesake", "password": text}
    told = cloud.sign_in({"user": user | {"domain": {"id": other.tenant_id}}}, "password")
    assert told.status == 401
    told = cloud.sign_in({"user": user | {"domain": {"id": one.tenant_id}}}, "password")
    assert told.status == 201


def test_a_password_of_certain_scopes_gives_no_roles(cloud):
    who = cloud.person("Admin")
    text = cloud.password(who, f"narrow-{who.user_id}")
    table = schema.credential
    mine = (table.c.owner_id == who.user_id, table.c.kind == "kakaocloud.account_password")
    (row,) = cloud.world.all(sa.select(table.c.id).where(*mine))
    narrow = sa.update(table).where(table.c.id == row.id).values(scopes='["compute:read"]')
    cloud.world.change(Noun.CREDENTIAL, row.id, narrow)
    assert cloud.signed_in(who, text)
    user = {"id": who.user_id, "password": text}
    scope = {"project": {"id": who.project_id}}
    refused = cloud.sign_in({"user": user}, "password", scope=scope)
    assert refused.status == 403
    assert "certain scopes" in error(refused)["message"]


# --- a token for a token


def test_a_passwords_token_gives_one_of_a_project_that_is_no_younger_and_ends_no_later(
    cloud, alice, password
):
    first = cloud.signed_in(alice, password)
    before = cloud.ask("GET", TOKENS, first, subject=first).json["token"]
    scope = {"project": {"id": alice.project_id}}
    answer = cloud.sign_in({"id": first}, "token", scope=scope)
    assert answer.status == 201
    after = answer.json["token"]
    assert after["project"]["id"] == alice.project_id
    assert after["expires_at"] == before["expires_at"]
    assert after["issued_at"] == before["issued_at"]
    assert cloud.works(answer.headers["x-subject-token"]) == 200


def test_a_keys_token_gives_no_other(cloud, alice, key):
    token = cloud.token(key)
    answer = cloud.sign_in({"id": token}, "token", scope={"project": {"id": alice.project_id}})
    assert answer.status == 403
    assert error(answer)["message"] == (
        "You are not authorized to perform the requested action: Using a delegated token to create"
        " another token is not allowed.."
    )


def test_a_token_that_is_none_gives_none(cloud):
    for text in ("kcpt_nope", "", "kcpt_", "x" * 10_000):
        assert cloud.sign_in({"id": text}, "token").status == 401


# --- what can't be read


def test_a_long_body_is_refused_in_keystones_words(cloud):
    answer = cloud.ask("POST", TOKENS, sent=b'"' + b"x" * 1_100_000 + b'"')
    assert answer.status == 413
    assert error(answer)["title"] == "Content Too Large"


@pytest.mark.parametrize("told", ["application/x-www-form-urlencoded", "text/plain", "json"])
def test_a_body_that_says_it_is_not_json_is_refused(cloud, key, told):
    identity = {"methods": ["application_credential"], "application_credential": key.by_id}
    sent = {"auth": {"identity": identity}}
    answer = cloud.ask("POST", TOKENS, sent=sent, headers={"Content-Type": told})
    assert answer.status == 400
    assert error(answer)["message"].startswith(
        "Expecting to find application/json in Content-Type header."
    )


def test_json_with_a_charset_is_json(cloud, key):
    identity = {"methods": ["application_credential"], "application_credential": key.by_id}
    told = {"Content-Type": "application/json; charset=utf-8"}
    answer = cloud.ask("POST", TOKENS, sent={"auth": {"identity": identity}}, headers=told)
    assert answer.status == 201


def test_the_host_header_makes_no_link(cloud, key):
    identity = {"methods": ["application_credential"], "application_credential": key.by_id}
    told = {"Host": "evil.example"}
    answer = cloud.ask("POST", TOKENS, sent={"auth": {"identity": identity}}, headers=told)
    assert answer.status == 201
    assert b"evil" not in answer.body


def test_the_same_is_answered_without_identity_and_with_a_slash(cloud, key):
    identity = {"methods": ["application_credential"], "application_credential": key.by_id}
    for path in ("/v3/auth/tokens", "/v3/auth/tokens/", f"{TOKENS}/"):
        assert cloud.ask("POST", path, sent={"auth": {"identity": identity}}).status == 201
