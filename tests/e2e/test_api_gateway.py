"""The clouds' own APIs behind the shipped nginx configuration: whose word counts, raw paths."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.certificates import Authority
from tests.e2e.stack import ApiGateway, Latchgate, curl, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# An address of this machine that no policy exempts from TLS and no configuration trusts.
CLIENT = ("--interface", "127.0.0.2")
PUBLISHED = "FEF5078EA41D182EEF89A21E034BD680"
PATHS = [
    "/1.3/account/tokens",
    "/identity/v3/projects",
    "/v3/projects",
    "/v2/api/ba/user",
    "/ba/user/",
    "/api/v1/dashboard/api-keys",
]
CAPACITY = "/v2/api/ba/dataset/%28capacity%29"


@dataclass(frozen=True)
class Cloud:
    """Latchgate's API behind nginx, and a user with Basic and the published key."""

    latchgate: Latchgate
    gateway: ApiGateway
    authority: Authority
    user: str

    def ask(self, path: str, *words: str):
        """Ask over TLS, from somewhere else than Latchgate's own address, the path as it is."""
        url = self.gateway.secure + path
        return curl("--path-as-is", "--cacert", str(self.authority.file), *CLIENT, *words, url)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with Latchgate(tmp_path_factory.mktemp("latchgate")) as server:
        server.serve(workers=1)
        with ApiGateway(
            tmp_path_factory.mktemp("gateway"),
            verify=server.verify,
            api=server.api,
            pair=authority.issue("server"),
        ) as gateway:
            gateway.start()
            made = server.json("basic", "enable", "--login", "alice")
            tenant = server.json("whoami")["tenant_id"]
            server.json("app", "test-key", PUBLISHED, "--tenant", tenant)
            told = ("--node", "aki.example.com", "--quota", "1073741824")
            server.json("user", "storage", made["user_id"], *told)
            yield Cloud(server, gateway, authority, f"alice:{made['password']}")


def test_nginx_takes_the_configuration(cloud):
    words = ["nginx", "-t", "-q", "-c", str(cloud.gateway.folder / "nginx.conf")]
    own = ["-g", f"pid {cloud.gateway.folder}/pid-of-the-test;"]
    done = subprocess.run([*words, *own], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", PATHS)
def test_each_clouds_api_is_answered_by_latchgate_itself(cloud, path):
    answer = cloud.ask(path)
    assert answer.status in {401, 404}
    assert answer.one("X-Latchgate-Decision")  # which nginx's own refusals don't have
    assert json.loads(answer.body)


def test_a_client_over_tls_is_let_in_by_the_word_of_nginx_and_not_by_its_own(cloud):
    key = ("-H", f"X-TeraCLOUD-API-KEY: {PUBLISHED}")
    answer = cloud.ask("/ba/user/", "-u", cloud.user, *key)
    assert (answer.status, answer.json()["user"]) == (200, "alice")
    url = f"http://{text_of(cloud.gateway.plain)}/ba/user/"
    lies = ("-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-For: 127.0.0.1")
    refused = curl(*CLIENT, "-u", cloud.user, *key, *lies, url)
    assert (refused.status, refused.json()["message"]) == (403, "Use HTTPS (TLS 1.2 or later).")


def test_latchgate_reads_the_bytes_that_were_sent(cloud):
    matrix = f";api_key={PUBLISHED}"
    for path in (CAPACITY, "/v2/api/ba/dataset/(capacity)"):
        assert cloud.ask(path + matrix, "-u", cloud.user).json()["result"] == 0
    # Decoded once on the way it would be the path above; mended, the one below.
    twice = CAPACITY.replace("%", "%25")
    for path in (twice + matrix, f"/v2/api/x/../user{matrix}", f"/v2/api//user{matrix}"):
        assert cloud.ask(path, "-u", cloud.user).status == 400, path


def test_keys_in_paths_are_in_no_log(cloud):
    assert cloud.ask(f"/v2/api/user;api_key={PUBLISHED}", "-u", cloud.user).status == 200
    assert "/v2/api/user" in cloud.gateway.access_log
    assert PUBLISHED not in cloud.gateway.access_log
    assert all(PUBLISHED.encode() not in held for held in cloud.latchgate.files().values())


def test_the_management_api_is_not_reached_from_outside(cloud):
    token = ("-H", f"Authorization: Bearer {cloud.latchgate.token}")
    assert cloud.ask("/manage/v1/users", *token).status == 404
