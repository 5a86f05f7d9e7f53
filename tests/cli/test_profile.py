"""`latchgate profile`: made without a secret on the command line, listed, tried, removed."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tomllib
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError
from tests.cli.callers import KEY
from tests.client.stage import Asked, Said
from tests.world import environment

pytestmark = pytest.mark.enable_socket

ADD = ("profile", "add", "p", "--cloud")
HERE = ("--from", "stdin", "--store", "file")
TOKEN = "ucat_01DQE3AJDEBFEKECFM558TGH2F"
PROJECT_TOKEN = {
    "token": {
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "expires_at": "2026-01-01T12:00:00.000000Z",
        "user": {"id": "u", "name": "me", "domain": {"id": "d", "name": "d"}},
        "project": {"id": "pr", "name": "shop", "domain": {"id": "d", "name": "d"}},
        "roles": [{"id": "r", "name": "reader"}],
        "methods": ["application_credential"],
    }
}


def kakaocloud(asked: Asked) -> Said:
    """Answer as the identity API does."""
    body = json.dumps(PROJECT_TOKEN).encode()
    if asked.method == "POST":
        return Said(201, body, {"X-Subject-Token": "a-project-token"})
    return Said(200, body)


def held(caller) -> dict[str, dict[str, object]]:
    return tomllib.loads(caller.profiles.read_text())


@pytest.fixture
def ring():
    """A keyring of this test's own, in the place of the system's."""

    class Ring(KeyringBackend):
        priority = 1
        entries: dict[tuple[str, str], str] = {}  # noqa: RUF012 - one for each test

        def get_password(self, service, username):
            return self.entries.get((service, username))

        def set_password(self, service, username, password):
            self.entries[service, username] = password

        def delete_password(self, service, username):
            if self.entries.pop((service, username), None) is None:
                raise PasswordDeleteError

    before = keyring.get_keyring()
    made = Ring()
    keyring.set_keyring(made)
    yield made.entries
    keyring.set_keyring(before)


@pytest.fixture
def no_ring():
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


def test_a_secret_is_read_from_standard_input_and_kept_for_its_owner_alone(caller):
    done = caller(*ADD, "upcloud", *HERE, stdin=f"{TOKEN}\n".encode())
    assert TOKEN not in done.out + done.err
    assert held(caller) == {"p": {"cloud": "upcloud", "from": "here", "secrets": {"token": TOKEN}}}
    assert caller.profiles.stat().st_mode & 0o777 == 0o600
    assert caller("token", "p").out == f"{TOKEN}\n"


def test_a_secret_is_asked_for_without_echo_and_what_is_none_with(caller):
    asked = (*ADD, "teracloud", "--store", "file")
    done = caller(*asked, stdin=b"me\npass word\n\n")
    assert "User: me" in done.err
    assert "pass word" not in done.out + done.err
    assert "Api key (Enter for none)" in done.err
    assert held(caller)["p"]["fields"] == {"user": "me"}
    assert held(caller)["p"]["secrets"] == {"password": "pass word"}


def test_several_secrets_are_read_as_a_json_object(caller):
    told = json.dumps({"password": "p", "api_key": "0123456789ABCDEF0123456789ABCDEF"}).encode()
    caller(*ADD, "teracloud", "--user", "me", *HERE, stdin=told)
    assert held(caller)["p"]["fields"] == {"user": "me"}
    assert sorted(held(caller)["p"]["secrets"]) == ["api_key", "password"]  # type: ignore[call-overload]


def test_the_keyring_keeps_what_was_read_and_forgets_it_with_the_profile(caller, ring):
    done = caller(*ADD, "upcloud", "--from", "stdin", stdin=TOKEN.encode())
    assert "from   keyring\n" in done.out
    assert held(caller) == {"p": {"cloud": "upcloud", "from": "keyring", "entry": "profile/p"}}
    assert TOKEN in ring["latchgate", "profile/p"]
    assert caller("token", "p").out == f"{TOKEN}\n"
    caller("profile", "remove", "p")
    assert ring == {}


def test_without_a_keyring_the_file_keeps_it_which_is_said_unless_the_file_may_not(caller, no_ring):
    done = caller(*ADD, "upcloud", "--from", "stdin", stdin=TOKEN.encode())
    assert "kept in the profiles' file" in done.err
    assert held(caller)["p"]["secrets"] == {"token": TOKEN}
    caller("profile", "remove", "p")
    wanted = (*ADD, "upcloud", "--from", "stdin", "--store", "keyring")
    done = caller(*wanted, stdin=TOKEN.encode(), code=2)
    assert "--store file" in done.err
    assert TOKEN not in done.out + done.err + caller.profiles.read_text()


def test_a_profile_that_is_replaced_or_not_written_leaves_no_secret_in_the_keyring(
    caller, ring, monkeypatch
):
    caller(*ADD, "upcloud", "--from", "stdin", stdin=TOKEN.encode())
    caller(*ADD, "upcloud", *HERE, "--replace", stdin=TOKEN.encode())
    assert ring == {}
    caller("profile", "remove", "p")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = caller(*ADD, "upcloud", "--from", "stdin", stdin=TOKEN.encode(), code=2)
    assert "No space left on device; nothing was changed" in done.err
    assert (held(caller), ring) == ({}, {})


def test_an_entry_that_others_made_is_used_and_stays(caller, ring):
    ring["latchgate", "p"] = json.dumps({"token": TOKEN})
    caller(*ADD, "upcloud", "--from", "keyring", "--entry", "p")
    assert caller("token", "p").out == f"{TOKEN}\n"
    caller("profile", "remove", "p")
    assert ("latchgate", "p") in ring


def test_upclouds_own_entry_of_the_keyring_is_that_of_the_profiles_user(caller, ring):
    ring["UpCloud", "me"] = "pass word"
    ring["UpCloud", ""] = TOKEN
    caller(*ADD, "upcloud", "--from", "keyring", "--username", "me")
    told = caller("env", "p", "--json").json
    assert told == {"UPCLOUD_USERNAME": "me", "UPCLOUD_PASSWORD": "pass word"}
    caller(*ADD, "upcloud", "--from", "keyring", "--replace")
    assert caller("env", "p", "--json").json == {"UPCLOUD_TOKEN": TOKEN}
    caller(*ADD, "upcloud", "--from", "keyring", "--username", "you", "--replace")
    assert "keyring" in caller("env", "p", code=2).err


def test_a_profile_may_name_a_command_and_is_listed_by_it(caller):
    command = f"{sys.executable} -c 'print(\"{TOKEN}\")'"
    caller(*ADD, "upcloud", "--from", "command", "--command", command)
    assert caller("token", "p").out == f"{TOKEN}\n"
    (row,) = caller("profile", "list", "--json").json["profiles"]
    assert row["from"].startswith("command ")


def test_profiles_are_listed_without_secrets_and_the_management_profile_first(caller, monkeypatch):
    caller(*ADD, "upcloud", *HERE, stdin=TOKEN.encode())
    assert [one["name"] for one in caller("profile", "list", "--json").json["profiles"]] == ["p"]
    (caller.home / ".latchgate").mkdir()
    (caller.home / ".latchgate" / "profile.toml").write_text("")
    done = caller("profile", "list")
    assert TOKEN not in done.out
    assert [line.split()[:3] for line in done.out.splitlines()[1:]] == [
        ["latchgate", "latchgate", ".latchgate/profile.toml"],
        ["p", "upcloud", "here"],
    ]


def test_a_test_fetches_a_token_anew_and_says_who_the_credential_is(caller, stage):
    stage.answer = kakaocloud
    key = ("--access-key-id", "id", "--url", stage.url)
    caller(*ADD, "kakaocloud", *key, *HERE, stdin=b"sec")
    for _ in range(2):
        caller("token", "p")
    assert len([one for one in stage.asked if one.method == "POST"]) == 1
    told = caller("profile", "test", "p", "--json").json
    assert len([one for one in stage.asked if one.method == "POST"]) == 2
    assert (told["cloud"], told["source"]) == ("KakaoCloud", "profile p")
    assert told["rights"] == ["reader"]


def test_a_test_of_what_does_not_stand_is_refused(caller, stage):
    stage.answer = lambda _: Said(401, b'{"error": {"code": 401, "message": "no", "title": "Un"}}')
    caller(*ADD, "kakaocloud", "--access-key-id", "id", "--url", stage.url, *HERE, stdin=b"sec")
    done = caller("profile", "test", "p", code=1)
    assert done.out == ""
    assert "AuthenticationFailed: KakaoCloud" in done.err


def test_removing_a_profile_drops_the_token_that_is_kept_for_it(caller, stage):
    stage.answer = kakaocloud
    key = ("--access-key-id", "id", "--url", stage.url)
    caller(*ADD, "kakaocloud", *key, *HERE, stdin=b"sec")
    caller("token", "p")
    kept = caller.home / ".cache" / "latchgate" / "tokens"
    assert any("a-project-token" in one.read_text() for one in kept.glob("*.json"))
    caller("profile", "remove", "p")
    assert not any("a-project-token" in one.read_text() for one in kept.glob("*"))
    assert held(caller) == {}


@pytest.mark.parametrize(
    ("typed", "stdin", "said"),
    [
        (
            ("upcloud", "--from", "stdin", "--command", "x"),
            "",
            "--command goes with --from command",
        ),
        (("upcloud", "--from", "command"), "", "--from command needs --command"),
        (("upcloud", "--from", "command", "--command", "'"), "", "No closing quotation"),
        (("upcloud", "--from", "environment", "--store", "file"), "", "--store goes with"),
        (
            ("upcloud", "--user", "me", *HERE),
            TOKEN,
            "upcloud has no user; of these it has username",
        ),
        (("wayscloud", "--user", "me", *HERE), KEY, "it has none of these"),
        (("upcloud", *HERE), "", "says nothing"),
        (("upcloud", *HERE), "a\nb", "says several lines"),
        (("upcloud", *HERE), "two words", "copied wrong"),
        (("teracloud", *HERE), "alone", "let it be a JSON object"),
        (("upcloud", *HERE), '{"tokens": "x"}', "of no other fields than"),
        (("upcloud", "--url", "http://api.example", *HERE), TOKEN, "over TLS only"),
        (("upcloud", "--url", "nowhere", *HERE), TOKEN, "not a URL"),
        (("upcloud", "--origin", "http://a.example", "--from", "environment"), "", "TLS only"),
        (("oauth2", "--client-id", "me", "--from", "environment"), "", "no variables of its own"),
        (("oauth2", "--client-id", "me", *HERE), "sec", "issuer"),
    ],
)
def test_what_can_not_be_a_profile_is_told_before_anything_is_kept(caller, typed, stdin, said):
    done = caller(*ADD, *typed, stdin=stdin.encode(), code=2)
    assert said in done.err
    assert not caller.profiles.exists()


def test_a_name_that_is_taken_is_told_before_a_secret_is_asked_for(caller):
    caller(*ADD, "upcloud", *HERE, stdin=TOKEN.encode())
    done = caller(*ADD, "upcloud", code=2)
    assert "there is a profile p already" in done.err
    assert "Token" not in done.err
    caller(*ADD, "wayscloud", *HERE, "--replace", stdin=KEY.encode())
    assert held(caller)["p"]["cloud"] == "wayscloud"


def test_the_management_profiles_name_is_its_own(caller):
    done = caller("profile", "add", "latchgate", "--cloud", "latchgate", *HERE, code=2)
    assert "that login and init make" in done.err


def test_a_file_that_others_can_read_is_not_used(caller):
    caller(*ADD, "upcloud", *HERE, stdin=TOKEN.encode())
    caller.profiles.chmod(0o644)
    for verb in (("token", "p"), ("profile", "list"), ("profile", "remove", "p")):
        done = caller(*verb, code=2)
        assert f"chmod 600 {caller.profiles}" in done.err
        assert TOKEN not in done.out + done.err


@pytest.mark.parametrize("verb", [("token",), ("env",), ("whoami",), ("profile", "test")])
def test_an_unknown_profile_is_told_with_those_that_there_are(caller, verb):
    caller(*ADD, "upcloud", *HERE, stdin=TOKEN.encode())
    assert "no profile 'q'; there are: p" in caller(*verb, "q", code=2).err


def typed_at_a_terminal(*command: str, prompt: str, answer: str, home: Path) -> tuple[int, str]:
    """Run a command at a terminal of its own, answer its prompt, and return what was shown."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(HOME=str(home), XDG_CONFIG_HOME=""),
        start_new_session=True,
    )
    os.close(theirs)
    shown, answered = b"", False
    try:
        while select.select([ours], [], [], 60.0)[0]:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux' word for the end of a terminal
                break
            if not piece:
                break
            shown += piece
            if not answered and prompt.encode() in shown:
                answered = True
                os.write(ours, f"{answer}\n".encode())
        return process.wait(60), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_at_a_terminal_a_secret_is_not_shown_while_it_is_typed(caller):
    command = (sys.executable, "-m", "latchgate", *ADD, "upcloud", "--store", "file")
    code, shown = typed_at_a_terminal(*command, prompt="Token: ", answer=TOKEN, home=caller.home)
    assert (code, TOKEN in shown) == (0, False)
    assert held(caller)["p"]["secrets"] == {"token": TOKEN}
