"""The routes of the identity API: what is closed, not there or not allowed, in Keystone's words."""

from __future__ import annotations

import pytest
from tests.doors.keystone.cloud import NO_SIGN_IN, V3, error

from latchgate.doors.keystone.app import ROUTES

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
DENIED = "You are not authorized to perform the requested action: identity:"


@pytest.fixture(scope="module")
def token(cloud, key):
    return cloud.token(key)


@pytest.mark.parametrize(
    ("collection", "one"),
    [
        ("users", None),
        ("projects", None),
        ("domains", "domain"),
        ("roles", "role"),
        ("services", "service"),
        ("endpoints", "endpoint"),
        ("regions", "region"),
        ("groups", "group"),
        ("role_assignments", "role_assignment"),
    ],
)
@pytest.mark.parametrize("below", [V3, "/v3"])
def test_what_administrators_of_a_keystone_do_is_closed_to_members(
    cloud, token, below, collection, one
):
    refused = cloud.ask("GET", f"{below}/{collection}", token)
    assert refused.status == 403
    assert error(refused)["message"] == f"{DENIED}list_{collection}."
    made = cloud.ask("POST", f"{below}/{collection}", token, sent={})
    assert made.status == 403
    if one is not None:
        refused = cloud.ask("GET", f"{below}/{collection}/x", token)
        assert error(refused)["message"] == f"{DENIED}get_{one}."


PATHS = ["/".join(("", *route)).replace("*", "x") for route in ROUTES if route]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("below", [V3, "/v3"])
def test_nothing_but_signing_in_is_answered_without_a_token(cloud, below, path):
    for method in ("GET", "POST", "DELETE", "PATCH", "PUT"):
        if path == "/auth/tokens" and method in {"POST", "PATCH", "PUT"}:
            continue
        refused = cloud.ask(method, below + path, headers={"X-Auth-Token": "kcpt_nope"})
        assert refused.status == 401, method
        assert error(refused)["message"] == NO_SIGN_IN


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/identity/v2.0", 404),
        ("GET", "/identity/v3x", 404),
        ("GET", "/identity/v3/nope", 404),
        ("GET", "/identity/v3/auth/nope", 404),
        ("GET", "/identity/v3/users/x/nope", 404),
        ("GET", "/identity/v3/auth/tokens/OS-PKI/revoked", 404),
        ("POST", "/identity", 405),
        ("POST", "/identity/v3", 405),
        ("PATCH", "/identity/v3/auth/tokens", 405),
        ("POST", "/identity/v3/auth/projects", 405),
        ("GET", "/identity//v3", 400),
        ("GET", "/identity/v3/../v3", 400),
    ],
)
def test_every_refusal_is_told_in_keystones_words(cloud, token, method, path, status):
    refused = cloud.ask(method, path, token)
    assert refused.status == status
    told = error(refused)
    assert set(told) == {"code", "message", "title"}
    if status == 405:
        assert refused.headers["allow"]
        assert told["message"] == "The method is not allowed for the requested URL."


def test_a_flood_of_parameters_is_refused(cloud, token):
    query = "&".join(f"p{n}=1" for n in range(100))
    refused = cloud.ask("GET", f"{V3}/auth/tokens?{query}", token, subject=token)
    assert refused.status == 400
    assert "parameters" in error(refused)["message"]


def test_xml_is_not_spoken_and_json_answered(cloud, token):
    told = cloud.ask("GET", f"{V3}/auth/projects", token, headers={"Accept": "application/xml"})
    assert told.status == 200
    assert told.headers["content-type"] == "application/json"
