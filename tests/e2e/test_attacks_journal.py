"""No secret is in the journal, in an export of it, in either database or in the log (D7.60).

Which routes make or take a secret is asked of the table of routes: a new one fails here until it is
driven.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time

import msgspec
import pytest
from tests.world import FILES, Server, http_request, raw_rows

from latchgate.doors.manage.app import OPERATIONS

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# What a field with a secret is called. A shape that calls one otherwise must be added here.
SECRET = re.compile(r"(?:.*_)?(?:key|keys|token|tokens|password|passwords|secret|secrets|codes?)")
PUBLIC = {
    "public_key",
    "keys",  # pages of keys without their secrets
    "tokens",  # pages of tokens without their text
    "access_keys",  # pages of them without their secrets
    "secrets",  # of a client: which there are, without their text
    "can_create_tokens",
    "login_password",  # whether it is taken
    "introduce_code",  # which its user gives to others
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


def enable_own_basic(server):
    return server.call("POST", "/manage/v1/account/basic", {})


def reissue_own_basic(server):
    return server.call("POST", "/manage/v1/account/basic/teracloud/reissue")


def rotate_own_basic(server):
    return server.call("POST", "/manage/v1/account/basic/teracloud/rotation", {"grace": "1h"})


def rotate_basic(server):
    path = f"/manage/v1/users/{somebody(server)}/basic"
    first = server.call("POST", path, {}).json["password"]
    return server.call("POST", f"{path}/teracloud/rotation", {"grace": "1h"}), [first]


def somebody(server):
    """Make a user of the first tenant, with a role; returns the user's id."""
    name = f"user{secrets.token_hex(4)}"
    user = server.call("POST", "/manage/v1/users", {"name": name}).json["id"]
    role = server.call("POST", "/manage/v1/roles", {"name": name, "scopes": ["dav:read"]}).json
    (project,) = server.call("GET", "/manage/v1/projects").json["projects"]
    path = f"/manage/v1/users/{user}/roles/{project['id']}/{role['id']}"
    assert server.call("PUT", path).status == 200
    return user


def enable_basic(server):
    return server.call("POST", f"/manage/v1/users/{somebody(server)}/basic", {})


def reissue_basic(server):
    path = f"/manage/v1/users/{somebody(server)}/basic"
    first = server.call("POST", path, {}).json["password"]
    return server.call("POST", f"{path}/teracloud/reissue"), [first]


def issue_password(server):
    return server.call("POST", f"/manage/v1/users/{somebody(server)}/password", {})


def change_own_password(server):
    old, new = server.first["admin"]["password"], "wildly improbable words 7"
    sent = {"current_password": old, "new_password": new, "namespace": "latchgate"}
    return server.call("PUT", "/manage/v1/account/password", sent), [old, new]


def create_access_key(server):
    # One that its owner chose is never shown, and kept as a slow hash.
    chosen = "quite improbable words 9"
    path = "/manage/v1/account/access-keys"
    assert server.call("POST", path, {"name": "chosen", "secret": chosen}).status == 201
    return server.call("POST", path, {"name": "drawn"}), [chosen]


def delete_access_key(server):
    path = "/manage/v1/account/access-keys"
    made = server.call("POST", path, {"name": "short-lived"}).json
    key = {"id": made["id"], "secret": made["secret"]}
    asked = {"methods": ["application_credential"], "application_credential": key}
    url = f"{server.addresses['api']}/identity/v3/auth/tokens"
    body = json.dumps({"auth": {"identity": asked}}).encode()
    token = http_request("POST", url, body=body).headers["x-subject-token"]
    proof = {"password": server.first["admin"]["password"]}
    return server.call("DELETE", f"{path}/{made['id']}", proof), [made["secret"], token]


def set_test_key(server):
    key = secrets.token_hex(16).upper()
    tenants = server.call("GET", "/manage/v1/tenants").json["tenants"]
    sent = {"api_key": key, "tenants": [tenants[0]["id"]]}
    return server.call("PUT", "/manage/v1/applications/test-key", sent), [key]


def create_token(server):
    sent = {"name": "t", "expires_in": "1h", "can_create_tokens": True}
    return server.call("POST", "/manage/v1/account/tokens", sent)


def rotate_key(server):
    made = server.call("POST", "/manage/v1/keys", {"name": "r", "services": ["storage"]}).json
    path = f"/manage/v1/keys/{made['id']}/rotation"
    return server.call("POST", path, {"grace": "1h"}), [made["key"]]


