"""WAYSCloud's own SDK and its command line `cloud`, with storage behind nginx on a file server."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from tests.clients.installed import Done, client, python, run

pytestmark = [pytest.mark.e2e, pytest.mark.enable_socket]

ACROSS = ["storage:read", "storage:write", "storage:delete", "llm:models"]


@pytest.fixture(scope="module")
def pat(wayscloud) -> str:
    """A key across services, as `cloud login` wants it."""
    key = wayscloud.latchgate.key("pat", scopes=ACROSS)
    assert key.text.startswith("wayscloud_pat_")
    return str(key.text)


def environment(wayscloud, token: str | None = None) -> dict[str, str]:
    told = {"WAYSCLOUD_API_URL": wayscloud.url, "COLUMNS": "200", "NO_COLOR": "1"}
    return told if token is None else told | {"WAYSCLOUD_TOKEN": token}


def cloud(
    wayscloud, *words: str, home: Path, token: str | None = None, status: int | None = 0
) -> Done:
    """Run the provider's command line; without a token it has what it logged in with."""
    env = environment(wayscloud, token)
    return run(client("cloud"), *words, home=home, env=env, status=status)


@pytest.mark.parametrize("sort", ["storage", "pat"])
def test_the_sdk_makes_lists_shows_and_deletes_buckets(wayscloud, storage_key, pat, tmp_path, sort):
    token = pat if sort == "pat" else storage_key.text
    name = f"by-the-sdk-{sort}"
    told = python(
        "wayscloud_storage", name, home=tmp_path, env=environment(wayscloud, token)
    ).json()
    assert told == {
        "made": name,
        "tier": "archive",
        "listed": True,
        "tiers": ["standard", "archive"],
        "twice": f"HTTP 409: there is a bucket {name}",
        "deleted": {"status": "ok"},
        "gone": f"HTTP 404: there is no bucket {name}",
    }
    assert not wayscloud.bucket(name).exists()


def test_the_sdk_raises_the_documented_refusals(wayscloud, storage_key, llm_key, tmp_path):
    storage, llm, revoked = storage_key.text, llm_key.text, wayscloud.key("storage")
    wayscloud.latchgate.revoke(revoked)
    failed = ["AuthenticationError", 401, "HTTP 401: Invalid or expired API key"]
    why = "HTTP 403: API key does not have permission for this service"
    asked = {
        f"{storage},": None,
        f",{storage}": None,
        f"{revoked.text},": failed,
        ",": failed,
        f"{llm},": ["AuthenticationError", 403, why],
        # Both at once: the rights of two keys of one owner together, and both must stand.
        f"{llm},{storage}": None,
        f"{storage},{llm}": None,
        f"{revoked.text},{storage}": failed,
        f"{storage},{revoked.text}": failed,
    }
    env = environment(wayscloud)
    told = python("wayscloud_refused", *asked, home=tmp_path, env=env).json()
    assert dict(zip(asked, told, strict=True)) == asked


def test_the_command_line_logs_in_and_tells_who_one_is(wayscloud, pat, tmp_path):
    said = cloud(wayscloud, "login", "--token", pat, home=tmp_path).stdout
    assert "Logged in as:" in said
    kept = tmp_path / ".wayscloud" / "credentials"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text(encoding="utf-8"))["token"] == pat
    account = wayscloud.latchgate.call("GET", "/manage/v1/account")
    told = cloud(wayscloud, "--json", "whoami", home=tmp_path).json()
    assert told["customer_id"] == account["tenant_id"]
    assert told["name"] == account["user"]["name"]
    assert {"email", "customer_type"} <= told.keys()
    cloud(wayscloud, "logout", home=tmp_path)
    cloud(wayscloud, "whoami", home=tmp_path, status=2)


def test_the_command_line_refuses_to_log_in_with_what_is_no_token(wayscloud, storage_key, tmp_path):
    said = cloud(wayscloud, "login", "--token", storage_key.text, home=tmp_path, status=2).stderr
    assert "Invalid token format" in said
    nobody = "wayscloud_pat_" + "0" * 10 + "_" + "a" * 56
    said = cloud(wayscloud, "login", "--token", nobody, home=tmp_path, status=2).stderr
    assert "Token is invalid or expired" in said
    assert not (tmp_path / ".wayscloud").exists()


def test_any_key_may_ask_the_command_line_who_it_acts_for(wayscloud, storage_key, tmp_path):
    told = cloud(wayscloud, "--json", "whoami", home=tmp_path, token=storage_key.text).json()
    assert told["customer_id"].startswith("t-")


def test_the_command_line_manages_buckets_on_a_real_file_server(wayscloud, pat, tmp_path):
    create = ("storage", "buckets-create", "by-hand")
    made = cloud(wayscloud, *create, home=tmp_path, token=pat).stdout
    assert "Bucket by-hand created." in made
    folder = wayscloud.bucket("by-hand")
    (folder / "note.txt").write_text("twelve bytes", encoding="utf-8")
    listed = cloud(wayscloud, "--json", "storage", "buckets", home=tmp_path, token=pat).json()
    (one,) = [bucket for bucket in listed if bucket["bucket_name"] == "by-hand"]
    assert (one["total_objects"], one["total_storage_gb"]) == (1, 1.2e-08)
    asked = ("storage", "buckets-delete", "by-hand", "--confirm")
    assert "deleted" in cloud(wayscloud, *asked, home=tmp_path, token=pat).stdout
    assert not folder.exists()
    said = cloud(wayscloud, *asked, home=tmp_path, token=pat, status=1).stderr
    assert "HTTP 404" in said


def test_the_command_line_shows_what_a_key_may_not(wayscloud, llm_key, tmp_path):
    reader = wayscloud.latchgate.key("pat", scopes=["storage:read"]).text
    for token, words in (
        (llm_key.text, ("storage", "buckets")),
        (reader, ("storage", "buckets-create", "never")),
    ):
        said = cloud(wayscloud, *words, home=tmp_path, token=token, status=2).stderr
        assert "HTTP 403: API key does not have permission for this service" in said
    assert not wayscloud.bucket("never").exists()
