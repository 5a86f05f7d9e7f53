"""KakaoCloud's identity API, used by OpenStack's own clients: the SDKs, `openstack`, a service.

Their requests and what each does with the answers: providers/kakaocloud; Keystone v3.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.clients.identity import COMPUTE, LOCATION, Identity, documents, of_latchgate
from tests.clients.installed import PROGRAMS, client, python, run
from tests.e2e.stack import (
    Gateway,
    Latchgate,
    Program,
    Upstream,
    accepts,
    curl,
    free_address,
    text_of,
)

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Latchgate]:
    with Latchgate(tmp_path_factory.mktemp("latchgate")) as one:
        with (one.folder / "providers" / "kakaocloud.toml").open("a", encoding="utf-8") as file:
            file.write(COMPUTE)
        one.serve(workers=2)
        one.run("policy", "apply", "--config", str(one.config))
        yield one


@pytest.fixture(scope="module")
def identity(server) -> Identity:
    return of_latchgate(server, "compute")


def asked(identity: Identity, method: str, path: str, token: str = "", sent: object = None):
    """Ask the identity API with curl, as the document's readers do."""
    words = ["-X", method, f"{identity.url}{path}"]
    if token:
        words += ["-H", f"X-Auth-Token: {token}"]
    if sent is not None:
        words += ["-H", "Content-Type: application/json", "-d", json.dumps(sent)]
    return curl(*words)


def logged_in(identity: Identity) -> str:
    """Log alice in by her password, and return the token."""
    who = {
        "name": identity.alice.name,
        "domain": {"name": identity.domain},
        "password": identity.alice.password,
    }
    scope = {"project": {"id": identity.alice.project_id}}
    how = {"methods": ["password"], "password": {"user": who}}
    told = asked(identity, "POST", "/auth/tokens", sent={"auth": {"identity": how, "scope": scope}})
    assert told.status == 201, told.body
    return str(told.one("X-Subject-Token"))


@dataclass(frozen=True)
class AccessKey:
    """An access key just made."""

    id: str
    name: str
    secret: str

    @property
    def wrong(self) -> str:
        """A secret as well made as its own, and another."""
        return self.secret[:9] + ("A" if self.secret[9] != "A" else "B") + self.secret[10:]


def made(identity: Identity, name: str, **fields: Any) -> AccessKey:
    """Make an access key for alice over the API."""
    path = f"/users/{identity.alice.id}/application_credentials"
    sent = {"application_credential": {"name": name, **fields}}
    told = asked(identity, "POST", path, logged_in(identity), sent)
    assert told.status == 201, told.body
    one = told.json()["application_credential"]
    return AccessKey(one["id"], one["name"], one["secret"])


@pytest.fixture(scope="module")
def key(identity) -> AccessKey:
    """An access key with the role member, which no test deletes."""
    return made(identity, "for the clients")


# providers/kakaocloud, "Method 1" and "Method 2"
METHOD_1 = """
{
  "auth": {
    "identity": {
      "methods": [
        "application_credential"
      ],
      "application_credential": {
        "id": "${Access key id}",
        "secret": "${secret access key}"
      }
    }
  }
}
"""
METHOD_2 = """
{
  "auth": {
    "identity": {
      "methods": [
        "application_credential"
      ],
      "application_credential": {
        "name": "${Access key name}",
        "secret": "${secret access key}",
        "user": {
          "id": "${user unique id}"
        }
      }
    }
  }
}
"""


@pytest.mark.parametrize("body", [METHOD_1, METHOD_2], ids=["method 1", "method 2"])
def test_the_documents_two_methods_and_its_list_of_projects(identity, key, body):
    for placeholder, value in {
        "${Access key id}": key.id,
        "${Access key name}": key.name,
        "${secret access key}": key.secret,
        "${user unique id}": identity.alice.id,
    }.items():
        body = body.replace(placeholder, value)
    told = curl(f"{identity.url}/auth/tokens", "-H", "Content-Type: application/json", "-d", body)
    assert told.status == 201
    (token,) = [value for name, value in told.headers if name == "X-Subject-Token"]
    listed = curl(
        f"{identity.url}/users/{identity.alice.id}/projects", "-H", f"X-Auth-token: {token}"
    )
    (project,) = listed.json()["projects"]
    assert (project["id"], project["name"]) == (identity.alice.project_id, "demo")
    assert {"domain_id", "description", "enabled", "parent_id", "is_domain", "links"} <= set(
        project
    )
    wrong = body.replace(key.secret, key.wrong)
    refused = curl(
        f"{identity.url}/auth/tokens", "-H", "Content-Type: application/json", "-d", wrong
    )
    assert (refused.status, refused.json()["error"]["code"]) == (401, 401)


