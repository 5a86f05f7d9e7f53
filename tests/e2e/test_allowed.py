"""What is allowed passes, as itself: each scope, with curl, requests, the openai client."""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import openai
import pytest
import requests
from tests.e2e.stack import curl
from tests.e2e.wire import Wire, ask, bearer, written

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

WORDS = "one two three four five six"


def session(key: str) -> requests.Session:
    """Return a session as the provider's document shows it, deaf to the environment."""
    made = requests.Session()
    made.trust_env = False
    made.headers["Authorization"] = f"Bearer {key}"
    return made


def client(gateway, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def test_the_objects_of_a_bucket_with_curl(gateway, files, keys):
    # providers/wayscloud, "Storage API Keys": the document's own command line
    content = secrets.token_bytes(4096)
    url, told = f"{gateway.url}/v1/storage/my-bucket/file.txt", f"Bearer {keys.storage.text}"
    put = curl(
        "-X", "PUT", url, "-H", f"Authorization: {told}", "--data-binary", "@-", stdin=content
    )
    assert put.status == 201
    assert files.object("my-bucket/file.txt").read_bytes() == content

    got = curl("-X", "GET", url, "-H", f"Authorization: {told}")
    assert (got.status, got.body) == (200, content)

    head = curl("-I", url, "-H", f"Authorization: {told}")
    assert (head.status, head.one("Content-Length"), head.body) == (200, "4096", b"")

    listed = curl(f"{gateway.url}/v1/storage/my-bucket/", "-H", f"Authorization: {told}")
    assert listed.status == 200
    assert b"file.txt" in listed.body

    deleted = curl("-X", "DELETE", url, "-H", f"Authorization: {told}")
    assert deleted.status == 204
    assert not files.object("my-bucket/file.txt").exists()
    assert curl(url, "-H", f"Authorization: {told}").status == 404  # the file server's own


def test_whose_secret_was_rotated_is_told_by_the_gateway(gateway, latchgate, files):
    # RFC 9745, RFC 8594: the upstream knows nothing of it, and the client hears it all the same.
    key = latchgate.key("storage")
    url, told = f"{gateway.url}/v1/storage/my-bucket/none.txt", f"Authorization: Bearer {key.text}"
    before = curl(url, "-H", told)
    assert (before.status, before.every("Deprecation"), before.every("Sunset")) == (404, [], [])
    rotated = latchgate.call("POST", f"/manage/v1/keys/{key.id}/rotation", {"grace": "2d"})
    after = curl(url, "-H", told)
    ends = datetime.fromisoformat(rotated["ends_at"]).replace(microsecond=0)
    began = int(datetime.fromisoformat(rotated["superseded_at"]).timestamp())
    assert after.status == 404  # the file server's own
    assert after.one("Deprecation") == f"@{began}"
    assert parsedate_to_datetime(after.one("Sunset")) == ends
    new = curl(url, "-H", f"Authorization: Bearer {rotated['secret']}")
    assert (new.status, new.every("Deprecation"), new.every("Sunset")) == (404, [], [])


def test_the_objects_of_a_bucket_with_requests(gateway, files, keys):
    url = f"{gateway.url}/v1/storage/r/a%20b/é.txt"
    with session(keys.storage.text) as client:
        assert client.put(url, data=b"hello").status_code == 201
        assert files.object("r/a b/é.txt").read_bytes() == b"hello"
        assert client.get(url).content == b"hello"
        assert client.head(url).headers["Content-Length"] == "5"
        assert client.delete(url).status_code == 204
        assert client.get(f"{gateway.url}/v1/storage/").status_code == 200


def test_the_key_in_the_providers_other_header(gateway, keys):
    url = f"{gateway.url}/v1/storage/"
    assert curl(url, "-H", f"X-API-Key: {keys.storage.text}").status == 200
    # Its own client sends both at once (WIRE §4.6).
    both = ("-H", f"X-API-Key: {keys.storage.text}", "-H", f"Authorization: Bearer {keys.llm.text}")
    assert curl(url, *both).status == 200


@pytest.mark.parametrize(
    ("scope", "method", "target"),
    [
        ("storage:read", "GET", "/v1/storage/b/o"),
        ("storage:read", "HEAD", "/v1/storage/b/o"),
        ("storage:write", "PUT", "/v1/storage/b/o"),
        ("storage:write", "POST", "/v1/storage/b/o"),
        ("storage:delete", "DELETE", "/v1/storage/b/o"),
        ("llm:inference", "POST", "/v1/chat/completions"),
        ("llm:models", "GET", "/v1/models"),
    ],
)
def test_one_scope_is_enough_for_its_methods(mirror, latchgate, scope, method, target):
    service = scope.partition(":")[0]
    key = latchgate.key(service, scopes=[scope], environment="staging", external_id="crm-17")
    answer = ask(mirror.address, method, target, [bearer(key.text)])
    assert answer.status == 200
    if method == "HEAD":
        return
    told = {name: value for name, value in answer.json()["headers"] if "Latchgate" in name}
    assert told.pop("X-Latchgate-Tenant").startswith("t-")
    assert told == {
        "X-Latchgate-Project": key.told["project_id"],
        "X-Latchgate-User": key.told["owner_id"],
        "X-Latchgate-Credential": key.id,
        "X-Latchgate-Kind": "wayscloud.service_key",
        "X-Latchgate-Service": service,
        "X-Latchgate-Scope": scope,
        "X-Latchgate-Environment": "staging",
        "X-Latchgate-External-Id": "crm-17",
    }


@pytest.mark.parametrize(
    "area", ["/v1/databases/d1/snapshots", "/v1/dns/zones/z", "/v1/gpu/jobs/1"]
)
def test_what_is_allowed_and_has_no_upstream_is_the_gateways_404(gateway, latchgate, area):
    service = {"databases": "database", "dns": "dns", "gpu": "gpu"}[area.split("/")[2]]
    answer = ask(gateway.address, "POST", area, [bearer(latchgate.key(service).text)])
    assert (answer.status, answer.json()) == (404, {"error": "Not found", "code": "NOT_FOUND"})


def test_models_and_a_completion_with_the_openai_client(gateway, keys):
    with client(gateway, keys.llm.text) as ai:
        assert "qwen3-80b-instruct" in [model.id for model in ai.models.list()]
        told = ai.chat.completions.create(
            model="qwen3-80b-instruct", messages=[{"role": "user", "content": WORDS}]
        )
        assert told.choices[0].message.content == WORDS


def test_a_streamed_completion_arrives_word_by_word(gateway, keys):
    with client(gateway, keys.llm.text) as ai:
        begun = time.monotonic()
        times, text = [], ""
        for chunk in ai.chat.completions.create(
            model="echo-1", messages=[{"role": "user", "content": WORDS}], stream=True
        ):
            times.append(time.monotonic() - begun)
            text += chunk.choices[0].delta.content or ""
    assert text == WORDS
    # The upstream pauses 0.15 s before each of the six words; held back, all would come at once.
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert sum(gap > 0.08 for gap in gaps) >= 5, gaps
    assert times[0] < times[-1] - 0.6


def test_an_event_stream_passes_chunk_by_chunk(gateway, keys):
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": WORDS}], "stream": True}
    ).encode()
    headers = [bearer(keys.llm.text), ("Content-Type", "application/json")]
    with Wire(gateway.address) as wire:
        wire.send(written("POST", "/v1/chat/completions", headers, body))
        head = wire._until(b"\r\n\r\n")
        assert b"text/event-stream" in head
        events, times = b"", []
        while b"[DONE]" not in events:
            events += wire.chunk()
            times.append(time.monotonic())
    assert sum(b - a > 0.08 for a, b in itertools.pairwise(times)) >= 5


