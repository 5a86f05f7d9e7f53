"""Access keys as application credentials, over HTTP, and the access rules that they name."""

from __future__ import annotations

import time

import msgspec
import pytest
import sqlalchemy as sa
from tests.doors.keystone.cloud import POLICY, TOKENS, V3, error, said, spelled

from latchgate.core.model import Noun
from latchgate.core.timestamp import rfc3339
from latchgate.manage import lifetimes
from latchgate.manage.lifetimes import LifetimeSpec
from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
CHOSEN = "correct horse battery staple 7"
RULE = {"path": "/compute/machines/*", "method": "GET", "service": "compute"}
INVALID = "Invalid input for field/attribute application_credential."
MALFORMED = (
    "The server could not comply with the request since it is either malformed or otherwise"
    " incorrect. The client is assumed to be in error."
)
NOT_ALLOWED = "You are not authorized to perform the requested action: "


@pytest.fixture(scope="module")
def owner(cloud):
    """Somebody who is Admin of their project."""
    return cloud.person("Admin")


@pytest.fixture(scope="module")
def password(cloud, owner):
    """The password of theirs."""
    return cloud.password(owner, "owner")


@pytest.fixture(scope="module")
def token(cloud, owner, password):
    """A token that they signed in for with their password, just now."""
    return cloud.signed_in(owner, password, scope={"project": {"id": owner.project_id}})


@pytest.fixture(scope="module")
def make(cloud, owner, token):
    """Ask for an access key, with the owner's fresh token unless told."""

    def ask(*, by=token, **fields):
        path = f"{V3}/users/{owner.user_id}/application_credentials"
        return cloud.ask("POST", path, by, sent={"application_credential": fields})

    return ask


def test_a_key_is_made_with_all_that_can_be_told_and_its_secret_shown_once(
    cloud, owner, token, make
):
    told = make(
        name="all of it",
        description="d",
        expires_at="2038-01-01T00:00:00.500000Z",
        roles=[{"name": "Reader"}, {"id": cloud.roles["Member"]}],
        unrestricted=True,
        access_rules=[RULE],
    )
    assert told.status == 201
    assert told.headers["cache-control"] == "no-store"
    shown = told.json["application_credential"]
    key_id, secret = shown.pop("id"), shown.pop("secret")
    assert len(key_id) == 32
    assert len(secret) == 86
    (rule,) = shown.pop("access_rules")
    assert {**RULE, "id": rule["id"]} == rule
    link = f"{cloud.url}{V3}/application_credentials/{key_id}"
    roles = shown.pop("roles")
    assert {(role["id"], role["name"]) for role in roles} == {
        (cloud.roles["Reader"], "Reader"),
        (cloud.roles["Member"], "Member"),
    }
    assert all(role["domain_id"] is None for role in roles)
    assert shown == {
        "name": "all of it",
        "description": "d",
        "user_id": owner.user_id,
        "project_id": owner.project_id,
        "system": None,
        "expires_at": "2038-01-01T00:00:00.500000",
        "unrestricted": True,
        "links": {"self": link},
    }
    again = cloud.ask("GET", f"{V3}/users/{owner.user_id}/application_credentials/{key_id}", token)
    assert again.status == 200
    assert secret.encode() not in again.body
    assert again.json == cloud.ask("GET", link.removeprefix(cloud.url), token).json
    assert cloud.sign_in({"id": key_id, "secret": secret}).status == 201


def test_a_name_is_all_it_takes(cloud, owner, token, make):
    told = make(name="plain", unrestricted=False, access_rules=[], description=None, secret=None)
    shown = told.json["application_credential"]
    assert told.status == 201
    assert shown["expires_at"] is None
    assert "access_rules" not in shown
    assert {role["name"] for role in shown["roles"]} == {"Admin", "Member", "Reader"}
    key = {"id": shown["id"], "secret": shown["secret"]}
    given = cloud.sign_in(key).json["token"]
    assert given["application_credential"] == {
        "id": shown["id"],
        "name": "plain",
        "restricted": True,
    }
    listed = cloud.ask("GET", f"{V3}/users/{owner.user_id}/application_credentials", token)
    assert "plain" in {one["name"] for one in listed.json["application_credentials"]}
    assert "secret" not in listed.json["application_credentials"][0]
    path = f"{V3}/users/{owner.user_id}/application_credentials"
    (found,) = cloud.ask("GET", f"{path}?name=plain", token).json["application_credentials"]
    assert found["id"] == shown["id"]
    assert listed.json["links"] == {"next": None, "self": cloud.url + path, "previous": None}


