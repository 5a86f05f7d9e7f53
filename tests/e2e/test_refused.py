"""What is refused, in the provider's words: status, headers and JSON value as documented."""

from __future__ import annotations

import itertools
import time
from datetime import datetime

import openai
import pytest
import requests
from tests.e2e.stack import curl
from tests.e2e.wire import Answer, Wire, ask, bearer

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# providers/wayscloud, "Authentication Errors"
UNAUTHORIZED = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}
FORBIDDEN = {
    "error": "API key does not have permission for this service",
    "code": "INSUFFICIENT_PERMISSIONS",
}
BODIES = {401: UNAUTHORIZED, 403: FORBIDDEN}


def refused(answer: Answer, status: int, challenge: str | None, body: object = None) -> str:
    """Check a whole refusal and return its decision id."""
    assert answer.status == status
    assert answer.json() == (body or BODIES[status])
    assert answer.every("Content-Type") == ["application/json"]
    assert answer.every("WWW-Authenticate") == ([challenge] if challenge is not None else [])
    assert answer.every("Content-Length") == [str(len(answer.body))]
    assert answer.every("Cache-Control") == ["no-store"]
    ours = [name for name, _ in answer.headers if name.lower().startswith("x-latchgate")]
    assert ours == ["X-Latchgate-Decision"]
    return answer.one("X-Latchgate-Decision")


def get(gateway, target: str, *headers: tuple[str, str], source: str | None = None) -> Answer:
    return ask(gateway.address, "GET", target, headers, source=source)


INVALID = 'Bearer realm="WAYSCloud", error="invalid_token"'


@pytest.fixture
def wrong(keys):
    """A key of the right shape, checksum included, that nobody was given."""
    from latchgate.core.secret import checksum

    service, key_id = keys.storage.text.split("_")[1:3]
    body = f"wayscloud_{service}_{key_id}_" + "A" * 26
    return body + checksum(body)


def test_no_credential_at_all(gateway, latchgate, files):
    before = len(files.requests)
    answer = get(gateway, "/v1/storage/b/o")
    decision = refused(answer, 401, 'Bearer realm="WAYSCloud"')  # RFC 6750 §3.1: no error code
    told = latchgate.json("explain", "--id", decision)
    assert told["reason"] == "credential_missing"
    assert told == latchgate.explain(decision)
    assert len(files.requests) == before


def malformed(key: str) -> dict[str, str]:
    return {
        "no Bearer": key,
        "lower-case bearer": f"bearer {key}",
        "upper-case BEARER": f"BEARER {key}",
        "two spaces": f"Bearer  {key}",
        "a tab": f"Bearer\t{key}",
        "no space": f"Bearer{key}",
        "nothing after it": "Bearer",
        "a comma after it": f"Bearer {key},",
        "a space inside": f"Bearer {key[:30]} {key[30:]}",
        "two keys": f"Bearer {key} {key}",
        "two keys, comma-joined": f"Bearer {key}, Bearer {key}",
        "quotes": f'Bearer "{key}"',
        "token=": f"Bearer token={key}",
        "another scheme": f"Token {key}",
        "cut short": f"Bearer {key[:-1]}",
        "drawn out": f"Bearer {key}0",
        "upper case": f"Bearer {key.upper()}",
        "another service's name": f"Bearer {key.replace('_storage_', '_llm_')}",
        "no id": "Bearer wayscloud_storage_secret",
        "empty parts": "Bearer wayscloud___",
        "another brand": f"Bearer {key.replace('wayscloud', 'waysclouds')}",
        "a byte outside ASCII": f"Bearer {key}\xe9",
        "600 characters": f"Bearer {key}{'a' * 600}",
    }


@pytest.mark.parametrize(
    "how", malformed("wayscloud_storage_0123456789ab_xxxxxxxxxxxxxxxxxxxxxxxx")
)
def test_a_malformed_authorization(gateway, latchgate, keys, files, how):
    before = len(files.requests)
    answer = get(gateway, "/v1/storage/b/o", ("Authorization", malformed(keys.storage.text)[how]))
    told = latchgate.explain(refused(answer, 401, INVALID))
    assert told["reason"] in {
        "credential_malformed",
        "credential_not_accepted",
        "credential_unknown",
        "secret_wrong",
    }
    assert told["change"]
    assert keys.storage.secret not in str(told)
    assert len(files.requests) == before


