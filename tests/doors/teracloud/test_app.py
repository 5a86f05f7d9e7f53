"""TeraCLOUD's REST API over sockets: its paths, its two credentials, its answers and errors."""

from __future__ import annotations

import subprocess

import pytest
from tests.asking import basic
from tests.world import http_request, raw_rows, until

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# The key that the provider's documentation prints.
PUBLISHED = "FEF5078EA41D182EEF89A21E034BD680"
UNKNOWN = "0123456789ABCDEF0123456789ABCDEF"
TEST_KEY = "/manage/v1/applications/test-key"
USER_PATHS = ["/v2/api/ba/user", "/v2/api/user", "/v2/api/ba/user/", "/ba/user/", "/ba/user"]
GIB = 2**30


class Person:
    """A user with an app password, and how they ask."""

    def __init__(self, server, world, login, tenant_id=None):
        owner = world.somebody(tenant_id=tenant_id or world.owner.tenant_id)
        self.server, self.id, self.tenant_id = server, owner.user_id, owner.tenant_id
        key = world.key("own", "manage", owner=owner)
        made = server.call("POST", "/manage/v1/account/basic", {"login": login}, token=key.text)
        assert made.status == 201, made.body
        self.login, self.password, self.key = login, made.json["password"], key
        self.headers = basic(login, self.password)

    def ask(self, target, key=PUBLISHED, *, method="GET", **headers):
        """Ask with both credentials; header names with _ for -."""
        told = {**self.headers, **({"X-TeraCLOUD-API-KEY": key} if key is not None else {})}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return http_request(method, self.server.addresses["api"] + target, headers=told)

    def storage(self, **told):
        """Say what their storage is."""
        path = f"/manage/v1/users/{self.id}/storage"
        answer = self.server.call("PATCH", path, told, token=self.key.text)
        assert answer.status == 200, answer.body


@pytest.fixture(scope="module")
def tested(server, world):
    """The published key is set for the administrator's tenant."""
    spec = {"api_key": PUBLISHED, "tenants": [world.owner.tenant_id]}
    answer = server.call("PUT", TEST_KEY, spec)
    assert answer.status == 200, answer.body
    assert answer.json["receipt"]["verifiers"][0]["state"] == "acknowledged"


@pytest.fixture(scope="module")
def alice(server, world, tested):
    made = Person(server, world, "alice")
    made.storage(node="aki.teracloud.jp", quota=20 * GIB, used=123, introduce_code="ABC12")
    return made