def test_unrestricted_is_told_as_it_was_asked_for(make):
    assert make(name="silent").json["application_credential"]["unrestricted"] is None
    told = make(name="spoken", unrestricted=False)
    assert told.json["application_credential"]["unrestricted"] is False


def test_a_secret_may_be_chosen_and_is_told_back_once(cloud, make):
    told = make(name="chosen", secret=CHOSEN)
    shown = told.json["application_credential"]
    assert shown["secret"] == CHOSEN
    assert cloud.sign_in({"id": shown["id"], "secret": CHOSEN}).status == 201
    row = cloud.world.one(
        sa.select(schema.credential.c.digest).where(schema.credential.c.id == shown["id"])
    )
    assert bytes(row.digest).startswith(b"$argon2id$")


def test_a_chosen_secret_must_be_hard_to_guess_and_none_that_looks_made(make, cloud):
    made = cloud.key().secret
    for secret in ("short", "password1234", made):
        refused = make(name="weak", secret=secret)
        assert refused.status == 400
        assert secret not in error(refused)["message"]


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        (
            {"name": "x", "foo": 1},
            400,
            f"{INVALID} Additional properties are not allowed ('foo' was unexpected)",
        ),
        (
            {"description": "x"},
            400,
            f"{INVALID} 'name' is a required property",
        ),
        ({"name": "x", "roles": [{"name": "nonesuch"}]}, 404, "Role nonesuch is not defined"),
        (
            {"name": "x", "expires_at": "2001-01-01T00:00:00Z"},
            400,
            f"The 'expires_at' must not be before now. {MALFORMED}",
        ),
        (
            {"name": "x", "expires_at": "tomorrow"},
            400,
            f"Timestamp not in expected format. {MALFORMED}",
        ),
    ],
)
def test_what_can_not_be_made_is_refused_in_keystones_words(make, fields, status, message):
    refused = make(**fields)
    assert refused.status == status
    assert error(refused)["message"] == message


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 1},
        {"name": ""},
        {"name": "x" * 300},
        {"name": "a\nb"},
        {"name": "x", "expires_at": 5},
        {"name": "x", "unrestricted": "yes"},
        {"name": "x", "roles": []},
        {"name": "x", "roles": "Reader"},
        {"name": "x", "roles": ["Reader"]},
        {"name": "x", "roles": [{"name": "Reader", "id": "r"}]},
        {"name": "x", "roles": [{"name": 5}]},
        {"name": "x", "access_rules": [{"path": "no slash", "method": "GET", "service": "c"}]},
        {"name": "x", "access_rules": [{"path": "/x", "method": "HEAT", "service": "c"}]},
        {"name": "x", "access_rules": [{"path": "/x"}]},
        {"name": "x", "access_rules": [{"id": "nope"}]},
        {"name": "x", "project_id": "another"},
    ],
)
def test_bad_fields_are_refused_and_nothing_is_made(cloud, owner, token, make, fields):
    path = f"{V3}/users/{owner.user_id}/application_credentials"
    before = cloud.ask("GET", path, token).body
    refused = make(**fields)
    assert refused.status == 400
    assert error(refused)["message"]
    assert cloud.ask("GET", path, token).body == before


def test_a_body_that_is_not_one_is_refused(cloud, owner, token):
    path = f"{V3}/users/{owner.user_id}/application_credentials"
    for sent in (b"", b"[]", b"{", b"{}", b'{"application_credential": 1}'):
        assert cloud.ask("POST", path, token, sent=sent).status == 400
    told = {"Content-Type": "text/plain"}
    assert cloud.ask("POST", path, token, sent=b"{}", headers=told).status == 400


def test_a_role_that_is_not_held_is_refused(cloud):
    member = cloud.person("Member")
    text = cloud.password(member, "member")
    token = cloud.signed_in(member, text, scope={"project": {"id": member.project_id}})
    path = f"{V3}/users/{member.user_id}/application_credentials"
    sent = {"application_credential": {"name": "x", "roles": [{"name": "Admin"}]}}
    refused = cloud.ask("POST", path, token, sent=sent)
    assert refused.status == 400
    assert error(refused)["message"] == (
        "Invalid application credential: Cannot create an application credential with unassigned"
        " role"
    )


def test_a_token_without_a_project_makes_no_key(cloud, owner, password, make):
    refused = make(name="x", by=cloud.signed_in(owner, password))
    assert refused.status == 400
    assert "project" in error(refused)["message"]