@pytest.mark.parametrize("how", ["by id", "by name and user id", "by name, user name and domain"])
def test_keystoneauth_logs_in_and_again_when_its_token_is_gone(identity, key, tmp_path, how):
    words = {
        "by id": ("id", key.id, key.secret),
        "by name and user id": ("name", key.name, key.secret, identity.alice.id),
        "by name, user name and domain": (
            "name", key.name, key.secret, identity.alice.name, identity.domain,
        ),
    }[how]  # fmt: skip
    told = python("keystone_session", identity.url, *words, home=tmp_path).json()
    assert told == {
        "user_id": identity.alice.id,
        "project_id": identity.alice.project_id,
        "roles": ["member", "reader"],
        "catalog": ["identity"],
        "hours": 12.0,
        "projects": [["demo"], ["demo"]],
        "given_back": 204,
        "another_token": True,
    }


def test_keystoneauth_raises_unauthorized_alike_for_a_wrong_secret_and_an_unknown_id(
    identity, key, tmp_path
):
    told = [
        python("keystone_session", identity.url, "id", *words, home=tmp_path, status=3).json()
        for words in ((key.id, key.wrong), ("0" * 32, key.secret))
    ]
    assert told[0] == told[1]
    assert told[0]["status"] == 401


def test_the_sdk_makes_lists_shows_uses_and_deletes_an_access_key(identity, tmp_path):
    env = identity.by_password(identity.alice)
    assert python("openstack_sdk", "by-sdk", home=tmp_path, env=env).json() == {
        "secret": True,
        "twice": 409,
        "listed": True,
        "description": "by the SDK",
        "secret_again": None,
        "seen": {"user": True, "project": True, "roles": ["reader"], "shown": "demo"},
        "gone": True,
    }


def openstack_each(*commands: str, env: dict[str, str], home: Path) -> list[Any]:
    """Run commands of one `openstack` one after another and return what they printed, as JSON.

    How it ends tells nothing: with commands from a pipe its status is always 1.
    """
    stdin = "".join(f"{command}\n" for command in commands)
    done = run(client("openstack"), home=home, env=env, stdin=stdin, status=None)
    assert not done.stderr, done
    return documents(done.stdout)


def test_the_command_line_makes_lists_shows_and_deletes_access_keys(identity, tmp_path):
    new, listed, shown, left = openstack_each(
        "application credential create by-hand --role reader --description typed -f json",
        "application credential list -f json",
        "application credential show by-hand -f json",
        "application credential delete by-hand",
        "application credential list -f json",
        env=identity.by_password(identity.alice),
        home=tmp_path,
    )
    assert new["Name"] == shown["Name"] == "by-hand"
    assert new["ID"] == shown["ID"]
    assert [role["name"] for role in shown["Roles"]] == ["reader"]
    assert len(new["Secret"]) >= 22
    assert "by-hand" in [one["Name"] for one in listed]
    assert "by-hand" not in [one["Name"] for one in left]
    assert new["Secret"] not in json.dumps([listed, shown])


def test_the_command_line_issues_and_revokes_tokens_by_access_key(identity, key, tmp_path):
    given = token_of(identity, key)
    projects_of = f"/users/{identity.alice.id}/projects"
    assert asked(identity, "GET", projects_of, given).status == 200
    token, catalog, projects, keys = openstack_each(
        "token issue -f json",
        "catalog list -f json",
        "project list -f json",
        "application credential list -f json",
        f"token revoke {given}",
        env=identity.by_credential(name=key.name, secret=key.secret, user_id=identity.alice.id),
        home=tmp_path,
    )
    assert token["project_id"] == identity.alice.project_id
    assert token["user_id"] == identity.alice.id
    assert [service["Type"] for service in catalog] == ["identity"]
    assert [project["Name"] for project in projects] == ["demo"]
    assert key.name in [one["Name"] for one in keys]
    assert asked(identity, "GET", projects_of, given).status == 401


def test_the_command_line_shows_a_refusal(identity, key, tmp_path):
    env = identity.by_credential(id=key.id, secret=key.wrong)
    refused = run(client("openstack"), "token", "issue", home=tmp_path, env=env, status=1)
    assert "(HTTP 401)" in refused.stderr
    assert key.wrong not in refused.stderr


@pytest.fixture(scope="module")
def service(identity, tmp_path_factory) -> Iterator[str]:
    """A service behind keystonemiddleware; the URL that it is at."""
    address = free_address()
    glance = identity.glance
    with Program("service", tmp_path_factory.mktemp("service")) as program:
        script = PROGRAMS / "keystone_service.py"
        told = (glance.name, glance.password, identity.domain, glance.project)
        program.launch(
            [client("python"), script, str(address[1]), identity.url, *told],
            lambda: accepts(address),
        )
        yield f"http://{text_of(address)}/"


def token_of(identity: Identity, key: AccessKey) -> str:
    """Log in by an access key, and return the token."""
    told = {"id": key.id, "secret": key.secret}
    how = {"methods": ["application_credential"], "application_credential": told}
    answer = asked(identity, "POST", "/auth/tokens", sent={"auth": {"identity": how}})
    assert answer.status == 201, answer.body
    return str(answer.one("X-Subject-Token"))


