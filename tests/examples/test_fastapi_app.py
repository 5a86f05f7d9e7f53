"""examples/fastapi_app under uvicorn, beside a server that makes and revokes its keys."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.docs.transcript import (
    API,
    APP,
    CONSOLE,
    ROOT,
    VERIFY,
    environment,
    free_ports,
    init,
    terminal,
)

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]
PATH = "/v1/storage/photos/cat.txt"
AUTH_FAILED = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}
FORBIDDEN = {
    "error": "API key does not have permission for this service",
    "code": "INSUFFICIENT_PERMISSIONS",
}


class World:
    """A server, the application, and what a test does with them."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port

    def latchgate(self, *arguments: str) -> dict[str, object]:
        made = subprocess.run(
            ["latchgate", *arguments, "--json"],
            cwd=self.folder,
            env=environment(self.folder),
            check=True,
            capture_output=True,
        )
        told: dict[str, object] = json.loads(made.stdout)
        return told

    def key(self, *options: str) -> str:
        return str(self.latchgate("key", "create", "--name", "a test's", *options)["key"])

    def ask(
        self,
        method: str,
        path: str,
        key: str | None = None,
        *,
        more: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path)
        headers = [] if key is None else [("Authorization", f"Bearer {key}")]
        for name, value in (*headers, *more, ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        told = answer.read()
        connection.close()
        return answer, told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("fastapi")
    ports = free_ports(API, CONSOLE, VERIFY, APP)
    init(folder, ports)
    command = [
        *(sys.executable, "-m", "uvicorn", "--no-proxy-headers", "--log-level", "warning"),
        *("--app-dir", str(ROOT / "examples/fastapi_app"), "app:app"),
        *("--host", "127.0.0.1", "--port", str(ports[APP])),
    ]
    with terminal("latchgate serve", "…", folder):
        application = subprocess.Popen(command, cwd=folder, env=environment(folder))
        try:
            made = World(folder, ports[APP])
            deadline = time.monotonic() + 30
            while application.poll() is None and time.monotonic() < deadline:
                with suppress(OSError):
                    made.ask("GET", "/")
                    break
                time.sleep(0.05)
            yield made
        finally:
            application.terminate()
            assert application.wait(20) in {0, -15}


def test_an_allowed_request_is_served_and_told_for_whom(world):
    key = world.key("--service", "storage")
    stored, _ = world.ask("PUT", PATH, key, body=b"A cat.")
    answer, body = world.ask("GET", PATH, key)
    assert (stored.status, answer.status, body) == (201, 200, b"A cat.")
    assert answer.headers["X-Asked-With"] == key.split("_")[2]
    assert world.ask("HEAD", PATH, key)[0].status == 200


def test_a_refusal_is_the_whole_answer_of_the_verdict(world):
    answer, body = world.ask("GET", PATH)
    assert (answer.status, json.loads(body)) == (401, AUTH_FAILED)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="WAYSCloud"'
    explained = world.latchgate("explain", "--id", answer.headers["X-Latchgate-Decision"])
    assert explained["reason"] == "credential_missing"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("DELETE", PATH, 403, "INSUFFICIENT_PERMISSIONS"),  # another scope
        ("GET", "/v1/dns/zones", 403, "INSUFFICIENT_PERMISSIONS"),  # another service
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),  # no area, and no route of the application
        ("PATCH", PATH, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/storage/../dns", 400, "INVALID_PARAMETER"),
        ("GET", "/v1/storage/a%2e%2e/%2e%2e/b", 400, "INVALID_PARAMETER"),
        ("GET", "/v1/storage//a", 400, "INVALID_PARAMETER"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/openapi.json", 404, "not_found"),
    ],
)
def test_what_the_key_does_not_open_is_refused(world, method, path, status, code):
    key = world.key("--service", "storage", "--scope", "storage:read")
    answer, body = world.ask(method, path, key)
    assert (answer.status, json.loads(body)["code"]) == (status, code)
    assert answer.headers["X-Latchgate-Decision"]


def test_the_raw_path_is_decided_not_the_decoded_one(world):
    key = world.key("--service", "storage")
    answer, body = world.ask("GET", "/v1/storage/a%252fb", key)
    assert (answer.status, json.loads(body)["error"]) == (400, "Request path is ambiguous")
    assert world.ask("PUT", "/v1/storage/a%2Fb?x=%2e%2e", key, body=b"1")[0].status == 201


def test_a_header_that_came_twice_is_seen_twice(world):
    key = world.key("--service", "storage")
    answer, _ = world.ask("GET", PATH, key, more=(("Authorization", f"Bearer {key}"),))
    explained = world.latchgate("explain", "--id", answer.headers["X-Latchgate-Decision"])
    assert (answer.status, explained["reason"]) == (401, "credential_repeated")


def test_the_clients_address_is_the_peers_whatever_it_claims(world):
    bound = world.key("--service", "storage", "--allow-ip-range", "192.0.2.1")
    answer, body = world.ask("GET", PATH, bound, more=(("X-Forwarded-For", "192.0.2.1"),))
    assert (answer.status, json.loads(body)) == (403, FORBIDDEN)
    local = world.key("--service", "storage", "--allow-ip-range", "127.0.0.1")
    assert world.ask("PUT", PATH, local, body=b"1")[0].status == 201


def test_a_revoked_key_is_refused_at_the_very_next_request(world):
    for _ in range(5):
        key = world.key("--service", "storage")
        assert world.ask("PUT", PATH, key, body=b"1")[0].status == 201
        revoked = world.latchgate("key", "revoke", key.split("_")[2])
        answer, body = world.ask("GET", PATH, key)
        assert (answer.status, json.loads(body)) == (401, AUTH_FAILED)
        receipt = revoked["receipt"]
        assert isinstance(receipt, dict)
        states = [one["state"] for one in receipt["verifiers"]]
        assert states == ["acknowledged", "acknowledged"]  # the server's and the application's
