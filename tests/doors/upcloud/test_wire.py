"""Whatever a body holds, it is taken whole or refused in words; nothing is a fault of ours."""

from __future__ import annotations

import json
import random
from copy import deepcopy

import pytest

from latchgate.doors.upcloud.xml import write_xml

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ACCOUNT: dict[str, object] = {
    "first_name": "A",
    "email": "a@b.example",
    "allow_api": "yes",
    "roles": {"role": ["billing"]},
    "ip_filters": {"ip_filter": ["127.0.0.1"]},
    "server_access": {"server": [{"uuid": "*", "storage": "yes"}]},
    "storage_access": {"storage": ["*"]},
    "tag_access": {"tag": [{"name": "t", "storage": "no"}]},
}
BODIES: list[tuple[str, str, str, dict[str, object]]] = [
    ("POST", "/account/sub", "sub_account", {**ACCOUNT, "username": "abc", "password": "x"}),
    ("PUT", "/account/sub/nobody", "account", ACCOUNT),
    (
        "POST",
        "/permission/grant",
        "permission",
        {"user": "nobody", "target_type": "server", "target_identifier": "*"},
    ),
    (
        "POST",
        "/account/tokens",
        "",
        {
            "name": "n",
            "expires_in": "9999h",
            "can_create_tokens": True,
            "allowed_ip_ranges": ["::/0"],
            "scopes": ["upcloud:read"],
        },
    ),
]
ODD: list[object] = [None, "", [], {}, 0, -1.5, 10**30, True, "\x00", "é" * 5_000, [[]], {"x": 1}]
ODD += [["a", 1], "*", "yes", {"role": "billing"}, {"role": [None]}, {"server": [{}]}]


def places(value, path=()):
    """Return every place in a document, itself included."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        if isinstance(one, (dict, list)):
            yield from places(one, (*path, key))
        else:
            yield (*path, key)


def put(value, path, odd):
    if not path:
        return odd
    changed = deepcopy(value)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    return changed


@pytest.mark.parametrize(("method", "path", "root", "whole"), BODIES)
def test_odd_values_at_every_place_are_refused_in_words(main, method, path, root, whole):
    order = random.Random(path)
    for place in places(whole):
        for odd in order.sample(ODD, 4):
            body = put(whole, place, odd)
            told = {root: body} if root else body
            answer = main.ask(method, path, told)
            assert 400 <= answer.status < 500, (told, answer.body)
            assert json.loads(answer.body)
            if isinstance(body, dict):
                name = root or "token"
                headers = {"Content-Type": "application/xml"}
                answer = main.ask(method, path, write_xml(name, body), headers=headers)
                assert 400 <= answer.status < 500, (body, answer.body)