@pytest.mark.parametrize("how", ["Basic dXNlcjpwYXNz", "Digest username=x", "Negotiate YII="])
def test_another_scheme(gateway, latchgate, how):
    answer = get(gateway, "/v1/storage/b/o", ("Authorization", how))
    told = latchgate.explain(refused(answer, 401, INVALID))
    assert told["reason"] == "credential_not_accepted"


def test_extra_spaces_around_the_header_are_the_headers_own(gateway, keys):
    # RFC 9110 §5.5: they are not part of the value, so nobody behind nginx ever sees them.
    header = ("Authorization", f"  Bearer {keys.storage.text}   ")
    assert get(gateway, "/v1/storage/", header).status == 200


def test_a_wrong_secret(gateway, latchgate, wrong):
    answer = get(gateway, "/v1/storage/b/o", bearer(wrong))
    assert latchgate.explain(refused(answer, 401, INVALID))["reason"] == "secret_wrong"


def test_a_key_that_was_never_made(gateway, latchgate):
    imported = "wayscloud_storage_abc123_XyZ789SecretKey"  # the document's example
    answer = get(gateway, "/v1/storage/b/o", bearer(imported))
    assert latchgate.explain(refused(answer, 401, INVALID))["reason"] == "credential_unknown"


def scoped(scope: str) -> str:
    return f'Bearer realm="WAYSCloud", error="insufficient_scope", scope="{scope}"'


def test_a_key_of_another_service(gateway, latchgate, keys):
    answer = get(gateway, "/v1/models", bearer(keys.storage.text))
    told = latchgate.explain(refused(answer, 403, scoped("llm:models")))
    assert told["reason"] == "service_not_granted"
    assert told["change"] == "Make a key for the service llm."


@pytest.mark.parametrize(
    ("held", "method", "target", "needed"),
    [
        ("storage:read", "PUT", "/v1/storage/b/o", "storage:write"),
        ("storage:read", "POST", "/v1/storage/b/o", "storage:write"),
        ("storage:read", "DELETE", "/v1/storage/b/o", "storage:delete"),
        ("storage:write", "GET", "/v1/storage/b/o", "storage:read"),
        ("storage:write", "DELETE", "/v1/storage/b/o", "storage:delete"),
        ("storage:delete", "GET", "/v1/storage/b/o", "storage:read"),
        ("storage:delete", "PUT", "/v1/storage/b/o", "storage:write"),
        ("llm:models", "POST", "/v1/chat/completions", "llm:inference"),
        ("llm:inference", "GET", "/v1/models", "llm:models"),
    ],
)
def test_a_key_without_the_scope(mirror, latchgate, echo, held, method, target, needed):
    key = latchgate.key(held.partition(":")[0], scopes=[held])
    before = echo.count()
    answer = ask(mirror.address, method, target, [bearer(key.text)])
    told = latchgate.explain(refused(answer, 403, scoped(needed)))
    assert (told["reason"], told["credential"]) == ("scope_not_granted", key.id)
    assert echo.count() == before


def test_an_empty_scope_list_is_none_and_not_all(gateway, latchgate):
    key = latchgate.key("storage", "llm", scopes=[])
    for target, scope in (("/v1/storage/", "storage:read"), ("/v1/models", "llm:models")):
        refused(get(gateway, target, bearer(key.text)), 403, scoped(scope))
    none = latchgate.json("key", "create", "--service", "dns", "--name", "n", "--no-scopes")
    assert none["scopes"] == []


