"""Tokens looked at and deleted, over HTTP: whose, by whom, and what is no token."""

from __future__ import annotations

import base64
import secrets
import time

import msgspec
import pytest
import sqlalchemy as sa
from tests.doors.keystone.cloud import NO_SIGN_IN, TOKENS, Cloud, error, said, spelled
from tests.world import Server, World

from latchgate.core.model import Noun
from latchgate.keyring import master
from latchgate.keyring.signing import Purpose, draw, unseal
from latchgate.manage import signing_keys
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
DENIED = "You are not authorized to perform the requested action: identity:"


@pytest.fixture(scope="module")
def token(cloud, key):
    """A token of alice's key."""
    return cloud.token(key)


@pytest.fixture(scope="module")
def service(cloud):
    """A token of a service that may validate the tokens of others."""
    who = cloud.person()
    cloud.world.assign(who.user_id, who.project_id, cloud.role("service", ["identity:validate"]))
    return cloud.token(cloud.key(who, "service"))


def validate(cloud, token, subject, query="", **headers):
    """Ask what a token is."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return cloud.ask("GET", TOKENS + query, token, subject=subject, headers=told)


# --- looked at


def test_a_token_tells_its_bearer_what_it_is_as_at_sign_in(cloud, key):
    given = cloud.sign_in(key.by_id)
    token = given.headers["x-subject-token"]
    told = validate(cloud, token, token)
    assert told.status == 200
    assert told.headers["x-subject-token"] == token
    assert told.headers["vary"] == "X-Auth-Token"
    assert told.json == given.json
    assert validate(cloud, token, token).json == given.json
    assert "catalog" not in validate(cloud, token, token, "?nocatalog").json["token"]


def test_head_answers_the_same_without_a_body(cloud, token):
    told = cloud.ask("HEAD", TOKENS, token, subject=token)
    assert told.status == 200
    assert told.headers["x-subject-token"] == token
    assert told.body == b""


def test_a_service_looks_at_anybodys_token_and_a_member_at_nobodys(cloud, token, service):
    told = validate(cloud, service, token)
    assert told.status == 200
    stranger = cloud.token(cloud.key())
    refused = validate(cloud, stranger, token)
    assert refused.status == 403
    assert error(refused)["message"] == f"{DENIED}validate_token."
    kept = cloud.ask("DELETE", TOKENS, stranger, subject=token)
    assert kept.status == 403
    assert error(kept)["message"] == f"{DENIED}revoke_token."
    assert cloud.works(token) == 200


def test_another_token_of_ones_own_may_be_looked_at(cloud, key, token):
    assert validate(cloud, cloud.token(key), token).status == 200


def test_without_a_subject_it_is_forbidden_and_without_a_token_unauthorized(cloud, token):
    for method, action in (("GET", "validate_token"), ("DELETE", "revoke_token")):
        refused = cloud.ask(method, TOKENS, token)
        assert refused.status == 403
        assert error(refused)["message"] == f"{DENIED}{action}."
        unknown = cloud.ask(method, TOKENS, subject=token)
        assert unknown.status == 401
        assert error(unknown)["message"] == NO_SIGN_IN
        assert unknown.headers["www-authenticate"] == f'Keystone uri="{cloud.url}/identity/v3"'


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_token_counts_in_no_other_header(cloud, token, header):
    told = cloud.ask("GET", "/identity/v3/auth/projects", headers={header: f"Bearer {token}"})
    assert told.status == 401


def test_a_token_with_access_rules_is_told_to_who_says_they_heed_them(cloud, service):
    rule = {"service": "storage", "method": "GET", "path": "/v1/storage/**"}
    key = cloud.key(name="bound", access_rules=[rule])
    answer = cloud.sign_in(key.by_id)
    token = answer.headers["x-subject-token"]
    assert answer.json["token"]["application_credential"]["access_rules"] == [rule]
    refused = validate(cloud, service, token)
    assert refused.status == 404
    assert error(refused)["message"] == "Failed to validate token"
    assert validate(cloud, service, token, OpenStack_Identity_Access_Rules="1").status == 200
    # No rule of its own names the identity API.
    assert cloud.works(token) == 401


# --- what is none

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def neighbours(text):
    """Other texts of nearly the same token: cut, longer, padded, of other bits, re-cased."""
    head, body = text.split("_", 1)
    last = ALPHABET.index(body[-1])
    spare = len(body) % 4
    assert spare in {0, 2, 3}
    yield text[:-1]
    yield text[: len(text) // 2]
    yield text + "A"
    yield text + "="
    yield f"{head}_"
    yield body
    yield f"{head.upper()}_{body}"
    yield f"{head}_{body[:40]}{body[40:].swapcase()}"
    for place in (0, 50, 100, len(body) - 10):
        other = "B" if body[place] == "A" else "A"
        yield f"{head}_{body[:place]}{other}{body[place + 1 :]}"
    for bit in (1, 2, 4, 8, 16, 32):
        yield f"{head}_{body[:-1]}{ALPHABET[last ^ bit]}"


def test_a_token_that_was_altered_cut_or_spelled_otherwise_is_none(cloud, token, service):
    for other in neighbours(token):
        told = validate(cloud, service, other)
        assert told.status == 404, other
        assert error(told)["message"] == "Could not recognize Fernet token"
        assert cloud.ask("GET", "/identity/v3/auth/projects", other).status == 401, other
    assert validate(cloud, service, token).status == 200


def test_nothing_but_this_latchgates_key_for_tokens_signs_one(cloud, token):
    told, key_id = said(token)
    key = master.load(cloud.server.folder / "master.key")
    ours = cloud.signer()
    audit = unseal(signing_keys.current(cloud.world.store, Purpose.AUDIT), key)
    stranger = unseal(draw(Purpose.TOKEN, key, lambda n: bytes(range(n))), key)
    wider = msgspec.structs.replace(told, roles=(cloud.roles["Admin"],), id="A" * 22)
    assert cloud.works(spelled(ours, told, key_id=key_id)) == 200
    audit_id = base64.urlsafe_b64decode(audit.id + "=")
    for text in (
        spelled(stranger, wider, key_id=key_id),
        spelled(audit, wider, key_id=key_id),
        spelled(audit, wider, key_id=audit_id),
        spelled(ours, wider, key_id=audit_id),
        spelled(ours, wider, key_id=key_id, domain=b"latchgate:project-token:2\0"),
        spelled(ours, wider, key_id=key_id, domain=b""),
    ):
        assert cloud.works(text) == 401


def test_a_token_that_says_more_than_its_owner_holds_gives_what_they_hold(cloud, token):
    told, key_id = said(token)
    ours = cloud.signer()
    wider = msgspec.structs.replace(told, roles=(cloud.roles["Admin"],), id="B" * 22)
    text = spelled(ours, wider, key_id=key_id)
    shown = validate(cloud, text, text)
    assert {role["name"] for role in shown.json["token"]["roles"]} == {"Member", "Reader"}


# --- ended


def test_an_ended_token_is_told_to_who_asks_for_it_and_opens_nothing(cloud, service):
    key = cloud.key(name="short")
    token = cloud.token(key)
    told, key_id = said(token)
    ours = cloud.signer()
    now = time.time()
    ended = msgspec.structs.replace(told, issued_at=now - 100, expires_at=now - 1)
    long_ago = msgspec.structs.replace(
        told, issued_at=now - 4 * 86_400, expires_at=now - 3 * 86_400
    )
    text, old = (spelled(ours, one, key_id=key_id) for one in (ended, long_ago))
    assert cloud.works(text) == 401
    assert validate(cloud, service, text).status == 404
    assert validate(cloud, service, text, "?allow_expired=0").status == 404
    assert validate(cloud, service, old, "?allow_expired=1").status == 404
    shown = validate(cloud, service, text, "?allow_expired=1")
    assert shown.status == 200
    assert shown.json["token"]["user"]["id"] == key.owner.user_id
    cloud.delete_key(key)
    assert validate(cloud, service, text, "?allow_expired=1").status == 404


# --- deleted


def on_every_worker(cloud, token, status, subject=None):
    """Ask on many connections, which two workers share; each must answer alike."""
    for _ in range(12):
        answer = cloud.ask("GET", TOKENS, token, subject=subject or token)
        assert answer.status == status


def test_a_deleted_token_is_dead_at_once_on_every_worker_and_no_other_is(cloud, key, service):
    token, other = cloud.token(key), cloud.token(key)
    on_every_worker(cloud, token, 200)
    assert cloud.ask("DELETE", TOKENS, token, subject=token).status == 204
    on_every_worker(cloud, token, 401)
    on_every_worker(cloud, service, 404, subject=token)
    on_every_worker(cloud, other, 200)


def test_a_service_deletes_the_token_of_another(cloud, key, service):
    token = cloud.token(key)
    gone = cloud.ask("DELETE", TOKENS, service, subject=token)
    assert gone.status == 204
    assert gone.body == b""
    assert cloud.works(token) == 401
    assert cloud.ask("DELETE", TOKENS, service, subject=token).status == 404


@pytest.fixture
def another(tmp_path):
    """A server of its own, to be stopped and started."""
    server = Server.started(tmp_path / "lg")
    world = World.beside(server)
    yield Cloud(server, world)
    world.close()
    server.kill()


def test_after_a_restart_and_with_another_signing_key_tokens_stay_what_they_were(another):
    key = another.key()
    live, deleted = another.token(key), another.token(key)
    assert another.ask("DELETE", TOKENS, deleted, subject=deleted).status == 204
    secret = master.load(another.server.folder / "master.key")
    signing_keys.replace(
        another.world.store,
        another.world.acting(another.world.admin).actor,
        secret,
        entropy=secrets.token_bytes,
    )
    later = another.token(key)
    assert said(later)[1] != said(live)[1]
    another.server.stop()
    another.server.start()
    assert [another.works(one) for one in (live, later, deleted)] == [200, 200, 401]
    # Without the master key nothing is signed, and all that was is as good as before.
    (another.server.folder / "master.key").rename(another.server.folder / "kept.key")
    another.server.stop()
    another.server.start()
    refused = another.sign_in(key.by_id)
    assert refused.status == 503
    assert error(refused)["message"] == "The service is currently unavailable."
    assert [another.works(one) for one in (live, later, deleted)] == [200, 200, 401]


def test_many_deleted_tokens_become_one_moment_before_which_all_are(cloud):
    key = cloud.key(name="busy")
    table = schema.credential
    early = cloud.token(key)
    until_when = time.time() + 3_600
    many = msgspec.json.encode({f"{n:022}": until_when for n in range(1_000)}).decode()
    cloud.world.change(
        Noun.CREDENTIAL,
        key.id,
        sa.update(table).where(table.c.id == key.id).values(denied_tokens=many),
    )
    token = cloud.token(key)
    assert cloud.ask("DELETE", TOKENS, token, subject=token).status == 204
    assert [cloud.works(one) for one in (early, token)] == [401, 401]
    row = cloud.world.one(sa.select(table.c.denied_tokens).where(table.c.id == key.id))
    assert row.denied_tokens == "{}"
    assert cloud.works(cloud.token(key)) == 200


def test_ended_tokens_are_no_longer_listed_as_deleted(cloud):
    key = cloud.key(name="tidy")
    table = schema.credential
    old = msgspec.json.encode({"A" * 22: 1.0}).decode()
    cloud.world.change(
        Noun.CREDENTIAL,
        key.id,
        sa.update(table).where(table.c.id == key.id).values(denied_tokens=old),
    )
    token = cloud.token(key)
    assert cloud.ask("DELETE", TOKENS, token, subject=token).status == 204
    row = cloud.world.one(sa.select(table.c.denied_tokens).where(table.c.id == key.id))
    assert len(msgspec.json.decode(row.denied_tokens)) == 1


def test_no_token_or_secret_is_written_down(cloud, key):
    token = cloud.token(key)
    cloud.works(token)
    assert cloud.ask("GET", TOKENS, "kcpt_" + "A" * 60, subject=token).status == 401
    for path in cloud.server.folder.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert token.encode() not in held, path
            assert key.secret.encode() not in held, path
