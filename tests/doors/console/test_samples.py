"""Samples are run by what reads them, against a server that tells which secret it was sent."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.world import FILES, compiled

from latchgate.doors.console.samples import Call, call_of, header_of, samples

POLICY = compiled(FILES, 1)
KEY = POLICY.issued("wayscloud.service_key")
SECRET = "wayscloud_storage_0b3kq2m7x1vb_abcXYZ"
AWKWARD = """it's "$HOME" `id` $(id) %s \\ {{x}} #'"""
PROGRAMS = {
    "curl": ["bash"],
    "Python": ["python3"],
    "JavaScript": ["node"],
    "PHP": ["php"],
    "Go": ["go", "run"],
}
API = "https://api.example"
QUOTES = "'\u2018\u2019\u201a\u201b"  # that PowerShell takes for one another


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def _answer(self) -> None:
        held = self.rfile.read(int(self.headers.get("content-length", 0)))
        told = {
            "method": self.command,
            "path": unquote(self.path),
            "header": self.headers.get("authorization") or self.headers.get("x-api-key"),
            "body": held.decode(),
        }
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815 - as the library calls them

    def log_message(self, *_told: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def echo():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def by_title(secret, call):
    return {one.title: one for one in samples(secret, call)}


def run(command, *arguments, **how):
    done = subprocess.run(
        [*command, *arguments], capture_output=True, timeout=300, check=False, text=True, **how
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.e2e
@pytest.mark.enable_socket
@pytest.mark.parametrize("title", PROGRAMS)
@pytest.mark.parametrize(
    ("method", "header", "prefix", "secret"),
    [("GET", "Authorization", "Bearer ", SECRET), ("POST", "X-Api-Key", "", AWKWARD)],
)
def test_a_program_sends_the_secret_as_its_kind_is_sent(
    echo, tmp_path, title, method, header, prefix, secret
):
    call = Call(method, f"{echo}/v1/storage?a='b'&c=$d", header, prefix)
    sample = by_title(secret, call)[title]
    file = tmp_path / sample.file
    file.write_text(sample.text)
    # Plain Go, from what its standard library was compiled to before.
    go = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    env = {**os.environ, **(go if title == "Go" else {})}
    told = run(PROGRAMS[title], str(file), env=env, cwd=tmp_path)
    found = json.loads(told[told.index("{") :])
    assert found == {
        "method": method,
        "path": "/v1/storage?a='b'&c=$d",
        "header": prefix + secret,
        "body": "{}" if method == "POST" else "",
    }


@pytest.mark.parametrize("secret", [SECRET, AWKWARD])
def test_settings_are_read_back_as_they_are(tmp_path, secret):
    found = by_title(secret, Call("GET", "https://api.example/v1", "Authorization", "Bearer "))
    file = tmp_path / ".env"
    file.write_text(found[".env"].text)
    script = 'set -eu; . "$1"; printf "%s\\n" "$API_KEY" "$API_URL"'
    told = run(["bash", "-c", script, "bash", str(file)])
    assert told.splitlines() == [secret, "https://api.example/v1"]
    # Compose turns each $$ back into one $.
    app = yaml.safe_load(found["Docker Compose"].text)["services"]["app"]
    assert app["environment"]["API_KEY"].replace("$$", "$") == secret
    assert re.search(r"(?<!\$)\$(?!\$)", app["environment"]["API_KEY"].replace("$$", "")) is None
    # Docker's own files are lines of NAME=TEXT, without quotes.
    lines = [one for one in found["Docker"].text.splitlines() if not one.startswith("#")]
    assert dict(one.split("=", 1) for one in lines)["API_KEY"] == secret


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1))
@settings(max_examples=50)
def test_no_text_ends_a_string_of_powershell(text):
    """There is no PowerShell here; its rule is that each of these quotes is written twice."""
    sample = by_title(text, None)["PowerShell"].text
    written = re.fullmatch(r"\$env:API_KEY = '(.*)'\n", sample)
    assert written is not None
    left = written[1]
    for quote in QUOTES:
        assert left.count(quote) % 2 == 0
        assert re.search(f"(?<!{quote})(?:{quote}{quote})*{quote}(?!{quote})", left) is None
    assert re.sub(rf"([{QUOTES}])\1", r"\1", left) == text


@pytest.mark.parametrize(
    ("services", "scopes", "method", "url"),
    [
        (["storage"], ["storage:read", "storage:delete"], "GET", f"{API}/v1/storage"),
        (["storage"], ["storage:write"], "POST", f"{API}/v1/storage"),
        (["llm"], ["llm:inference"], "POST", f"{API}/v1/chat/completions"),
        (["llm", "dns"], ["llm:inference", "dns:manage"], "GET", f"{API}/v1/dns"),
        (["gpu"], ["*"], "GET", f"{API}/v1/gpu"),
    ],
)
def test_the_request_is_one_that_the_key_opens(services, scopes, method, url):
    call = call_of(POLICY, KEY, services, scopes, f"{API}/")
    assert call == Call(method, url, "Authorization", "Bearer ")


@pytest.mark.parametrize(
    ("services", "scopes"), [(["storage"], []), (["storage"], ["storage:delete"]), ([], ["*"])]
)
def test_what_opens_nothing_to_try_has_settings_alone(services, scopes):
    call = call_of(POLICY, KEY, services, scopes, API)
    assert call is None
    assert list(by_title(SECRET, call)) == [".env", "PowerShell", "Docker", "Docker Compose"]


def test_an_area_of_a_host_is_asked_there():
    hosts = FILES["wayscloud.toml"].replace(
        'path = "/v1/gpu"', 'path = "/gpu"\nhosts = ["g.example"]'
    )
    policy = compiled({**FILES, "wayscloud.toml": hosts}, 1)
    call = call_of(policy, KEY, ["gpu"], ["gpu:use"], API)
    assert call is not None
    assert call.url == "https://g.example/gpu"


def test_a_kind_that_is_sent_in_a_header_of_its_own_is_shown_there():
    kind = '\n[kinds.imported_key]\npattern = "old_[0-9a-f]{40}"\nheaders = ["X-Old-Key"]\n'
    text = FILES["wayscloud.toml"].replace(
        "[services.storage]\n", f"{kind}\n[services.storage]\n", 1
    )
    policy = compiled({**FILES, "wayscloud.toml": text}, 1)
    assert header_of(policy.kinds["wayscloud.imported_key"]) == ("X-Old-Key", "")
    assert header_of(KEY) == ("Authorization", "Bearer ")


def test_a_download_holds_what_is_shown():
    for one in samples(SECRET, Call("GET", API, "Authorization", "Bearer ")):
        head, _, text = one.address.partition(",")
        assert head == "data:text/plain;base64"
        assert base64.b64decode(text).decode() == one.text
        assert SECRET in one.text
