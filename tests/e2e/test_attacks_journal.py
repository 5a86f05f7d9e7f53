"""No secret is in the journal, in an export of it, in either database or in the log (D7.60).

Which routes make or take a secret is asked of the table of routes: a new one fails here until it is
driven.
"""

from __future__ import annotations

import base64
import re
import time

import msgspec
import pytest
from tests.world import FILES, Server, raw_rows

from latchgate.doors.manage.app import OPERATIONS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# What a field with a secret is called. A shape that calls one otherwise must be added here.
SECRET = re.compile(r"(?:.*_)?(?:key|keys|token|tokens|password|passwords|secret|secrets|codes?)")
PUBLIC = {
    "public_key",
    "keys",  # pages of keys without their secrets
    "code",  # of a problem or an explanation
}


def secret_fields(shape):
    """Return the names of all fields of a shape, however deep, that sound like a secret's."""
    found = set()
    waiting = [msgspec.inspect.type_info(shape)] if shape is not None else []
    known = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, msgspec.inspect.StructType):
            if one.cls in known:
                continue
            known.add(one.cls)
            for field in one.fields:
                if SECRET.fullmatch(field.name) and field.name not in PUBLIC:
                    found.add(field.name)
                waiting.append(field.type)
        inner = [getattr(one, name, None) for name in ("type", "item_type", "value_type")]
        waiting += [each for each in inner if isinstance(each, msgspec.inspect.Type)]
        waiting += getattr(one, "types", ()) or getattr(one, "item_types", ())
    return found


def secrets_in(told):
    """Return every secret of an answer, by the names of its fields."""
    if isinstance(told, list):
        return [text for one in told for text in secrets_in(one)]
    if not isinstance(told, dict):
        return []
    mine = [
        value
        for name, value in told.items()
        if SECRET.fullmatch(name) and name not in PUBLIC and isinstance(value, str)
    ]
    return mine + [text for value in told.values() for text in secrets_in(value)]


def create_key(server):
    spec = {"name": "a", "services": ["storage"], "description": "d", "metadata": {"a": "b"}}
    return server.call("POST", "/manage/v1/keys", spec)


def create_tenant(server):
    # Repeated: what is kept for an Idempotency-Key must not be the answer itself.
    sent = {"name": "another", "user": "somebody"}, {"Idempotency-Key": "0b7c"}
    made = server.call("POST", "/manage/v1/tenants", sent[0], headers=sent[1])
    assert made.status == 201, made.body
    again = server.call("POST", "/manage/v1/tenants", sent[0], headers=sent[1])
    assert secrets_in(again.json) == []
    theirs = server.create("manage", scopes=[], token=made.json["token"])
    return made, [theirs["key"]]


def revoke_key(server):
    made = create_key(server).json
    answer = server.call("DELETE", f"/manage/v1/keys/{made['id']}")
    return answer, [made["key"]]


def apply_policy(server):
    return server.call("PUT", "/manage/v1/policy", {"files": FILES})


def explain_request(server):
    made = create_key(server).json["key"]
    answer = None
    for sent in (made, made[:-1] + ("0" if made[-1] != "0" else "1")):
        asked = {
            "method": "GET",
            "url": f"https://api.example/v1/storage/a?key={sent}",
            "headers": {"Authorization": f"Bearer {sent}", "X-API-Key": sent},
        }
        answer = server.call("POST", "/manage/v1/explain", asked)
    return answer, [made]


def verify_audit(server):
    return server.call("POST", "/manage/v1/audit/verify", {"against": None})


# Each returns its answer, or its answer and secrets that were used on the way.
DRIVERS = {
    one.__name__: one
    for one in (create_key, create_tenant, revoke_key, apply_policy, explain_request, verify_audit)
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_route_with_a_secret_is_driven(operation):
    if secret_fields(operation.answer) | secret_fields(operation.body):
        assert operation.name in DRIVERS, "drive it, so that what it makes is looked for"


def test_what_makes_a_secret_is_known_by_its_fields():
    told = {one.name for one in OPERATIONS if secret_fields(one.answer)}
    assert "create_key" in told
    assert not told & {"list_keys", "show_key", "show_audit_head"}


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """A folder in which everything happened, the secrets there were, and all that was exported."""
    server = Server.made(tmp_path_factory.mktemp("driven") / "lg")
    server.start()
    held = [server.token, server.first["admin"]["password"]]
    try:
        for name, drive in DRIVERS.items():
            told = drive(server)
            answer, more = told if isinstance(told, tuple) else (told, [])
            assert answer.status < 300, (name, answer.body)
            shown = secrets_in(answer.json)
            made = [*shown, *more]
            operation = next(one for one in OPERATIONS if one.name == name)
            assert shown or not secret_fields(operation.answer), f"{name} showed no secret"
            for text in made:
                # Allowed, refused, misspelt: traces and counts of each.
                server.allows(text)
                server.allows(text, target="/v1/database/x")
                server.allows(text[:-1] + "!")
                server.verdict("x", target=f"/v1/storage/{text}?key={text}")
            held += made
        recovered = server.cli("recover", "--config", str(server.config), "--json").json
        held.append(recovered["token"])
        server.cli("signing-key", "replace", "--config", str(server.config))
        export = server.call("GET", "/manage/v1/audit/export", token=recovered["token"]).body
        time.sleep(1.5)  # refusals and counts are written in batches
    finally:
        server.stop()
    return server, held, export


def forms(text):
    """Return a secret as it could be spelled, and its secret part alone."""
    parts = [text, max(re.split(r"[_.]", text), key=len)]
    encoded = [base64.b64encode(text.encode()).rstrip(b"=")[:-1], text.encode().hex().encode()]
    return [*(part.encode() for part in parts), *encoded]


def test_no_secret_is_kept_anywhere(driven):
    server, held, export = driven
    assert len(held) > 4
    kept = {"export": export, "log": (server.folder / "serve.log").read_bytes()}
    for file in server.folder.iterdir():
        if file.name.startswith("latchgate") and file.suffix != ".toml":
            kept[file.name] = file.read_bytes()
    assert {"latchgate.db", "latchgate-usage.db"} <= set(kept)
    assert raw_rows(server.folder / "latchgate-usage.db", "SELECT id FROM refusal")
    # The search finds what is there: an id is.
    assert server.first["tenant"].encode() in kept["latchgate.db"]
    for text in held:
        for form in forms(text):
            assert [name for name, content in kept.items() if form in content] == []


def test_neither_master_key_nor_private_keys_are_in_a_database(driven):
    server, _, export = driven
    text = (server.folder / "master.key").read_bytes().strip()
    for form in (text, base64.b64decode(text), base64.b64decode(text).hex().encode()):
        for name in ("latchgate.db", "latchgate-usage.db", "serve.log"):
            assert form not in (server.folder / name).read_bytes()
        assert form not in export
    assert b'"private' not in export