def rotate_token(server):
    made = create_token(server).json
    path = f"/manage/v1/account/tokens/{made['id']}/rotation"
    return server.call("POST", path, {"grace": "1h"}), [made["token"]]


def rotate_access_key(server):
    path = "/manage/v1/account/access-keys"
    made = server.call("POST", path, {"name": "turned"}).json
    return server.call("POST", f"{path}/{made['id']}/rotation", {"grace": "1h"}), [made["secret"]]


def request_application(server):
    sent = {
        "name": "Photos",
        "vendor": "Acme",
        "contact": "dev@acme.example",
        "purpose": "Sync",
        "developer": "individual",
    }
    return server.call("POST", "/manage/v1/application-requests", sent)


def approved_application(server):
    """Have an application approved; returns the path of its keys and its developer's token."""
    asked = request_application(server).json
    made, reason = asked["application"]["id"], {"reason": "known"}
    assert server.call("POST", f"/manage/v1/applications/{made}/approve", reason).status == 200
    return f"/manage/v1/application-requests/{made}/keys", asked["developer_token"]


def issue_application_key(server):
    path, token = approved_application(server)
    return server.call("POST", path, {}, token=token), [token]


def reissue_application_key(server):
    path, token = approved_application(server)
    first = server.call("POST", path, {}, token=token).json["api_key"]
    return server.call("POST", f"{path}/reissue", {}, token=token), [token, first]


def create_webhook(server):
    return server.call("POST", "/manage/v1/webhooks", {"url": "https://hooks.example.com/"})


def renew_webhook_secret(server):
    made = create_webhook(server).json
    answer = server.call("POST", f"/manage/v1/webhooks/{made['id']}/secret")
    return answer, [made["secret"]]


def create_oauth_client(server):
    about = {
        "name": "Photos",
        "vendor": "Example",
        "contact": "dev@example.com",
        "purpose": "shows pictures",
        "developer": "individual",
    }
    spec = {
        "application": about,
        "scopes": ["openid"],
        "redirect_uris": ["https://photos.example.com/back"],
    }
    return server.call("POST", "/manage/v1/oauth-clients", spec)


def renew_client_secret(server):
    made = create_oauth_client(server).json
    answer = server.call("POST", f"/manage/v1/oauth-clients/{made['id']}/secrets", {})
    return answer, [made["client_secret"]]


def report_leaks(server):
    held = create_key(server).json["key"]
    url = f"https://example.com/{held}/a?key={held}"
    sent = {"tokens": [{"token": held, "url": url}, {"token": f"{held}0", "url": url}]}
    return server.call("POST", "/manage/v1/leaks", sent), [held]


def import_credentials(server):
    held = f"wayscloud_storage_{secrets.token_hex(6)}_{secrets.token_hex(20)}"
    line = {
        "kind": "wayscloud.service_key",
        "secret": held,
        "owner": "admin",
        "services": ["storage"],
    }
    return server.call("POST", "/manage/v1/imports", {"lines": [line, {**line, "id": held}]}), [
        held
    ]


# Each returns its answer, or its answer and secrets that were used on the way.
DRIVERS = {
    one.__name__: one
    for one in (
        create_key,
        create_tenant,
        revoke_key,
        apply_policy,
        explain_request,
        verify_audit,
        enable_own_basic,
        reissue_own_basic,
        enable_basic,
        reissue_basic,
        issue_password,
        create_access_key,
        delete_access_key,
        set_test_key,
        change_own_password,
        create_token,
        rotate_key,
        rotate_own_basic,
        rotate_basic,
        rotate_token,
        rotate_access_key,
        create_webhook,
        renew_webhook_secret,
        create_oauth_client,
        renew_client_secret,
        request_application,
        issue_application_key,
        reissue_application_key,
        report_leaks,
        import_credentials,
    )
}


CHOSEN = {"issue_password", "change_own_password", "create_access_key"}


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
            # A password that looks like nothing is masked where Basic carries it, not in a path.
            for text in made if name not in CHOSEN else ():
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
            assert [name for name, content in kept.items() if form in content] == [], text[:6]


def test_neither_master_key_nor_private_keys_are_in_a_database(driven):
    server, _, export = driven
    text = (server.folder / "master.key").read_bytes().strip()
    for form in (text, base64.b64decode(text), base64.b64decode(text).hex().encode()):
        for name in ("latchgate.db", "latchgate-usage.db", "serve.log"):
            assert form not in (server.folder / name).read_bytes()
        assert form not in export
    assert b'"private' not in export