def test_a_name_is_taken_once_and_free_again(cloud, owner, token, make):
    made = make(name="again").json["application_credential"]
    refused = make(name="again")
    assert refused.status == 409
    assert error(refused)["message"] == (
        "Conflict occurred attempting to store application_credential - Duplicate entry found with"
        " name again."
    )
    path = f"{V3}/users/{owner.user_id}/application_credentials/{made['id']}"
    assert cloud.ask("DELETE", path, token).status == 204
    assert make(name="again").status == 201


def test_what_there_is_not_is_not_found(cloud, owner, token):
    path = f"{V3}/users/{owner.user_id}/application_credentials"
    for method in ("GET", "DELETE"):
        refused = cloud.ask(method, f"{path}/deadbeef", token)
        assert refused.status == 404
        assert error(refused)["message"] == "Could not find Application Credential: deadbeef."
    assert cloud.ask("GET", f"{V3}/application_credentials/deadbeef", token).status == 404
    changed = cloud.ask("PATCH", f"{path}/deadbeef", token, sent={})
    assert changed.status == 405
    assert changed.headers["allow"] == "DELETE, GET, HEAD"


def test_a_restricted_keys_token_reads_keys_and_makes_or_deletes_none(cloud, owner, make):
    shown = make(name="restricted").json["application_credential"]
    token = cloud.sign_in({"id": shown["id"], "secret": shown["secret"]}).headers["x-subject-token"]
    path = f"{V3}/users/{owner.user_id}/application_credentials"
    assert cloud.ask("GET", path, token).status == 200
    assert cloud.ask("GET", f"{path}/{shown['id']}", token).status == 200
    told = NOT_ALLOWED + (
        "Using method 'application_credential' is not allowed for managing additional application"
        " credentials.."
    )
    for refused in (
        make(by=token, name="x"),
        cloud.ask("DELETE", f"{path}/{shown['id']}", token),
    ):
        assert refused.status == 403
        assert error(refused)["message"] == told


def test_an_unrestricted_keys_token_makes_keys_that_end_with_it(cloud, owner, token, make):
    shown = make(name="parent", unrestricted=True, roles=[{"name": "Reader"}])
    parent = shown.json["application_credential"]
    by = cloud.sign_in({"id": parent["id"], "secret": parent["secret"]}).headers["x-subject-token"]
    child = make(by=by, name="child").json["application_credential"]
    assert [role["name"] for role in child["roles"]] == ["Reader"]
    assert make(by=by, name="wider", roles=[{"name": "Admin"}]).status == 400
    given = cloud.sign_in({"id": child["id"], "secret": child["secret"]})
    path = f"{V3}/users/{owner.user_id}/application_credentials/{parent['id']}"
    assert cloud.ask("DELETE", path, token).status == 204
    assert cloud.works(given.headers["x-subject-token"]) == 401
    assert cloud.sign_in({"id": child["id"], "secret": child["secret"]}).status == 401


# --- deleting asks for the owner's password again


def aged(cloud, owner, password):
    """Return a token whose sign-in was six minutes ago: the key that signs is at hand here."""
    fresh = cloud.signed_in(owner, password, scope={"project": {"id": owner.project_id}})
    told, key_id = said(fresh)
    old = msgspec.structs.replace(told, issued_at=time.time() - 360)
    return spelled(cloud.signer(), old, key_id=key_id)


def test_deleting_a_key_takes_the_password_again_or_a_sign_in_just_now(
    cloud, owner, password, token, make
):
    shown = make(name="kept", unrestricted=True).json["application_credential"]
    path = f"{V3}/users/{owner.user_id}/application_credentials/{shown['id']}"
    old = aged(cloud, owner, password)
    unrestricted = cloud.sign_in({"id": shown["id"], "secret": shown["secret"]})
    theirs = unrestricted.headers["x-subject-token"]
    rescoped = cloud.sign_in({"id": old}, "token", scope={"project": {"id": owner.project_id}})
    attempts = [
        (old, None),
        (theirs, None),
        (rescoped.headers["x-subject-token"], None),
        (old, {"password": "wrong"}),
    ]
    for by, sent in attempts:
        refused = cloud.ask("DELETE", path, by, sent=sent)
        assert refused.status == 403
        message = error(refused)["message"]
        assert message.startswith(f"{NOT_ALLOWED}identity:delete_application_credential.")
        assert "password" in message
        assert "5 minutes" in message
    for body in ({"password": 5}, {"passwort": password}, b"["):
        assert cloud.ask("DELETE", path, old, sent=body).status == 400
    assert cloud.works(theirs) == 200
    assert cloud.ask("DELETE", path, old, sent={"password": password}).status == 204
    assert [cloud.works(theirs) for _ in range(8)] == [401] * 8
    other = make(name="fresh").json["application_credential"]
    path = f"{V3}/users/{owner.user_id}/application_credentials/{other['id']}"
    assert cloud.ask("DELETE", path, token).status == 204