def test_a_key_for_two_services_opens_both(gateway, keys):
    for target in ("/v1/storage/", "/v1/models"):
        assert ask(gateway.address, "GET", target, [bearer(keys.both.text)]).status == 200
    assert keys.both.text.startswith("wayscloud_storage_")


def test_the_storage_root_without_its_slash_is_asked_about_too(mirror, keys):
    assert ask(mirror.address, "GET", "/v1/storage").status == 401
    answer = ask(mirror.address, "GET", "/v1/storage?prefix=a", [bearer(keys.storage.text)])
    assert answer.json()["target"] == "/v1/storage?prefix=a"


def test_an_encoded_slash_in_an_object_reaches_storage_as_it_was_sent(mirror, keys):
    answer = ask(mirror.address, "GET", "/v1/storage/b/x%2Fy%2fz", [bearer(keys.storage.text)])
    assert answer.json()["target"] == "/v1/storage/b/x%2Fy%2fz"


def test_the_command_line_makes_what_the_gateway_takes(gateway, latchgate):
    made = latchgate.json(
        "key", "create", "--service", "storage", "--service", "llm", "--name", "Production",
        "--description", "both", "--environment", "production", "--expires-in", "1h30min",
        "--allow-ip-range", "127.0.0.0/8", "--scope", "storage:read", "--scope", "llm:models",
    )  # fmt: skip
    assert {"id", "key", "services", "scopes", "created_at", "expires_at"} <= made.keys()
    assert made["services"] == ["storage", "llm"]
    assert made["scopes"] == ["llm:models", "storage:read"]
    for target in ("/v1/storage/", "/v1/models"):
        assert ask(gateway.address, "GET", target, [bearer(made["key"])]).status == 200
    shown = latchgate.json("key", "show", made["id"])
    assert "key" not in shown
    assert made["id"] in [
        key["id"] for key in latchgate.json("key", "list", "--limit", "1000")["keys"]
    ]


def test_the_last_use_is_told_within_a_second(gateway, latchgate):
    key = latchgate.key()
    assert (
        ask(gateway.address, "GET", "/v1/storage/", [bearer(key.text)], source="127.0.0.9").status
        == 200
    )
    give_up = time.monotonic() + 3
    while (shown := latchgate.call("GET", f"/manage/v1/keys/{key.id}"))["last_used_at"] is None:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    assert shown["last_used_from"] == "127.0.0.9"


def test_what_was_sent_is_what_arrives(mirror, keys):
    content = secrets.token_bytes(100_000)
    told = ask(
        mirror.address, "PUT", "/v1/storage/b/o?partNumber=1", [bearer(keys.storage.text)], content
    )
    seen = told.json()
    assert seen["request"] == "PUT /v1/storage/b/o?partNumber=1 HTTP/1.1"
    assert seen["body"]["sha256"] == hashlib.sha256(content).hexdigest()
