"""A command prints a credential: no shell, no input, a time limit, and its complaint is told."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading

import pytest
from tests.client.sources.written import lacking, revealed, write

from latchgate.client import CredentialInvalid, SourceUnreadable
from latchgate.client.clouds.kakaocloud import WANTED as KAKAOCLOUD
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.clouds.wayscloud import WANTED as WAYSCLOUD
from latchgate.client.sources import Command
from latchgate.client.sources.source import Wanted


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(program)]


def _failure(command: Command, wanted: Wanted = UPCLOUD) -> str:
    with pytest.raises(SourceUnreadable) as told:
        command.look(wanted)
    assert told.value.__context__ is None
    return str(told.value)


def test_a_list_and_a_line_that_is_split_as_sh_does_print_the_secret(folder):
    found = Command(_python("print('ucat_x')")).look(UPCLOUD)
    assert revealed(found) == {"token": "ucat_x"}
    assert found.where.startswith("command python")
    assert revealed(Command("printf '%s\\n' 'ucat y'").look(UPCLOUD)) == {"token": "ucat y"}


def test_no_shell_reads_it(folder):
    told = Command("echo $HOME;touch x `touch y` | cat").look(UPCLOUD)
    assert revealed(told) == {"token": "$HOME;touch x `touch y` | cat"}
    assert list(folder.iterdir()) == []


def test_fields_come_as_an_object_and_a_user_beside_the_command():
    told = json.dumps({"access_key_id": "kid", "secret": "5ecret"})
    assert revealed(Command(["echo", told]).look(KAKAOCLOUD))["secret"] == "5ecret"
    found = Command(["echo", "pa55"], known={"username": "alice"}).look(UPCLOUD)
    assert revealed(found) == {"username": "alice", "password": "pa55"}


def test_it_is_told_the_cloud_and_not_to_ask_itself(monkeypatch):
    monkeypatch.setenv("LATCHGATE_CREDENTIAL_COMMAND", "false {cloud}")
    program = """
        import os, sys
        print(sys.argv[1], os.environ["LATCHGATE_CREDENTIAL_CLOUD"],
              os.environ.get("LATCHGATE_CREDENTIAL_COMMAND"), repr(sys.stdin.read()))
    """
    found = Command([*_python(program), "keys/{cloud}"]).look(UPCLOUD)
    assert revealed(found) == {"token": "keys/upcloud upcloud None ''"}


def test_a_failure_tells_what_it_said_without_its_secrets(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "vault-master")
    program = """
        import os, sys
        print("half-a-secret")
        print("no entry pa/th\\n for half-a-secret", os.environ["VAULT_TOKEN"],
              "wayscloud_storage_abc123_XYZ9", "password: hunter", "\\x1b[31m", file=sys.stderr)
        sys.exit(3)
    """
    told = _failure(Command(_python(program)))
    assert told.endswith("ended with 3: no entry pa/th for … … … password: … [31m")


def test_a_failure_that_says_nothing_or_too_much():
    assert _failure(Command("false")) == "command false ended with 1, and said nothing"
    told = _failure(Command(_python("import sys; sys.exit('word ' * 1000 + 'the end')")))
    assert told.endswith("the end")
    assert len(told) < 600


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("/no/such/program 5ecret", "command program is not there: no such program"),
        ("/ 5ecret", "can't be run (PermissionError)"),
        (["echo", "5\0"], "command echo can't be run (ValueError)"),
        (_python("import os; os.kill(os.getpid(), 9)"), "was killed, and said nothing"),
        (_python("import os; os.write(1, b'\\xff5ecret')"), "says what is not UTF-8"),
        (_python("pass"), "says nothing; one line, the secret, or a JSON object is wanted"),
    ],
)
def test_what_can_not_be_run_or_read_says_why(command, why):
    told = _failure(Command(command))
    assert why in told
    assert "5" not in told


@pytest.mark.parametrize("command", ["", "  ", [], [""], "echo '5ecret"])
def test_no_command_line_is_refused_when_it_is_given(command):
    with pytest.raises(CredentialInvalid, match="is no command line") as told:
        Command(command)
    assert "5ecret" not in str(told.value)
    assert told.value.__context__ is None


def test_the_time_limit_counts_though_what_it_started_lives_on(folder):
    # A grandchild holds the pipe open until this test lets it go.
    os.mkfifo(folder / "end")
    program = f"""
        import subprocess, time
        subprocess.Popen(["sh", "-c", "read line < {folder}/end"])
        print("5ecret", flush=True)
        time.sleep(600)
    """
    told = _failure(Command(_python(program), timeout=1))
    assert told.endswith("took longer than 1 s and was ended")
    assert "5ecret" not in told
    ended = threading.Thread(target=lambda: (folder / "end").write_text("x\n"), daemon=True)
    ended.start()
    ended.join(30)


@pytest.mark.parametrize(
    ("command", "whose"),
    [
        ("echo ucat_x {cloud}", {"upcloud", "wayscloud"}),
        ("echo shop/upcloud/key", {"upcloud"}),
        ("echo UpCloud-key", {"upcloud"}),
        ("echo key", set()),
    ],
)
def test_the_environments_command_gives_no_cloud_the_secret_of_another(monkeypatch, command, whose):
    monkeypatch.setenv("LATCHGATE_CREDENTIAL_COMMAND", command)
    for wanted in (UPCLOUD, WAYSCLOUD):
        found = Command().look(wanted)
        if wanted.entry in whose:
            assert revealed(found)
        else:
            assert f"name {wanted.entry} or {{cloud}} in its arguments" in lacking(found).why


def test_a_program_may_be_named_after_its_cloud_but_ours_says_nothing(folder, monkeypatch):
    latchgate = Wanted("Latchgate", (("token",),), {})
    for name, wanted, found in (("upcloud-key", UPCLOUD, True), ("latchgate", latchgate, False)):
        program = write(folder / name, "#!/bin/sh\necho 5ecret\n", mode=0o700)
        monkeypatch.setenv("LATCHGATE_CREDENTIAL_COMMAND", str(program))
        assert bool(getattr(Command().look(wanted), "fields", None)) is found


def test_the_environments_command_may_say_its_cloud_itself(monkeypatch):
    told = json.dumps({"cloud": "upcloud", "token": "ucat_x"})
    monkeypatch.setenv("LATCHGATE_CREDENTIAL_COMMAND", f"echo '{told}'")
    assert revealed(Command().look(UPCLOUD)) == {"token": "ucat_x"}


def test_without_one_it_says_which_variable_names_it():
    assert str(lacking(Command().look(UPCLOUD))) == (
        "command: LATCHGATE_CREDENTIAL_COMMAND not set"
    )


def test_no_file_of_the_working_directory_names_a_command(folder):
    write(folder / ".env", "LATCHGATE_CREDENTIAL_COMMAND='touch x {cloud}'\n")
    from latchgate.client import CredentialMissing, WaysCloud

    with pytest.raises(CredentialMissing):
        WaysCloud()
    assert [one.name for one in folder.iterdir()] == [".env"]


def test_its_repr_shows_no_argument():
    assert repr(Command("vault read -token=5ecret")) == "Command('vault', …)"
    assert repr(Command()) == "Command()"
