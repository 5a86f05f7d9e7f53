"""The gate of the API's address, over HTTP: who gets behind it, and where nothing is."""

from __future__ import annotations

import pytest
from tests.world import Server, World, http_request

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server.started(tmp_path_factory.mktemp("gate") / "server")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def key(server):
    with_key = World.beside(server)
    yield with_key.key()
    with_key.close()


def test_what_an_area_lets_in_and_no_door_serves_is_not_found_in_its_dialect(server, key):
    url = f"{server.addresses['api']}/v1/storage/photos"
    answer = http_request("GET", url, headers=key.headers)
    assert answer.status == 404
    assert answer.json == {"error": "Endpoint not found", "code": "NOT_FOUND"}


def test_nobody_learns_what_is_served_before_they_are_known(server):
    for path in ("/v1/storage/photos", "/manage/v1/keys", "/1.3/account", "/1.3/no-such-thing"):
        assert http_request("GET", server.addresses["api"] + path).status == 401


@pytest.mark.parametrize("path", ["/manage/v1x/keys", "/manage", "/healthz/x", "/elsewhere"])
def test_a_path_beside_a_doors_is_not_behind_it(server, path):
    headers = {"Authorization": f"Bearer {server.token}"}
    answer = http_request("GET", server.addresses["api"] + path, headers=headers)
    assert answer.status == 404
    assert answer.headers["x-latchgate-decision"]


def test_latchgates_own_doors_are_not_reached_under_a_shadow(tmp_path):
    # An area of somebody else's may lie over all paths; who may manage is never theirs to say.
    policy = """\
provider = "other"
title = "Other"
dialect = "problem"

[shadows.old]
url = "http://127.0.0.1:9/check"

[[areas]]
path = "/"
public = true
methods = ["*"]
shadow = "old"
"""
    server = Server.started(tmp_path / "server")
    try:
        applied = server.call("PUT", "/manage/v1/policy", {"files": {"other.toml": policy}})
        assert applied.status == 200
        api = server.addresses["api"]
        for path in ("/1.3/account", "/identity/v3", "/v2/api/user"):
            assert http_request("GET", api + path).status == 503
        assert http_request("GET", f"{api}/elsewhere").status == 404
        assert server.call("GET", "/manage/v1/policy").status == 200
        assert "leads to Latchgate itself" in server.log
    finally:
        server.kill()
