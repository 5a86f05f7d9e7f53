"""`latchgate run`: a command in the verb's place, with the credential and nothing that clashes."""

from __future__ import annotations

import json
import sys

import pytest
from tests.cli.test_env import ODD, SHOWN, upclouds
from tests.world import latchgate

pytestmark = pytest.mark.enable_socket


def run(caller, *command: str, **more: str):
    """Run as a program of its own: the verb becomes the command."""
    home = {"HOME": str(caller.home), "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
    return latchgate("run", *command, cwd=caller.home, env=home | more)


def test_a_command_gets_the_credential_and_nothing_that_clashes(caller):
    upclouds(caller)
    old = {"UPCLOUD_TOKEN": "old", "UPCLOUD_DEBUG_API_BASE_URL": "https://evil", "OS_TOKEN": "kept"}
    done = run(caller, "p", "--", sys.executable, "-c", SHOWN, **old)
    told = json.loads(done.out)
    assert {name: told.get(name) for name in (*old, "UPCLOUD_USERNAME", "UPCLOUD_PASSWORD")} == {
        "UPCLOUD_TOKEN": None,
        "UPCLOUD_DEBUG_API_BASE_URL": None,
        "OS_TOKEN": "kept",
        "UPCLOUD_USERNAME": "me",
        "UPCLOUD_PASSWORD": ODD,
    }
    assert "not handed on: UPCLOUD_DEBUG_API_BASE_URL, UPCLOUD_TOKEN" in done.err


def test_the_exit_status_is_the_commands(caller):
    upclouds(caller)
    assert run(caller, "p", "--", "sh", "-c", "exit 7").code == 7
    assert run(caller, "p", "--", "sh", "-c", "kill -TERM $$").code == -15


def test_a_command_that_is_not_there_or_no_program_is_told_as_shells_do(caller):
    upclouds(caller)
    done = run(caller, "p", "--", "no-such-command")
    assert (done.code, done.err.splitlines()[-1]) == (
        127,
        "latchgate: no-such-command: no such command",
    )
    (caller.home / "file").write_text("")
    assert run(caller, "p", "--", "./file").code == 126
    assert run(caller, "p").code == 2