def test_a_service_behind_keystonemiddleware_is_told_who_asks(identity, key, service):
    told = curl(service, "-H", f"X-Auth-Token: {token_of(identity, key)}")
    assert told.status == 200, told.body
    seen = told.json()
    assert sorted(seen.pop("roles").split(",")) == ["member", "reader"]
    assert seen == {
        "user_id": identity.alice.id,
        "user_name": "alice",
        "project_id": identity.alice.project_id,
    }
    assert curl(service).status == 401
    assert curl(service, "-H", "X-Auth-Token: kcpt_nothing").status == 401


def test_a_service_behind_keystonemiddleware_refuses_a_dead_token_at_once(identity, service):
    mortal = made(identity, "to be deleted", roles=[{"name": "reader"}])
    token = token_of(identity, mortal)
    other = token_of(identity, mortal)
    assert curl(service, "-H", f"X-Auth-Token: {token}").json()["roles"] == "reader"
    given_back = curl(
        "-X", "DELETE", f"{identity.url}/auth/tokens",
        "-H", f"X-Auth-Token: {token}", "-H", f"X-Subject-Token: {token}",
    )  # fmt: skip
    assert given_back.status == 204
    assert curl(service, "-H", f"X-Auth-Token: {token}").status == 401
    assert curl(service, "-H", f"X-Auth-Token: {other}").status == 200
    path = f"/users/{identity.alice.id}/application_credentials/{mortal.id}"
    assert asked(identity, "DELETE", path, logged_in(identity)).status == 204
    assert curl(service, "-H", f"X-Auth-Token: {other}").status == 401


@pytest.fixture(scope="module")
def compute(server, tmp_path_factory) -> Iterator[str]:
    """A service behind nginx that says what reached it; the URL that it is at."""
    with Upstream("echo", tmp_path_factory.mktemp("echo")) as behind:
        behind.start()
        with Gateway(
            tmp_path_factory.mktemp("gateway"),
            verify=server.verify,
            objects=behind.address,
            llm=behind.address,
            edit=lambda text: text.replace("        # All the rest", LOCATION, 1),
        ) as gateway:
            gateway.start()
            yield f"{gateway.url}/compute/v2.1/servers"


def test_a_project_token_opens_a_service_behind_nginx_with_its_roles_scopes(identity, key, compute):
    token = token_of(identity, key)
    header = ("-H", f"X-Auth-Token: {token}")
    told = curl(compute, *header)
    assert told.status == 200, told.body
    seen = {name.lower(): value for name, value in told.json()["headers"]}
    assert seen["x-latchgate-user"] == identity.alice.id
    assert seen["x-latchgate-project"] == identity.alice.project_id
    assert seen["x-latchgate-scope"] == "compute:read"
    assert "x-auth-token" not in seen
    assert curl(compute, *header, "-X", "POST").status == 200

    reader = made(identity, "reads alone", roles=[{"name": "reader"}])
    header = ("-H", f"X-Auth-Token: {token_of(identity, reader)}")
    assert curl(compute, *header).status == 200
    refused = curl(compute, *header, "-X", "POST")
    assert (refused.status, refused.json()["error"]["code"]) == (403, 403)
    for headers in (
        (),
        ("-H", "X-Auth-Token: kcpt_nothing"),
        ("-H", f"Authorization: Bearer {token}"),
    ):
        refused = curl(compute, *headers)
        assert (refused.status, refused.json()["error"]["code"]) == (401, 401)


def test_a_role_taken_away_narrows_a_live_token_at_once_and_the_last_one_ends_it(
    server, identity, compute
):
    # providers/kakaocloud, "Changes or expiration of API authentication token permissions"
    listed = server.call("GET", "/manage/v1/roles")["roles"]
    roles = {one["name"]: one["id"] for one in listed}
    admin = server.call("POST", "/manage/v1/users", {"name": "admin of demo"})["id"]
    path = f"/manage/v1/users/{admin}"
    held = f"{path}/roles/{identity.alice.project_id}"
    server.call("PUT", f"{held}/{roles['admin']}")
    spec = {"namespace": "kakaocloud", "login": "boss"}
    password = server.call("POST", f"{path}/password", spec)["password"]
    boss = replace(identity.alice, id=admin, name="boss", password=password)
    token = logged_in(replace(identity, alice=boss))
    header = ("-H", f"X-Auth-Token: {token}")
    assert curl(compute, *header, "-X", "DELETE").status == 200
    server.call("PUT", f"{held}/{roles['reader']}")
    server.call("DELETE", f"{held}/{roles['admin']}")
    assert curl(compute, *header, "-X", "DELETE").status == 403
    assert curl(compute, *header).status == 200
    server.call("DELETE", f"{held}/{roles['reader']}")
    assert curl(compute, *header).status == 401
