"""Every route under every scope: allowed with exactly its own, refused with each other (D5.40)."""

from __future__ import annotations

import re

import pytest
from tests.world import compiled, http_request

from latchgate.doors.manage.app import OPERATIONS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

POLICY = compiled({}, 1)
SERVICES = {scope: name for name, service in POLICY.services.items() for scope in service.scopes}
GUARDED = [one for one in OPERATIONS if one.scope is not None]
IDS = [f"{one.method} {one.path}" for one in GUARDED]


@pytest.fixture(scope="module")
def tokens(world):
    """A key for each scope that opens every service and holds this scope only."""
    services = sorted(set(SERVICES.values()))
    owner = world.somebody("*")
    with world.changing() as change:
        return {
            scope: world.key_in(change, *services, scopes=[scope], owner=owner).text
            for scope in SERVICES
        }


def send(server, operation, token):
    """Ask for what is not there, with a body that says nothing: nothing is changed."""
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    path = re.sub(r"{\w+}", "nothing", operation.path)
    body = b"[]" if operation.method in {"POST", "PUT", "PATCH"} else None
    return http_request(
        operation.method, server.addresses["api"] + path, headers=headers, body=body
    )


def test_every_scope_of_the_management_api_opens_something():
    assert set(SERVICES) >= {one.scope for one in GUARDED}
    unused = set(SERVICES) - {one.scope for one in GUARDED}
    # Some widen what another scope shows or does; the others are for providers' dashboards.
    widening = {
        "operator:decisions.read",
        "operator:leaks.read",
        "operator:usage.read",
        "operator:webhooks.write",
        "own:access-keys.delete",
        "verifier:follow-all",
    }
    assert unused <= {*widening, "own:keys.read", "own:keys.write"}


@pytest.mark.parametrize("operation", GUARDED, ids=IDS)
def test_a_route_takes_exactly_its_scope(server, world, tokens, operation):
    head = world.head()
    assert send(server, operation, None).status == 401
    for scope, token in tokens.items():
        answer = send(server, operation, token)
        if scope == operation.scope:
            assert answer.status not in {401, 403, 500, 503}, (scope, answer.body)
        else:
            assert (answer.status, answer.code) == (403, "insufficient_scope"), (scope, answer.body)
    assert world.head() == head


@pytest.mark.parametrize("operation", GUARDED, ids=IDS)
def test_no_other_way_opens_a_route(server, world, operation):
    service = SERVICES[operation.scope]
    other = next(name for name in sorted(set(SERVICES.values())) if name != service)
    poor = world.somebody("storage:read")
    with world.changing() as change:
        keys = [
            world.key_in(change, *set(SERVICES.values()), scopes=[]),
            world.key_in(change, *set(SERVICES.values()), scopes=set(SERVICES) - {operation.scope}),
            world.key_in(change, other, scopes=[operation.scope]),
            world.key_in(change, service, owner=poor),
        ]
        foreign = world.key_in(change, "storage")
    for key in keys:
        answer = send(server, operation, key.text)
        assert (answer.status, answer.code) == (403, "insufficient_scope")
        assert f'scope="{operation.scope}"' in answer.headers["www-authenticate"]
    answer = send(server, operation, foreign.text)
    assert (answer.status, answer.code) == (401, "authentication_failed")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "authentication_required"),
        ("Bearer ", "authentication_failed"),
        ("Bearer latchgate_manage_nobody_anything", "authentication_failed"),
        ("Basic YWRtaW46YWRtaW4=", "authentication_failed"),
    ],
    ids=["nothing", "empty", "unknown", "Basic"],
)
def test_without_a_key_no_route_opens(server, authorization, code):
    headers = {"Authorization": authorization} if authorization is not None else {}
    for operation in GUARDED:
        url = server.addresses["api"] + re.sub(r"{\w+}", "x", operation.path)
        answer = http_request(operation.method, url, headers=headers)
        assert (answer.status, answer.code) == (401, code), operation
        assert answer.headers["www-authenticate"].startswith('Bearer realm="Latchgate"')
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/problem+json"
