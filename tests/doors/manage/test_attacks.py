"""ATTACKS D5 at the management API: owners taken from bodies, and secrets replaced in a race."""

from __future__ import annotations

import base64
import json
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.world import http_request

from latchgate.doors.manage.app import OPERATIONS
from latchgate.doors.manage.examples import EXAMPLES

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# What decides whose a record is, and what only the system may say of it.
NOT_THEIRS = ("owner_id", "tenant_id", "user_id", "parent_id", "created_by", "id", "digest", "kind")
WITH_BODIES = [one for one in OPERATIONS if one.body is not None]


@pytest.mark.parametrize("operation", WITH_BODIES, ids=lambda one: one.name)
def test_d5_37_no_body_says_whose_a_record_is(server, operation):
    body = operation.body
    takes = set(body.__struct_fields__)
    path = operation.path
    for name in ("key_id", "user_id", "tenant_id", "project_id", "role_id", "application_id"):
        path = path.replace(f"{{{name}}}", "x")
    before = server.call("GET", "/manage/v1/audit/head").json["n"]
    for name in NOT_THEIRS:
        if name in takes:
            continue  # the user whom a developer's key is for: proved by the developer's token
        answer = server.call(operation.method, path, {**EXAMPLES[body], name: "u-somebody"})
        assert answer.status in {401, 422}, (name, answer.body)
        if answer.status == 422:
            assert name in json.dumps(answer.json["errors"]), name
    assert server.call("GET", "/manage/v1/audit/head").json["n"] == before


def opens(server, login, password):
    """Whether an app password opens the WebDAV area now."""
    told = base64.b64encode(f"{login}:{password}".encode()).decode()
    headers = {
        "X-Original-Method": "OPTIONS",
        "X-Original-URI": "/dav/",
        "X-Original-Host": "localhost",
        "X-Original-Scheme": "https",
        "X-Real-IP": "192.0.2.1",
        "Authorization": f"Basic {told}",
    }
    return http_request("GET", server.addresses["verify"] + "/nginx", headers=headers).status == 200


def test_d5_44_of_passwords_reissued_at_once_the_last_one_is_right_and_no_other(server):
    first = server.call("POST", "/manage/v1/account/basic", {"login": "racer"}).json["password"]

    def reissue(_):
        return server.call("POST", "/manage/v1/account/basic/teracloud/reissue")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(reissue, range(16)))
    assert {answer.status for answer in answers} == {200}
    made = {answer.json["receipt"]["journal"]: answer.json["password"] for answer in answers}
    assert len(made) == 16
    last = made.pop(max(made))
    assert opens(server, "racer", last)
    assert not any(opens(server, "racer", one) for one in (first, *made.values()))


def test_d5_44_reissued_while_it_is_disabled_nothing_stays_open(server):
    for _ in range(5):
        login = f"racer{secrets.token_hex(3)}"
        user = server.call("POST", "/manage/v1/users", {"name": login}).json["id"]
        role = server.call("POST", "/manage/v1/roles", {"name": login, "scopes": ["dav:read"]})
        (project,) = server.call("GET", "/manage/v1/projects").json["projects"]
        roles = f"/manage/v1/users/{user}/roles/{project['id']}/{role.json['id']}"
        assert server.call("PUT", roles).status == 200
        path = f"/manage/v1/users/{user}/basic"
        held = [server.call("POST", path, {}).json["password"]]
        with ThreadPoolExecutor(2) as pool:
            again = pool.submit(server.call, "POST", f"{path}/teracloud/reissue")
            ended = pool.submit(server.call, "DELETE", f"{path}/teracloud")
        assert ended.result().status == 200
        if again.result().status == 200:
            held.append(again.result().json["password"])
        # Whichever came last is what the record says; a password that it does not name is dead.
        enabled = server.call("GET", f"{path}/teracloud").json["enabled"]
        assert [opens(server, login, one) for one in held] in (
            ([False, True] if enabled else [False, False])[: len(held)],
            [False] * len(held),
        )
        assert enabled == any(opens(server, login, one) for one in held)