def refused(answer, status):
    """Whether it is a refusal in the provider's words: JSON, and a result that is never 0."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert set(answer.json) == {"result", "message"}
    assert answer.json["result"] != 0
    return True


@pytest.mark.parametrize("path", USER_PATHS)
@pytest.mark.parametrize("way", ["header", "matrix", "encoded"])
def test_the_user_is_told_by_every_path_and_either_way_of_the_key(alice, path, way):
    matrix = {"header": "", "matrix": f";api_key={PUBLISHED}", "encoded": f"%3Bapi_key={PUBLISHED}"}
    answer = alice.ask(path + matrix[way], PUBLISHED if way == "header" else None)
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    program = told.pop("api_key")
    assert told == {
        "result": 0,
        "user": "alice",
        "introduce_code": "ABC12",
        "node": "aki.teracloud.jp",
        "webdav_url": "https://aki.teracloud.jp/dav/",
        "capacity": 20,
    }
    assert set(program) == {"name", "note", "vendor", "activated_time"}
    assert program["name"] == "test"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/api/ba/dataset/(capacity)",
        "/v2/api/dataset/(capacity)",
        "/v2/api/dataset/%28capacity%29",
        "/v2/api/ba/dataset/(capacity)/",
        f"/v2/api/dataset/(capacity);api_key={PUBLISHED}",
        f"/v2/api/dataset/%28capacity%29;recursive=false%3Bapi_key={PUBLISHED}",
    ],
)
def test_the_capacity_is_told_in_bytes(alice, path):
    answer = alice.ask(path, None if "api_key" in path else PUBLISHED)
    assert answer.json == {
        "result": 0,
        "dataset": {"__ROOT__": {"quota": 20 * GIB, "used": 123}},
    }


def test_of_the_properties_asked_for_the_known_ones_are_told(alice):
    asked = "properties=used,usedbychildren,usedbysnapshots;recursive=false"
    answer = alice.ask(f"/v2/api/dataset/(property);{asked};api_key={PUBLISHED}", None)
    assert answer.json["dataset"] == {"__ROOT__": {"used": 123}}
    assert alice.ask("/v2/api/dataset/(property)").json["dataset"]["__ROOT__"] == {
        "quota": 20 * GIB,
        "used": 123,
    }


@pytest.mark.parametrize("path", ["/v2/api/ba/user", "/ba/user/", "/v2/api/dataset/(capacity)"])
def test_both_credentials_are_needed_on_every_request(alice, server, path):
    api = server.addresses["api"]
    wrong = basic("alice", alice.password[:-1] + ("0" if alice.password[-1] != "0" else "1"))
    alone = {"X-TeraCLOUD-API-KEY": PUBLISHED}
    nobody = basic("nobody", alice.password)
    for sent in ({}, alone, {**wrong, **alone}, {**nobody, **alone}):
        answer = http_request("GET", api + path, headers=sent)
        assert refused(answer, 401), sent.keys()
        assert answer.headers["www-authenticate"] == 'Basic realm="TeraCLOUD", charset="UTF-8"'
    for key in (None, UNKNOWN, PUBLISHED.lower(), PUBLISHED[:-1]):
        assert refused(alice.ask(path, key), 403)
    assert refused(alice.ask(f"{path};api_key={PUBLISHED}"), 403)  # twice is not once
    # Valid for that request only: the same connection is asked for both again.
    assert alice.ask(path).status == 200
    assert refused(alice.ask(path, None), 403)


def test_the_documentations_samples_work_with_curl(alice, server):
    """The developer page's own commands, with only the host changed."""
    api = server.addresses["api"]
    user = f"alice:{alice.password}"
    for words in (
        ["-u", user, "-H", f"X-TeraCLOUD-API-KEY: {PUBLISHED}", f"{api}/v2/api/user"],
        ["-u", user, f"{api}/v2/api/user;api_key={PUBLISHED}"],
        ["--anyauth", "-u", user, f"{api}/v2/api/dataset/(capacity);api_key={PUBLISHED}"],
    ):
        done = subprocess.run(
            ["curl", "-q", "--silent", "--noproxy", "*", "--fail", *words],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (words[-1], done.stderr)
        assert done.stdout.startswith(b'{"result":0,')


def test_an_account_without_a_node_is_told_to_come_back_and_nothing_is_made_up(
    server, world, tested
):
    newcomer = Person(server, world, "newcomer")
    for path in ("/v2/api/ba/user", "/v2/api/dataset/(capacity)"):
        assert refused(newcomer.ask(path), 202)
    newcomer.storage(quota=GIB)
    assert newcomer.ask("/v2/api/ba/user").status == 202
    newcomer.storage(node="uno.teracloud.jp")
    answer = newcomer.ask("/v2/api/ba/user")
    assert answer.status == 200
    assert "introduce_code" not in answer.json
    newcomer.storage(node=None)
    assert newcomer.ask("/v2/api/ba/user").status == 202


@pytest.mark.parametrize(
    "path",
    [
        "/v2/api/dataset/(nothing)",
        "/v2/api/dataset/",
        "/v2/api/ba/ba/user",
        "/v2/api",
        "/v2/api/",
        "/ba",
        "/v2/api/users",
        "/v2/api/user/more",
    ],
)
def test_what_is_not_there_is_said_in_the_providers_words(alice, path):
    assert refused(alice.ask(path), 404)
    # Who asks comes before what for.
    assert refused(alice.ask(path, UNKNOWN), 403)


def test_other_methods_and_other_types_are_refused_in_the_providers_words(alice):
    for method in ("POST", "PUT", "DELETE", "PROPFIND"):
        answer = alice.ask("/v2/api/ba/user", method=method)
        assert refused(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD"
    assert refused(alice.ask("/v2/api/ba/user", Accept="text/xml"), 406)
    head = alice.ask("/v2/api/ba/user", method="HEAD")
    assert (head.status, head.body) == (200, b"")


def test_a_path_that_can_be_read_in_two_ways_is_refused(alice):
    for path in ("/v2/api/ba;api_key=x/user", "/v2/api/../api/user", "/v2/api//user"):
        assert refused(alice.ask(path), 400)


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "PUT", "OPTIONS", "DELETE"])
def test_v2_dav_takes_no_basic_and_never_asks_for_it(alice, method):
    answer = alice.ask("/v2/dav/file", method=method)
    assert refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_dav_paths_are_not_served_here_and_say_so(alice):
    assert refused(alice.ask("/dav/file"), 404)


def test_the_published_key_opens_nothing_but_for_users_of_its_tenants(server, world, alice):
    stranger = Person(server, world, "stranger", tenant_id=world.tenant())
    assert refused(stranger.ask("/v2/api/ba/user"), 403)
    both = sorted([world.owner.tenant_id, stranger.tenant_id])
    answer = server.call("PUT", TEST_KEY, {"api_key": PUBLISHED, "tenants": both})
    assert answer.json["tenants"] == both
    assert stranger.ask("/v2/api/ba/user").status == 202
    server.call("PUT", TEST_KEY, {"api_key": PUBLISHED, "tenants": [world.owner.tenant_id]})
    assert refused(stranger.ask("/v2/api/ba/user"), 403)
    assert alice.ask("/v2/api/ba/user").status == 200


def test_the_use_of_the_api_is_the_last_use_of_the_password(alice, server):
    shown = server.call("GET", "/manage/v1/account/basic/teracloud", token=alice.key.text)
    credential = shown.json["credential_id"]
    assert alice.ask("/v2/api/ba/user").status == 200
    statement = f"SELECT address FROM last_use WHERE credential_id = '{credential}'"  # noqa: S608
    database = server.folder / "latchgate-usage.db"
    until(lambda: raw_rows(database, statement), seconds=30, what="the last use")
    assert raw_rows(database, statement) == [("127.0.0.1",)]


def test_no_secret_reached_the_log(alice, server):
    alice.ask(f"/v2/api/ba/user;api_key={PUBLISHED}", None)
    assert PUBLISHED not in server.log
    assert alice.password not in server.log
