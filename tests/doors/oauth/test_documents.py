"""Discovery, keys and userinfo at a running server."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.oauth import authority
from tests.world import http_request

from latchgate.core.model import Noun
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

KNOWN = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
USERINFO = "/oauth/userinfo"


@pytest.fixture(scope="module")
def get(server):
    def ask(path, method="GET", **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return http_request(method, server.addresses["console"] + path, headers=sent)

    return ask


@pytest.fixture(scope="module")
def owner(world):
    made = world.somebody("storage:read")
    changed = sa.update(schema.user).where(schema.user.c.id == made.user_id)
    world.change(Noun.USER, made.user_id, changed.values(email="o@example.com"))
    return made


@pytest.fixture(scope="module")
def app(world):
    return authority.client(world)


@pytest.fixture(scope="module")
def given(world, post, app, owner):
    def tokens(scopes):
        text = authority.code(world, app, owner, scopes=scopes)
        told = {"grant_type": "authorization_code", "code": text}
        told |= {"redirect_uri": authority.REDIRECT, "code_verifier": authority.VERIFIER}
        return post("/oauth/token", told, app).json

    return tokens


def test_both_documents_are_alike_and_name_the_issuer_whoever_is_asked(get):
    first, second = (get(path, Host="attacker.example") for path in KNOWN)
    assert first.status == 200
    assert first.body == second.body
    told = first.json
    assert "attacker" not in first.body.decode()
    assert told["issuer"].startswith("http://127.0.0.1")
    endpoints = [value for name, value in told.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(endpoints) == 8
    assert all(one.startswith(told["issuer"] + "/") for one in endpoints)
    assert told["response_types_supported"] == ["code"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["authorization_response_iss_parameter_supported"] is True
    assert not {"password", "implicit"} & set(told["grant_types_supported"])
    assert "urn:latchgate:introspection" not in told["grant_types_supported"]
    assert first.headers["access-control-allow-origin"] == "*"
    assert "max-age" in first.headers["cache-control"]


def test_tokens_are_checked_with_the_published_keys(get, given):
    answer = get("/oauth/jwks")
    assert "max-age" in answer.headers["cache-control"]
    told = answer.json
    assert len(told["keys"]) == 2  # of now, and of next
    for key in told["keys"]:
        assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
        assert "d" not in key
    tokens = given(["openid"])
    keys = KeySet.import_key_set(told)
    for name in ("access_token", "id_token"):
        assert jwt.decode(tokens[name], keys, algorithms=["ES256"]).claims["iss"]


def test_an_id_token_goes_with_its_access_token(given):
    import base64
    import hashlib

    tokens = given(["openid"])
    _, identity = authority.unchecked(tokens["id_token"])
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert identity["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        (["openid"], set()),
        (["openid", "profile"], {"name", "preferred_username"}),
        (["openid", "email"], {"email", "email_verified"}),
    ],
)
def test_a_user_is_told_of_by_scope(get, given, owner, scopes, names):
    text = given(scopes)["access_token"]
    for method in ("GET", "POST"):
        answer = get(USERINFO, method, Authorization=f"Bearer {text}")
        assert answer.status == 200, answer.body
        assert set(answer.json) == {"sub"} | names
        assert answer.json["sub"] == owner.user_id
        assert answer.json.get("email_verified", False) is False
        assert answer.headers["cache-control"] == "no-store"


def test_a_token_for_something_else_tells_nothing_of_its_user(get, given):
    text = given(["storage:read"])["access_token"]
    answer = get(USERINFO, Authorization=f"Bearer {text}")
    assert (answer.status, answer.json["error"]) == (403, "insufficient_scope")
    assert 'scope="openid"' in answer.headers["www-authenticate"]


def test_only_an_access_token_tells_of_its_user(get, given, world):
    tokens = given(["openid"])
    for text in (
        tokens["id_token"],
        tokens["access_token"][:-8] + "AAAAAAAA",
        world.admin.text,
        "no-token",
    ):
        answer = get(USERINFO, Authorization=f"Bearer {text}")
        assert (answer.status, answer.json["error"]) == (401, "invalid_token"), text
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert text not in json.dumps(answer.headers) + answer.body.decode()
    nobody = get(USERINFO)
    assert nobody.status == 401
    assert "error" not in nobody.headers["www-authenticate"]
    assert get(USERINFO, Authorization="Basic eDp5").status == 401


def test_a_document_is_only_read(get):
    for path in (*KNOWN, "/oauth/jwks"):
        answer = get(path, "POST")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert get(path, "HEAD").body == b""
        assert get(path, "OPTIONS").status == 204
