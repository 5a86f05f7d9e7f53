"""`latchgate token`: a live token and nothing else."""

from __future__ import annotations

import json
import sys

import pytest
from tests.cli.test_env import upclouds
from tests.cli.test_profile import ADD, HERE, TOKEN, kakaocloud
from tests.client.stage import Said

pytestmark = pytest.mark.enable_socket


def test_a_token_is_fetched_kept_and_renewed_where_it_would_end_too_soon(caller, stage):
    stage.answer = kakaocloud
    caller(*ADD, "kakaocloud", "--access-key-id", "id", "--url", stage.url, *HERE, stdin=b"sec")
    done = caller("token", "p")
    assert (done.out, done.err) == ("a-project-token\n", "")
    assert caller("token", "p", "--lasting", "3600", "--json").json["token"] == "a-project-token"
    assert len(stage.asked) == 1
    assert "not 86400" in caller("token", "p", "--lasting", "86400", code=2).err


def test_an_access_token_of_oauth2_is_printed_and_its_api_called_with_it(caller, stage):
    told = {"access_token": "at-1", "token_type": "Bearer", "expires_in": 600}
    stage.answer = lambda asked: Said(
        200, json.dumps(told).encode() if asked.path == "/token" else b"mine"
    )
    server = ("--token-url", f"{stage.url}/token", "--url", f"{stage.url}/v1")
    caller(*ADD, "oauth2", "--client-id", "me", *server, *HERE, stdin=b"sec")
    assert caller("token", "p").out == "at-1\n"
    assert caller("call", "p", "GET", "/things").out == "mine"
    assert [(one.path, one.header("Authorization")) for one in stage.asked][1:] == [
        ("/v1/things", "Bearer at-1")
    ]


def test_a_name_and_a_password_are_no_token(caller):
    upclouds(caller)
    assert "there is no token" in caller("token", "p", code=2).err


@pytest.mark.parametrize("verb", [("token", "p"), ("env", "p")], ids=" ".join)
def test_a_command_that_prints_a_secret_is_run_once(caller, verb):
    program = caller.home / "vault.py"
    program.write_text(f"print({TOKEN!r})\nopen('runs', 'a').write('x')\n")
    command = f"{sys.executable} {program}"
    caller(*ADD, "upcloud", "--from", "command", "--command", command)
    assert not (caller.home / "runs").exists()
    assert TOKEN in caller(*verb).out
    assert (caller.home / "runs").read_text() == "x"
