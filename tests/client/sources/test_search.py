"""The documented order, what was tried, and one source alone."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from tests.client.sources.written import write

from latchgate.client import (
    AddressUnused,
    CredentialMissing,
    KakaoCloud,
    SourceUnreadable,
    UpCloud,
    WaysCloud,
)
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.sources import DotEnv, Environment, Inline, search
from latchgate.client.sources.source import Found, Lacking, Wanted


def test_sources_are_looked_at_in_the_documented_order(folder, home, monkeypatch):
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("LATCHGATE_CREDENTIAL_COMMAND", "echo ucat_{cloud}")
    seen = [UpCloud().source]
    write(home / ".config" / "upctl.yaml", "token: ucat_file\n")
    seen.append(UpCloud().source)
    write(folder / ".env", "UPCLOUD_TOKEN=ucat_dotenv\n")
    seen.append(UpCloud().source)
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_environment")
    seen.append(UpCloud().source)
    seen.append(UpCloud("ucat_argument").source)
    assert seen == [
        "command echo",
        f"{home}/.config/upctl.yaml",
        f"{folder}/.env UPCLOUD_TOKEN",
        "environment UPCLOUD_TOKEN",
        "argument",
    ]


def test_a_missing_credential_says_all_that_was_tried(folder, home, monkeypatch):
    write(folder / ".env", "OS_APPLICATION_CREDENTIAL_SECRET=5ecret\n")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", "kid")
    with pytest.raises(CredentialMissing) as told:
        KakaoCloud()
    assert told.value.tried == (
        "argument: none given",
        "environment: OS_APPLICATION_CREDENTIAL_ID without OS_APPLICATION_CREDENTIAL_SECRET",
        f"{folder}/.env: OS_APPLICATION_CREDENTIAL_SECRET without OS_APPLICATION_CREDENTIAL_ID",
        "clouds.yaml: none in ., ~/.config/openstack, /etc/openstack",
        "keyring latchgate/kakaocloud: no such entry",
        "command: LATCHGATE_CREDENTIAL_COMMAND not set",
    )
    assert "5ecret" not in str(told.value)


def test_halves_from_two_sources_are_never_put_together(folder, home, monkeypatch):
    monkeypatch.setenv("UPCLOUD_USERNAME", "alice")
    write(folder / ".env", "UPCLOUD_PASSWORD=5ecret\n")
    with pytest.raises(CredentialMissing):
        UpCloud()


def test_an_address_in_some_folder_gets_no_key_from_elsewhere_and_says_so(
    folder, home, monkeypatch
):
    write(folder / ".env", "WAYSCLOUD_API_URL=https://evil.example\n")
    write(home / ".wayscloud" / "credentials", '{"token": "wayscloud_pat_x"}')
    with pytest.warns(AddressUnused, match=r"WAYSCLOUD_API_URL \(.*/\.env\) is not used") as told:
        assert WaysCloud().url == "https://api.wayscloud.services"
    assert "evil" not in str(told[0].message)


def test_a_source_alone_is_looked_at_alone(monkeypatch):
    monkeypatch.setenv("UPCLOUD_TOKEN", "ucat_x")
    with pytest.raises(CredentialMissing, match="no credential for UpCloud") as told:
        UpCloud(sources=(Inline({"username": "alice"}, where="profile a"),))
    assert told.value.tried == ("argument: none given", "profile a: username without password")
    assert UpCloud(sources=(Environment(),)).source == "environment UPCLOUD_TOKEN"


def test_a_source_that_was_asked_for_and_can_not_be_read_is_an_error_and_no_next_one_is_asked():
    class Never:
        def look(self, wanted: Wanted) -> Found | Lacking:
            raise AssertionError

    with pytest.raises(SourceUnreadable, match=r"^UpCloud: /no/such: no such file$"):
        search.search(UPCLOUD, (DotEnv("/no/such"), Never()))


def test_one_that_can_not_be_read_is_passed_over_where_nobody_asked_for_it(folder, home):
    (folder / ".env").mkdir()
    write(home / ".config" / "upctl.yaml", "token: ucat_file\n")
    assert UpCloud().source.endswith("upctl.yaml")


def test_the_documentation_has_every_usual_source_in_order():
    told = re.findall(r"^\d\. the (\S+)|^\d\. (the same)", search.__doc__ or "", re.MULTILINE)
    assert len(told) == len(search.USUAL) == 5


def test_a_key_in_the_environment_loads_no_other_source():
    program = """
import sys
from latchgate.client import UpCloud
UpCloud()
print([n for n in sys.modules if n.startswith("latchgate.client.sources.")])
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={"UPCLOUD_TOKEN": "ucat_x"},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = ("search", "source", "environment")
    assert sorted(eval(told.stdout)) == sorted(f"latchgate.client.sources.{n}" for n in loaded)  # noqa: S307
