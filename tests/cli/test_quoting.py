"""Whatever a value holds, each reader of a form reads that value and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys

import pytest
import yaml
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from latchgate.cli.quoting import QuotingError, compose, docker, dotenv, powershell, sh

VALUES = {
    "PLAIN": "ucat_01DQE3AJDEBFEKECFM558TGH2F",
    "SPACES": "  two  spaces ",
    "QUOTE": "it's",
    "DOUBLE": 'say "so"',
    "BOTH": 'it\'s "so"',
    "DOLLAR": "a$HOME$$b",
    "BRACED": "a${HOME}b",
    "BACKQUOTE": "`touch hit`",
    "SUBSHELL": "$(touch hit)",
    "LINES": "one\ntwo\n",
    "RETURN": "one\r\ntwo",
    "HASH": "a #b",
    "EQUALS": "a=b",
    "BACKSLASH": "a\\nb\\",
    "SEMICOLON": "a; touch hit",
    "UNICODE": "秘密é\u2028\u0085\U0001f511",
    "CURLY": "a\u2019; b",
    "BANG": "a!b~*?[x]{y}",
    "EMPTY": "",
}
# What none of the readers of .env has in common.
AMBIGUOUS = {"BOTH", "BRACED", "LINES", "RETURN", "BACKSLASH"}


def read_by(*command: str, source: str, cwd) -> dict[str, str]:
    """Return the variables of a program that a shell starts after it read `source`."""
    program = f'{sys.executable} -c "import os, json; print(json.dumps(dict(os.environ)))"'
    done = subprocess.run(
        [*command, f"{source}\n{program}"],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/of/mine", "PYTHONUTF8": "1", "LEFT": "over"},
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_sh_evaluates_to_every_value_and_runs_nothing(shell, tmp_path):
    (tmp_path / "text").write_text(sh(VALUES.items(), ["LEFT"]), newline="")
    told = read_by(shell, "-c", source='eval "$(cat text)"', cwd=tmp_path)
    assert {name: told[name] for name in VALUES} == VALUES
    assert "LEFT" not in told
    assert not (tmp_path / "hit").exists()


def sayable() -> dict[str, str]:
    return {name: value for name, value in VALUES.items() if name not in AMBIGUOUS}


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_shell_reads_a_dotenv_as_it_was_meant(shell, tmp_path):
    (tmp_path / ".env").write_text(dotenv(sayable().items()))
    told = read_by(shell, "-c", source="set -a; . ./.env", cwd=tmp_path)
    assert {name: told[name] for name in sayable()} == sayable()
    assert not (tmp_path / "hit").exists()


def test_python_dotenv_reads_a_dotenv_as_it_was_meant(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/mine")
    assert dotenv_values(stream=io.StringIO(dotenv(sayable().items()))) == sayable()


def test_node_reads_a_dotenv_as_it_was_meant(tmp_path):
    node = shutil.which("node")
    assert node is not None
    (tmp_path / ".env").write_text(dotenv(sayable().items()))
    program = "process.stdout.write(JSON.stringify(process.env))"
    done = subprocess.run(
        [node, "--env-file=.env", "-e", program],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert {name: told[name] for name in sayable()} == sayable()


@pytest.mark.parametrize("name", sorted(AMBIGUOUS))
def test_what_readers_of_a_dotenv_take_differently_is_refused_without_its_value(name):
    with pytest.raises(QuotingError) as caught:
        dotenv([(name, VALUES[name])])
    assert name in str(caught.value)
    assert VALUES[name] not in str(caught.value)


def docker_reads(text: str) -> dict[str, str]:
    """Read a file as docker/cli does (opts/envfile.go): by lines, at the first =, nothing else."""
    told = {}
    for line in text.split("\n"):
        line = line.removesuffix("\r").lstrip(" \t")  # noqa: PLW2901 - as it does
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            told[name] = value
    return told


def test_docker_takes_a_line_as_it_is():
    single = {name: value for name, value in VALUES.items() if name not in {"LINES", "RETURN"}}
    assert docker_reads(docker(single.items())) == single


@pytest.mark.parametrize("name", ["LINES", "RETURN"])
def test_docker_is_given_no_value_of_several_lines(name):
    with pytest.raises(QuotingError, match=name):
        docker([(name, VALUES[name])])


def test_compose_gets_every_value_with_its_dollars_doubled():
    told = yaml.safe_load(compose(VALUES.items(), service="no: yes #"))
    (service,) = told["services"]
    assert service == "no: yes #"
    read = told["services"][service]["environment"]
    assert {name: value.replace("$$", "$") for name, value in read.items()} == VALUES
    assert all("$" not in value.replace("$$", "") for value in read.values())


def powershell_reads(text: str) -> dict[str, str]:
    """Read assignments by PowerShell's rule (about_Quoting_Rules): a doubled quote is one.

    Its tokenizer takes the four quotes of char.IsSingleQuote for each other.
    """
    quotes = "'\u2018\u2019\u201a\u201b"
    told = {}
    at = 0
    while at < len(text):
        name = text[at + len("$env:") : text.index(" = ", at)]
        at = text.index(" = ", at) + 3
        assert text[at] in quotes
        at += 1
        value = ""
        while text[at] not in quotes or text[at + 1] in quotes:
            value += text[at]
            at += 2 if text[at] in quotes else 1
        told[name] = value
        at += 1
        assert text[at] == "\n"
        at += 1
    return told


def test_powershell_reads_a_doubled_quote_as_one_in_each_of_its_forms():
    values = VALUES | {"QUOTES": "'\u2018\u2019\u201a\u201b", "END": "a'"}
    assert powershell_reads(powershell(values.items())) == values


def test_powershell_takes_away_what_clashes():
    assert powershell([], ["B", "A"]) == (
        "Remove-Item Env:A -ErrorAction SilentlyContinue\n"
        "Remove-Item Env:B -ErrorAction SilentlyContinue\n"
    )


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_is_read_again_or_refused(text):
    read = yaml.safe_load(compose([("NAME", text)]))["services"]["app"]["environment"]["NAME"]
    assert read.replace("$$", "$") == text
    assert powershell_reads(powershell([("NAME", text)])) == {"NAME": text}
    with contextlib.suppress(QuotingError):
        assert docker_reads(docker([("NAME", text)])) == {"NAME": text}
    with contextlib.suppress(QuotingError):
        assert dotenv_values(stream=io.StringIO(dotenv([("NAME", text)]))) == {"NAME": text}


@pytest.mark.parametrize("form", [sh, powershell, dotenv, docker, compose])
@pytest.mark.parametrize("value", ["a\0b", "a\udc80b"], ids=["NUL", "no text"])
def test_what_no_variable_holds_is_refused_everywhere(form, value):
    with pytest.raises(QuotingError, match="NAME"):
        form([("NAME", value)])