@pytest.mark.parametrize(
    ("ranges", "allowed", "elsewhere"),
    [
        (["127.0.0.2/32"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.3"]),
        (["127.0.0.1/32"], ["127.0.0.1"], ["127.0.0.2"]),
        (["127.0.0.9"], ["127.0.0.9"], ["127.0.0.8"]),
        (["127.0.0.77/26"], ["127.0.0.64", "127.0.0.127"], ["127.0.0.63", "127.0.0.128"]),
        (["::ffff:127.0.0.5"], ["127.0.0.5"], ["127.0.0.4"]),
        (["10.0.0.0/8", "127.0.0.6"], ["127.0.0.6"], ["127.0.0.1"]),
        (["0.0.0.0/0"], ["127.0.0.1"], []),
        (["::/0"], [], ["127.0.0.1"]),
        ([], [], ["127.0.0.1", "127.0.0.2"]),
    ],
)
def test_a_key_from_another_network(gateway, latchgate, ranges, allowed, elsewhere):
    key = latchgate.key(allowed_ip_ranges=ranges)
    url, header = f"{gateway.url}/v1/storage/", f"Authorization: Bearer {key.text}"
    for address in allowed:
        assert curl("--interface", address, url, "-H", header).status == 200
    for address in elsewhere:
        # A wider scope would not help, so there is no challenge.
        answer = curl("--interface", address, url, "-H", header)
        told = latchgate.explain(refused(answer, 403, None))
        assert (told["reason"], told["client"]) == ("network_not_allowed", address)


def test_an_expired_key(gateway, latchgate):
    key = latchgate.key(expires_in="1s")
    expires_at = datetime.fromisoformat(key.told["expires_at"]).timestamp()
    accepted = 0.0
    while True:
        begun = time.time()
        answer = get(gateway, "/v1/storage/", bearer(key.text))
        if answer.status != 200:
            break
        accepted = begun
        time.sleep(0.01)
    assert 0 < accepted < expires_at <= time.time()
    assert latchgate.explain(refused(answer, 401, INVALID))["reason"] == "credential_expired"
    assert latchgate.call("GET", f"/manage/v1/keys/{key.id}")["state"] == "expired"


def test_a_revoked_key(gateway, latchgate):
    key = latchgate.key()
    assert get(gateway, "/v1/storage/", bearer(key.text)).status == 200
    receipt = latchgate.json("key", "revoke", key.id)
    assert receipt["id"] == key.id
    answer = get(gateway, "/v1/storage/", bearer(key.text))
    assert latchgate.explain(refused(answer, 401, INVALID))["reason"] == "credential_revoked"


def test_who_lacks_the_secret_learns_nothing_of_the_key(gateway, latchgate, wrong):
    unknown = "wayscloud_storage_abc123_XyZ789SecretKey"
    first, second = (get(gateway, "/v1/storage/b", bearer(key)) for key in (wrong, unknown))
    hidden = {"X-Latchgate-Decision", "Date"}
    assert [pair for pair in first.headers if pair[0] not in hidden] == [
        pair for pair in second.headers if pair[0] not in hidden
    ]
    assert first.body == second.body


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("PATCH", "/v1/storage/b/o", "DELETE, GET, HEAD, POST, PUT"),
        ("PROPFIND", "/v1/storage/b/", "DELETE, GET, HEAD, POST, PUT"),
        ("OPTIONS", "/v1/storage/b/", "DELETE, GET, HEAD, POST, PUT"),
        ("DELETE", "/v1/models", "GET"),
        ("HEAD", "/v1/models", "GET"),
        ("GET", "/v1/chat/completions", "POST"),
    ],
)
def test_a_method_that_is_not_taken(mirror, latchgate, keys, echo, method, target, allow):
    before = echo.count()
    answer = ask(mirror.address, method, target, [bearer(keys.both.text)])
    assert answer.status == 405
    assert answer.every("Allow") == [allow]
    assert answer.every("WWW-Authenticate") == []
    if method != "HEAD":
        assert answer.json() == {"error": "Method not allowed", "code": "METHOD_NOT_ALLOWED"}
    assert latchgate.explain(answer.one("X-Latchgate-Decision"))["reason"] == "method_not_allowed"
    assert echo.count() == before


@pytest.mark.parametrize(
    "target",
    [
        "/v1/", "/v1/nothing", "/v1/storage-admin/x", "/v1/storagex", "/v1/model", "/v1/models/x",
        "/v1/chat", "/v1/chat/completions/x", "/v1/STORAGE/x", "/V1/storage/x",
    ],
)  # fmt: skip
def test_a_path_that_no_area_covers(mirror, keys, echo, target):
    before = echo.count()
    answer = get(mirror, target, bearer(keys.both.text))
    assert answer.status == 404
    if target.startswith("/v1"):
        refused(answer, 404, None, {"error": "Endpoint not found", "code": "NOT_FOUND"})
    else:
        assert answer.one("Content-Type") == "application/problem+json"
        assert answer.json()["code"] == "not_found"
    assert echo.count() == before


def test_a_path_of_no_provider_is_a_problem_document(gateway, latchgate):
    answer = get(gateway, "/other?x=1")
    assert answer.status == 404
    assert answer.every("Content-Type") == ["application/problem+json"]
    assert answer.json() == {
        "type": "urn:latchgate:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "Nothing is served at this path.",
        "code": "not_found",
    }
    told = latchgate.explain(answer.one("X-Latchgate-Decision"))
    assert (told["reason"], told["path"]) == ("no_area", "/other")


