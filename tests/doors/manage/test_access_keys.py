"""Access keys over HTTP: shown once, deleted with a proof, by their owner or an administrator."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.world import http_request, raw_rows

from latchgate.store import schema

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

PATH = "/manage/v1/account/access-keys"
CHOSEN = "seven otters juggle lanterns"
PASSWORD = "nine herons paint submarines"
SCOPES = ["own:access-keys.read", "own:access-keys.write", "storage:read"]


@pytest.fixture
def owner(world):
    """Somebody who may make access keys, and whose rights leave out what skips the password."""
    return world.somebody(*SCOPES, tenant_id=world.owner.tenant_id)


@pytest.fixture
def key(world, owner):
    return world.key("own", owner=owner)


def make(server, key, **spec):
    return server.call("POST", PATH, {"name": "deploy", **spec}, token=key.text)


def delete(server, key, key_id, body=None, **headers):
    return server.call("DELETE", f"{PATH}/{key_id}", body, token=key.text, headers=headers)


def with_password(server, owner, *, namespace="kakaocloud"):
    """Give a user a random account password, as an administrator does; returns it."""
    spec = {"namespace": namespace, "login": f"{owner.user_id}-{namespace}"}
    told = server.call("POST", f"/manage/v1/users/{owner.user_id}/password", spec)
    assert told.status == 201, told.body
    return told.json["password"]


def test_a_key_is_shown_with_its_secret_once(server, world, key, owner):
    made = make(server, key, expires_in="90d", description="nightly")
    assert made.status == 201, made.body
    assert made.headers["cache-control"] == "no-store"
    assert made.headers["etag"] == f'"{made.json["version"]}"'
    told = made.json
    assert made.headers["location"] == f"{PATH}/{told['id']}"
    assert (told["owner_id"], told["project_id"]) == (owner.user_id, owner.project_id)
    assert len(told["secret"]) == 86
    shown = server.call("GET", f"{PATH}/{told['id']}", token=key.text)
    assert shown.json == {
        name: value for name, value in told.items() if name not in {"secret", "auth_url"}
    }
    page = server.call("GET", f"{PATH}?name=deploy", token=key.text).json
    assert page == {"access_keys": [shown.json], "next": None}
    assert told["secret"] not in repr(raw_rows(world.database, "SELECT * FROM credential"))
    assert told["secret"] not in server.log


def test_a_repeat_with_the_same_idempotency_key_makes_none_and_shows_no_secret(server, key):
    once = {"Idempotency-Key": "one"}
    spec = {"name": "once"}
    first = server.call("POST", PATH, spec, token=key.text, headers=once)
    again = server.call("POST", PATH, spec, token=key.text, headers=once)
    assert (first.status, again.status) == (201, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert "secret" not in again.json
    other = server.call("POST", PATH, {"name": "two"}, token=key.text, headers=once)
    assert other.status == 422


def test_a_chosen_secret_is_taken_and_never_told(server, world, key):
    once = {"Idempotency-Key": "chosen"}
    spec = {"name": "chosen", "secret": CHOSEN}
    made = server.call("POST", PATH, spec, token=key.text, headers=once)
    assert (made.status, made.json["secret"]) == (201, None)
    again = server.call("POST", PATH, spec, token=key.text, headers=once)
    assert again.status == 200
    weak = make(server, key, name="weak", secret="my-secret")
    assert (weak.status, weak.json["errors"][0]["field"]) == (422, "secret")
    rows = [
        row
        for table in ("credential", "journal", "idempotency", "login")
        for row in raw_rows(world.database, f"SELECT * FROM {table}")  # noqa: S608
    ]
    assert CHOSEN not in repr(rows) + server.log + (made.body + again.body).decode()
    kept = world.one(
        sa.select(schema.credential.c.digest).where(schema.credential.c.id == made.json["id"])
    )
    assert bytes(kept.digest).startswith(b"$argon2id$")


def test_what_is_wrong_is_told_by_its_field(server, world, key):
    assert make(server, key, name="same").status == 201
    assert make(server, key, name="same").status == 409
    stranger = world.role(world.owner.tenant_id, ["storage:read"])
    assert make(server, key, roles=[stranger]).status == 403
    wrong: dict[str, dict[str, Any]] = {
        "roles": {"roles": ["nonesuch"]},
        "project_id": {"project_id": "nonesuch"},
        "expires_in": {"expires_in": "soon"},
        "access_rules[0]": {"access_rules": [{"service": "identity"}]},
    }
    for field, spec in wrong.items():
        told = make(server, key, name="wrong", **spec)
        assert (told.status, told.json["errors"][0]["field"]) == (422, field), told.body


def test_deleting_takes_the_password_and_does_not_tell_a_wrong_one_from_none(server, key, owner):
    password = with_password(server, owner)
    key_id = make(server, key).json["id"]
    bare = delete(server, key, key_id)
    wrong = delete(server, key, key_id, {"password": "not the password at all"})
    for told in (bare, wrong):
        assert (told.status, told.code) == (401, "insufficient_user_authentication")
        assert told.headers["www-authenticate"] == (
            'Bearer error="insufficient_user_authentication", max_age="300"'
        )
    assert bare.body == wrong.body
    assert server.call("GET", f"{PATH}/{key_id}", token=key.text).status == 200
    gone = delete(server, key, key_id, {"password": password})
    assert gone.status == 200, gone.body
    assert gone.json["receipt"]["verifiers"][0]["state"] == "acknowledged"
    assert server.call("GET", f"{PATH}/{key_id}", token=key.text).status == 404
    assert make(server, key).status == 201
    # A repeat, whose first answer may have been lost, has a receipt of its own.
    again = delete(server, key, key_id, {"password": password})
    assert again.json["deleted_at"] == gone.json["deleted_at"]


def test_whoever_signs_in_elsewhere_only_proves_it_with_that_password(server, key, owner):
    key_id = make(server, key).json["id"]
    unset = delete(server, key, key_id, {"password": "there is none to be right"})
    assert unset.status == 401
    password = with_password(server, owner, namespace="latchgate")
    assert delete(server, key, key_id, {"password": password}).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{}", 422), (b'{"password": ""}', 422), (b'{"password": 1}', 422), (b"{", 400)],
)
def test_a_proof_is_read_strictly(server, key, body, status):
    key_id = make(server, key).json["id"]
    headers = {"Authorization": f"Bearer {key.text}", "Content-Type": "application/json"}
    url = f"{server.addresses['api']}{PATH}/{key_id}"
    assert http_request("DELETE", url, headers=headers, body=body).status == status
    del headers["Content-Type"]
    assert http_request("DELETE", url, headers=headers, body=body).status == 415


def test_the_scope_goes_without_a_password_but_not_with_a_wrong_one(server, world, key, owner):
    key_id = make(server, key).json["id"]
    world.assign(
        owner.user_id,
        owner.project_id,
        world.role(owner.tenant_id, ["own:access-keys.delete"]),
    )
    wrong = delete(server, key, key_id, {"password": "not the password at all"})
    assert wrong.status == 401
    assert delete(server, key, key_id).status == 200


def test_a_version_that_has_passed_is_not_deleted(server, world, key):
    made = make(server, key).json
    stale = server.call(
        "DELETE",
        f"{PATH}/{made['id']}",
        token=key.text,
        headers={"If-Match": f'"{made["version"] - 1}"'},
    )
    assert stale.status == 412


def test_an_administrator_sees_and_deletes_a_users_keys_of_the_own_tenant(
    server, world, key, owner
):
    made = make(server, key).json
    path = f"/manage/v1/users/{owner.user_id}/access-keys"
    page = server.call("GET", path).json
    assert [one["id"] for one in page["access_keys"]] == [made["id"]]
    foreign = world.key("manage", owner=world.somebody("*"))
    assert server.call("GET", path, token=foreign.text).status == 404
    assert server.call("DELETE", f"{path}/{made['id']}", token=foreign.text).status == 404
    gone = server.call("DELETE", f"{path}/{made['id']}")
    assert (gone.status, gone.json["id"]) == (200, made["id"])
    assert server.call("GET", path).json["access_keys"] == []
    # Their own takes the proof that everybody's own takes.
    own = server.call("POST", PATH, {"name": "the administrator's"}).json["id"]
    mine = f"/manage/v1/users/{world.owner.user_id}/access-keys/{own}"
    assert server.call("DELETE", mine).status == 403


def test_nobody_sees_anothers(server, world, key):
    made = make(server, key).json
    other = world.key("own", owner=world.somebody(*SCOPES, tenant_id=world.owner.tenant_id))
    assert server.call("GET", f"{PATH}/{made['id']}", token=other.text).status == 404
    assert delete(server, other, made["id"]).status == 404
    assert server.call("GET", PATH, token=other.text).json["access_keys"] == []
    assert msgspec.json.encode(made["id"]) not in server.call("GET", PATH, token=other.text).body


# The last: from then on the address is throttled too.
def test_guesses_are_throttled(server, key, owner):
    password = with_password(server, owner)
    key_id = make(server, key).json["id"]
    told = delete(server, key, key_id, {"password": "wrong guess"})
    for number in range(40):
        if told.status == 429:
            break
        told = delete(server, key, key_id, {"password": f"wrong guess number {number}"})
    assert (told.status, told.code) == (429, "too_many_requests")
    assert int(told.headers["retry-after"]) > 0
    assert delete(server, key, key_id, {"password": password}).status == 429
