"""latchgate.client finds what the clouds' own clients wrote, where those look for it."""

from __future__ import annotations

import json
import os

import pytest
from tests.client.sources.written import revealed, write
from tests.client.stage import Asked, Said, Stage
from tests.clients.installed import PROGRAMS, client, run

from latchgate.client import WaysCloud
from latchgate.client.clouds.kakaocloud import WANTED
from latchgate.client.sources import ClientFile

pytestmark = [pytest.mark.e2e]

_TOKEN = "wayscloud_pat_2xK9mPq7Ab_" + "s" * 56
_URL = "https://iam.kakaocloud.com/identity/v3"


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Give a home that is the working directory too, as the clients are run in it."""
    for name in [name for name in os.environ if name.startswith(("OS_", "XDG_", "WAYSCLOUD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.enable_socket
def test_what_wayscloud_cli_logged_in_with_is_found(home):
    def profile(asked: Asked) -> Said:
        assert asked.header("Authorization") == f"Bearer {_TOKEN}"
        return Said(body=json.dumps({"email": "a@example.com", "customer_id": "c1"}).encode())

    with Stage(profile) as stage:
        env = {"WAYSCLOUD_API_URL": stage.url, "NO_COLOR": "1"}
        run(client("cloud"), "login", "--token", _TOKEN, home=home, env=env)
        assert [one.path for one in stage.asked] == ["/api/v1/dashboard/account/profile"]
    cloud = WaysCloud(sources=(ClientFile(),))
    assert cloud.secrets[0].reveal() == _TOKEN
    assert cloud.source == f"{home}/.wayscloud/credentials"


def _cloud(key: str, secret: str | None = "5ecret") -> dict[str, object]:
    auth = {"auth-url": _URL, "application_credential_id": key}
    if secret is not None:
        auth["application-credential-secret"] = secret
    return {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "kr-central-2"}


def _clouds(**clouds: object) -> str:
    return json.dumps({"clouds": clouds})


_CASES = {
    # The working directory's goes before the user's, its only cloud needs no name.
    "working": (
        {
            "clouds.yaml": _clouds(one=_cloud("work")),
            ".config/openstack/clouds.yaml": _clouds(one=_cloud("user")),
        },
        {},
    ),
    # Secrets lie beside, OS_CLOUD names one of several, .yml is taken too.
    "beside": (
        {
            ".config/openstack/clouds.yml": _clouds(one=_cloud("1"), two=_cloud("2", None)),
            ".config/openstack/secure.yaml": _clouds(
                two={"auth": {"application_credential_secret": "other"}}
            ),
        },
        {"OS_CLOUD": "two"},
    ),
    # The environment names the files.
    "named": (
        {
            "clouds.yaml": _clouds(one=_cloud("work")),
            "mine.yaml": _clouds(one=_cloud("mine", None)),
            "mine-secure.yaml": _clouds(one=_cloud("mine", "named")),
        },
        {"OS_CLIENT_CONFIG_FILE": "mine.yaml", "OS_CLIENT_SECURE_FILE": "mine-secure.yaml"},
    ),
}


def test_openstacksdk_takes_the_same_from_the_same_files(home, monkeypatch):
    for case, (files, _) in _CASES.items():
        for name, text in files.items():
            write(home / case / name, text)
    told = [{"folder": str(home / case), "env": env} for case, (_, env) in _CASES.items()]
    script = PROGRAMS / "openstack_files.py"
    theirs = run(client("python"), script, home=home, stdin=json.dumps(told)).json()
    for (case, (_, env)), their in zip(_CASES.items(), theirs, strict=True):
        with monkeypatch.context() as set_there:
            set_there.chdir(home / case)
            for name, value in {"HOME": str(home / case), **env}.items():
                set_there.setenv(name, value)
            found = ClientFile().look(WANTED)
        assert their["type"] == "v3applicationcredential"
        assert revealed(found) == {
            "access_key_id": their["auth"]["application_credential_id"],
            "secret": their["auth"]["application_credential_secret"],
            "url": their["auth"]["auth_url"],
        }, case
        assert found.where.endswith(f"cloud {their['name']}")