# --- access rules


def test_access_rules_are_kept_reused_by_id_and_deleted_when_no_key_names_them(
    cloud, owner, token, make
):
    rule = RULE | {"path": "/compute/images/**"}
    first = make(name="ruled", access_rules=[rule]).json["application_credential"]
    (kept,) = first["access_rules"]
    path = f"{V3}/users/{owner.user_id}/access_rules"
    link = {"self": f"{cloud.url}{path}/{kept['id']}"}
    listed = cloud.ask("GET", path, token)
    assert kept | {"links": link} in listed.json["access_rules"]
    shown = cloud.ask("GET", f"{path}/{kept['id']}", token)
    assert shown.json == {"access_rule": kept | {"links": link}}
    second = make(name="by id", access_rules=[{"id": kept["id"]}]).json["application_credential"]
    assert second["access_rules"] == [kept]
    keys = f"{V3}/users/{owner.user_id}/application_credentials"
    for key_id in (first["id"], second["id"]):
        refused = cloud.ask("DELETE", f"{path}/{kept['id']}", token)
        assert refused.status == 403
        assert error(refused)["message"] == f"{NOT_ALLOWED}May not delete access rule in use."
        assert cloud.ask("DELETE", f"{keys}/{key_id}", token).status == 204
    assert cloud.ask("DELETE", f"{path}/{kept['id']}", token).status == 204
    for method in ("GET", "DELETE"):
        gone = cloud.ask(method, f"{path}/{kept['id']}", token)
        assert gone.status == 404
        assert error(gone)["message"] == f"Could not find Access Rule: {kept['id']}."


def test_a_key_with_rules_opens_the_identity_api_where_a_rule_names_it(cloud, owner, make):
    rule = {"service": "identity", "method": "GET", "path": f"{V3}/auth/projects"}
    shown = make(name="narrow", access_rules=[rule]).json["application_credential"]
    token = cloud.sign_in({"id": shown["id"], "secret": shown["secret"]}).headers["x-subject-token"]
    assert cloud.ask("GET", f"{V3}/auth/projects", token).status == 200
    assert cloud.ask("GET", f"{V3}/users/{owner.user_id}", token).status == 401
    assert cloud.ask("GET", TOKENS, token, subject=token).status == 401


def test_a_key_that_ended_is_listed_still_and_opens_nothing(cloud, owner, token, make):
    at = rfc3339(time.time() + 3_600)
    shown = make(name="ending", expires_at=at).json["application_credential"]
    table = schema.credential
    ended = sa.update(table).where(table.c.id == shown["id"]).values(expires_at=time.time() - 1)
    cloud.world.change(Noun.CREDENTIAL, shown["id"], ended)
    assert cloud.sign_in({"id": shown["id"], "secret": shown["secret"]}).status == 401
    path = f"{V3}/users/{owner.user_id}/application_credentials/{shown['id']}"
    assert cloud.ask("GET", path, token).status == 200


def test_a_key_lives_no_longer_than_the_tenants_policy_lets_it(cloud):
    somebody = cloud.person("Admin")
    word = cloud.password(somebody, "bounded")
    token = cloud.signed_in(somebody, word, scope={"project": {"id": somebody.project_id}})
    caller = cloud.world.acting(cloud.world.key("manage", owner=somebody))
    spec = LifetimeSpec(maximum_life="30d")
    lifetimes.set_lifetime(cloud.world.store, POLICY, caller, "*", spec)
    path = f"{V3}/users/{somebody.user_id}/application_credentials"
    late = "2999-01-01T00:00:00.000000"
    asked = {"name": "long", "expires_at": late}
    refused = cloud.ask("POST", path, token, sent={"application_credential": asked})
    assert (refused.status, refused.json["error"]["title"]) == (400, "Bad Request")
    assert "at most 30d" in refused.json["error"]["message"]
    made = cloud.ask("POST", path, token, sent={"application_credential": {"name": "unasked"}})
    assert made.status == 201
    assert made.json["application_credential"]["expires_at"] < late
