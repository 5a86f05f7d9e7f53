"""`latchgate env`: the variables of a cloud's own tools, as each reader takes them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from dotenv import dotenv_values
from tests.cli.callers import KEY
from tests.cli.test_profile import ADD, HERE, TOKEN

from latchgate.cli.variables import clashing, variables
from latchgate.client.profile_kinds import CLOUDS
from latchgate.client.profiles import find

pytestmark = pytest.mark.enable_socket

ODD = 'it\'s $HOME `x` "y" #z é'
SHOWN = (
    'import os, json; print(json.dumps({n: v for n, v in os.environ.items() if n[:3] != "LC_"}))'
)


def upclouds(caller, password: str = ODD) -> None:
    caller(*ADD, "upcloud", "--username", "me", *HERE, stdin=password.encode())


@pytest.mark.parametrize(
    ("typed", "secret", "wanted"),
    [
        (("wayscloud",), KEY, {"WAYSCLOUD_API_KEY": KEY}),
        (
            ("wayscloud", "--url", "http://127.0.0.1:1"),
            KEY,
            {"WAYSCLOUD_API_KEY": KEY, "WAYSCLOUD_API_URL": "http://127.0.0.1:1"},
        ),
        (("upcloud",), TOKEN, {"UPCLOUD_TOKEN": TOKEN}),
        (
            ("upcloud", "--username", "me", "--url", "http://127.0.0.1:1"),
            "pw",
            {
                "UPCLOUD_USERNAME": "me",
                "UPCLOUD_PASSWORD": "pw",
                "UPCLOUD_DEBUG_API_BASE_URL": "http://127.0.0.1:1",
            },
        ),
        (
            ("teracloud", "--user", "me"),
            "pw",
            {"TERACLOUD_USER": "me", "TERACLOUD_PASSWORD": "pw"},
        ),
        (
            ("kakaocloud", "--access-key-id", "id", "--region", "kr-central-2"),
            "sec",
            {
                "OS_AUTH_TYPE": "v3applicationcredential",
                "OS_AUTH_URL": "https://iam.kakaocloud.com/identity/v3",
                "OS_IDENTITY_API_VERSION": "3",
                "OS_APPLICATION_CREDENTIAL_ID": "id",
                "OS_APPLICATION_CREDENTIAL_SECRET": "sec",
                "OS_REGION_NAME": "kr-central-2",
            },
        ),
        (
            (
                "kakaocloud",
                "--access-key-name",
                "n",
                "--user-id",
                "u",
                "--url",
                "http://127.0.0.1:1",
            ),
            "sec",
            {
                "OS_AUTH_TYPE": "v3applicationcredential",
                "OS_AUTH_URL": "http://127.0.0.1:1/v3",
                "OS_IDENTITY_API_VERSION": "3",
                "OS_APPLICATION_CREDENTIAL_NAME": "n",
                "OS_APPLICATION_CREDENTIAL_SECRET": "sec",
                "OS_USER_ID": "u",
            },
        ),
        (
            ("latchgate", "--url", "http://127.0.0.1:1"),
            "latchgate_manage_a_b",
            {"LATCHGATE_URL": "http://127.0.0.1:1", "LATCHGATE_TOKEN": "latchgate_manage_a_b"},
        ),
    ],
)
def test_the_variables_are_those_of_the_clouds_own_tools(caller, typed, secret, wanted):
    caller(*ADD, *typed, *HERE, stdin=secret.encode())
    assert caller("env", "p", "--json").json == wanted


def test_what_sh_evaluates_is_what_was_kept_and_nothing_old_is_left(caller):
    upclouds(caller)
    text = caller("env", "p").out
    done = subprocess.run(
        ["sh", "-c", f'{text}\n{sys.executable} -c "$SHOWN"'],
        env={"UPCLOUD_TOKEN": "old", "UPCLOUD_DEBUG_API_BASE_URL": "https://evil", "SHOWN": SHOWN},
        capture_output=True,
        check=True,
    )
    told = {name: value for name, value in json.loads(done.stdout).items() if "UPCLOUD" in name}
    assert told == {"UPCLOUD_USERNAME": "me", "UPCLOUD_PASSWORD": ODD}


def test_a_dotenv_is_read_by_the_clients_own_reader_as_well(caller):
    upclouds(caller, "it is # $HOME é")
    path = caller.home / "made.env"
    path.write_text(caller("env", "p", "--shell", "dotenv").out)
    path.chmod(0o600)
    assert dotenv_values(path)["UPCLOUD_PASSWORD"] == "it is # $HOME é"
    again = ("profile", "add", "q", "--cloud", "upcloud", "--from", "dotenv", "--file", str(path))
    caller(*again)
    assert caller("env", "q", "--json").json == caller("env", "p", "--json").json


def test_what_a_form_can_not_say_is_refused_by_the_variables_name(caller):
    upclouds(caller)
    done = caller("env", "p", "--shell", "dotenv", code=2)
    assert "UPCLOUD_PASSWORD" in done.err
    assert ODD not in done.err


def test_oauth2_has_no_tools_of_its_own(caller, stage):
    server = ("--token-url", f"{stage.url}/token", "--url", stage.url)
    caller(*ADD, "oauth2", "--client-id", "me", *server, *HERE, stdin=b"sec")
    assert "latchgate token p" in caller("env", "p", code=2).err


@pytest.mark.parametrize("cloud", [name for name in CLOUDS if name != "oauth2"])
def test_every_variable_that_is_set_would_clash(caller, cloud):
    more = ("--url", "http://127.0.0.1:1") if cloud == "latchgate" else ()
    fields = {
        "wayscloud": {"key": KEY},
        "upcloud": {"token": TOKEN},
        "teracloud": {"user": "u", "password": "p"},
        "kakaocloud": {"access_key_id": "i", "secret": "s"},
        "latchgate": {"token": "t"},
    }
    caller(*ADD, cloud, *more, *HERE, stdin=json.dumps(fields[cloud]).encode())
    assert {name for name, _ in variables(find("p"))} <= clashing(find("p"))
