"""Samples: each is read by the language that it is written in, whatever stands in it."""

from __future__ import annotations

import base64
import shlex
import subprocess

import pytest
import yaml
from tests.world import FILES, compiled

from latchgate.core.kinds.api_token import ApiToken
from latchgate.core.secret import Secret
from latchgate.doors.console import ready

POLICY = compiled(FILES, 1)
KIND = next(kind for kind in POLICY.kinds.values() if isinstance(kind, ApiToken))
URL = "https://api.example.com"
# Worse than any kind makes: what quotes wrongly shows here.
AWKWARD = "s3cr'et\"$(id)`id`\\n: #x"


def shell(sample):
    """Let a shell read variables, and print what it read, NUL after each."""
    names = [line.split("=")[0].split()[-1] for line in sample.text.splitlines() if "=" in line]
    printed = "".join(f'printf "%s\\0" "${name}"\n' for name in names)
    text = f"{sample.text.partition('upctl ')[0]}{printed}"
    done = subprocess.run(["bash", "-c", text], capture_output=True, check=True, timeout=30)
    return dict(zip(names, done.stdout.decode().split("\0"), strict=False))


def words_of(sample):
    """Split a command as a shell does; Python's own splitting knows no continued lines."""
    return shlex.split(sample.text.replace("\\\n", ""))


def test_a_download_is_the_sample_and_its_name_tells_no_secret():
    for one in ready.of_access_key("k-1", Secret(AWKWARD), URL):
        kind, _, packed = one.address.partition(",")
        assert kind == "data:text/plain;base64"
        assert base64.b64decode(packed).decode() == one.text
        assert AWKWARD not in f"{one!r}{one.file}{one.title}"


def test_openstacks_clients_read_file_and_variables():
    clouds, openrc, curl = ready.of_access_key("k-1", Secret(AWKWARD), f"{URL}/identity/v3")
    assert yaml.safe_load(clouds.text)["clouds"]["latchgate"] == {
        "auth_type": "v3applicationcredential",
        "identity_api_version": 3,
        "auth": {
            "auth_url": f"{URL}/identity/v3",
            "application_credential_id": "k-1",
            "application_credential_secret": AWKWARD,
        },
    }
    told = shell(openrc)
    assert told["OS_APPLICATION_CREDENTIAL_SECRET"] == AWKWARD
    assert told["OS_AUTH_URL"] == f"{URL}/identity/v3"
    words = words_of(curl)
    assert words[-1] == f"{URL}/identity/v3/auth/tokens"
    assert yaml.safe_load(words[words.index("-d") + 1])["auth"]["identity"][
        "application_credential"
    ] == {"id": "k-1", "secret": AWKWARD}


def test_a_token_is_sent_as_bearer_and_read_by_upctl():
    curl, upctl, _ = ready.of_token(POLICY, KIND, Secret(AWKWARD), URL)
    words = words_of(curl)
    assert words == ["curl", "-H", f"Authorization: Bearer {AWKWARD}", f"{URL}/1.3/account"]
    assert shell(upctl) == {"UPCLOUD_TOKEN": AWKWARD, "UPCLOUD_DEBUG_API_BASE_URL": URL}


@pytest.mark.parametrize("webdav", [True, False])
def test_an_app_password_is_sent_with_its_name(webdav):
    samples = ready.of_app_password("ada", Secret(AWKWARD), f"{URL}/dav/", webdav=webdav)
    words = words_of(samples[0])
    assert words[:3] == ["curl", "-u", f"ada:{AWKWARD}"]
    assert words[-1] == f"{URL}/dav/"
    assert [one.title for one in samples[1:]] == (["rclone"] if webdav else [])