def test_a_refused_head_has_the_headers_and_no_body(gateway):
    with Wire(gateway.address) as wire:
        answer = wire.ask("HEAD", "/v1/storage/b/o")
        assert (answer.status, answer.one("WWW-Authenticate")) == (401, 'Bearer realm="WAYSCloud"')
        assert answer.one("Content-Length") == "59"
        assert wire.ask("GET", "/v1/storage/b/o").json() == UNAUTHORIZED  # nothing was left over


def test_a_refused_connection_lives_on(gateway, keys):
    with Wire(gateway.address) as wire:
        for key in (None, keys.storage.text, "x", keys.storage.text, keys.llm.text):
            headers = [bearer(key)] if key else []
            status = {None: 401, "x": 401, keys.llm.text: 403}.get(key, 200)
            assert wire.ask("GET", "/v1/storage/", headers).status == status


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "image/png"])
def test_a_refusal_is_json_whatever_is_accepted(gateway, accept):
    for target in ("/v1/storage/page.html", "/v1/storage/b.xml"):
        refused(get(gateway, target, ("Accept", accept)), 401, 'Bearer realm="WAYSCloud"')


@pytest.mark.parametrize(
    "header",
    [
        ("Range", "bytes=0-1"),
        ("If-None-Match", "*"),
        ("If-Match", '"x"'),
        ("If-Modified-Since", "Sat, 21 Nov 2037 19:30:01 GMT"),
        ("If-Unmodified-Since", "Sat, 21 Nov 2009 19:30:01 GMT"),
        ("Accept-Encoding", "gzip, br"),
    ],
)
def test_a_refusal_is_whole_whatever_the_conditions(gateway, header):
    refused(get(gateway, "/v1/storage/b/o", header), 401, 'Bearer realm="WAYSCloud"')


def openai_client(gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


@pytest.mark.parametrize(
    ("held", "kind", "status"),
    [(None, openai.AuthenticationError, 401), ("storage", openai.PermissionDeniedError, 403)],
)
def test_the_openai_client_raises_what_it_documents(gateway, latchgate, keys, held, kind, status):
    key = keys.storage.text if held else "sk-nothing"
    with openai_client(gateway, key) as ai:
        with pytest.raises(kind) as raised:
            ai.models.list()
        assert raised.value.response.json() == BODIES[status]
        decision = raised.value.response.headers["X-Latchgate-Decision"]
        assert latchgate.explain(decision)["change"]
        for stream in (False, True):
            with pytest.raises(kind):
                ai.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "hi"}], stream=stream
                )


def test_requests_reads_the_documents_values(gateway, keys):
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {keys.llm.text}"
        answer = session.get(f"{gateway.url}/v1/storage/")
    assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert answer.headers["Content-Type"] == "application/json"


def test_every_refusal_has_an_id_of_its_own(gateway):
    answers = [get(gateway, "/v1/storage/b") for _ in range(40)]
    found = [answer.one("X-Latchgate-Decision") for answer in answers]
    assert len(set(found)) == len(found)
    assert all(len(one) == 20 for one in found)


def test_any_worker_explains_any_refusal(gateway, latchgate):
    decisions = [get(gateway, "/v1/storage/b").one("X-Latchgate-Decision") for _ in range(12)]
    for decision, _ in itertools.product(decisions, range(2)):
        assert latchgate.call("GET", f"/manage/v1/decisions/{decision}")["id"] == decision


def test_explain_in_words(gateway, latchgate, keys):
    decision = get(gateway, "/v1/models", bearer(keys.storage.text)).one("X-Latchgate-Decision")
    said = latchgate.run("explain", "--id", decision).stdout
    assert "refused (403 INSUFFICIENT_PERMISSIONS)" in said
    assert "Make a key for the service llm." in said
    asked = latchgate.run(
        "explain", "GET", f"{gateway.url}/v1/models", "-H", "@-", "--client", "127.0.0.1",
        stdin=f"Authorization: Bearer {keys.llm.text}\n",
    ).stdout  # fmt: skip
    assert "allowed" in asked
    assert keys.llm.secret not in asked


def test_what_nobody_refused_can_not_be_explained(latchgate):
    failed = latchgate.run("explain", "--id", "0" * 20, status=1)
    assert "no refusal" in failed.stderr
