"""The WAYSCloud document's own samples, run as they stand: curl, Python, Node, PHP and Go."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.clients import samples
from tests.clients.installed import NODE_MODULES, Done, client, go_build, run

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

# providers/wayscloud, "Authentication Errors"
AUTH_FAILED = {"error": "Invalid or expired API key", "code": "AUTH_FAILED"}
INSUFFICIENT_PERMISSIONS = {
    "error": "API key does not have permission for this service",
    "code": "INSUFFICIENT_PERMISSIONS",
}
LANGUAGES = ("python", "javascript", "php", "go")


@pytest.fixture(scope="session")
def go_sample(wayscloud, tmp_path_factory):
    """The document's Go program, compiled once."""
    body, brace, _ = samples.GO.replace(samples.HOST, wayscloud.url).rpartition("}\n")
    assert brace
    return go_build(body + samples.GO_SHOWS, tmp_path_factory.mktemp("go"))


@pytest.fixture
def sample(request, wayscloud, tmp_path):
    """Run the document's program of a language with WAYSCLOUD_API_KEY in its environment."""

    def text(sample: str, name: str) -> str:
        (tmp_path / name).write_text(sample.replace(samples.HOST, wayscloud.url), "utf-8")
        return str(tmp_path / name)

    def ask(language: str, key: str) -> Done:
        env = {"WAYSCLOUD_API_KEY": key} if key else {}
        if language == "python":
            shown = samples.PYTHON + samples.PYTHON_SHOWS
            command = [str(client("python")), text(shown, "sample.py")]
        elif language == "javascript":
            env["NODE_PATH"] = str(NODE_MODULES)
            command = ["node", text(samples.JAVASCRIPT_SHOWS % samples.JAVASCRIPT, "sample.js")]
        elif language == "php":
            command = ["php", text(samples.PHP + samples.PHP_SHOWS, "sample.php")]
        else:
            command = [str(request.getfixturevalue("go_sample"))]
        return run(*command, home=tmp_path, env=env, status=None)

    return ask


def answered(done: Done) -> tuple[int, str]:
    """Return the status and the body that a sample printed."""
    status, _, body = done.stdout.partition("\n")
    assert status.isdecimal(), done
    return int(status), body.strip()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sample_of_a_language_lists_storage(sample, wayscloud, storage_key, language):
    wayscloud.bucket("from-the-samples").mkdir(exist_ok=True)
    status, body = answered(sample(language, storage_key.text))
    assert status == 200
    assert "<Bucket><Name>from-the-samples</Name></Bucket>" in body


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sample_of_a_language_shows_the_documented_refusals(
    sample, storage_key, llm_key, language
):
    altered = storage_key.text[:-40] + "A" * 40
    status, body = answered(sample(language, altered))
    assert (status, json.loads(body)) == (401, AUTH_FAILED)
    done = sample(language, llm_key.text)
    status, body = answered(done)
    assert (status, json.loads(body)) == (403, INSUFFICIENT_PERMISSIONS)
    if language == "javascript":
        assert done.stderr.strip() == "Request failed with status code 403"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sample_of_a_language_asks_nothing_without_a_key(sample, language):
    done = sample(language, "")
    assert done.status != 0
    assert "WAYSCLOUD_API_KEY not set" in done.stderr + done.stdout


def curl(wayscloud, name: str, key: str, home: Path) -> tuple[int, str]:
    """Run a command line of the document with a key in the place of its own."""
    line = samples.CURL[name].replace(samples.HOST, wayscloud.url).strip()
    line = re.sub(r"Bearer wayscloud_\w+", f"Bearer {key}", line)
    done = run("bash", "-c", f"{line} --silent --write-out '\\n%{{http_code}}'", home=home)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


@pytest.mark.parametrize("name", samples.CURL)
def test_the_command_line_of_a_service_is_allowed_with_its_key_alone(wayscloud, tmp_path, name):
    service = name.partition(",")[0]
    (tmp_path / "file.txt").write_text("what was sent", encoding="utf-8")
    bucket = wayscloud.bucket("my-bucket")
    bucket.mkdir(exist_ok=True)
    status, body = curl(wayscloud, name, wayscloud.key(service).text, tmp_path)
    assert status == 200
    if name == "storage, an upload":
        assert (bucket / "file.txt").read_text(encoding="utf-8") == "what was sent"
    elif service == "llm":
        assert json.loads(body)["choices"][0]["message"]["content"] == "Hello"
    elif service != "storage":
        seen = {line[0].lower(): line[1] for line in json.loads(body)["headers"]}
        assert seen["x-latchgate-service"] == service
        assert "authorization" not in seen

    other = wayscloud.key("dns" if service == "storage" else "storage").text
    status, body = curl(wayscloud, name, other, tmp_path)
    assert (status, json.loads(body)) == (403, INSUFFICIENT_PERMISSIONS)
    status, body = curl(wayscloud, name, f"wayscloud_{service}_abc123_YourSecretKey", tmp_path)
    assert (status, json.loads(body)) == (401, AUTH_FAILED)
