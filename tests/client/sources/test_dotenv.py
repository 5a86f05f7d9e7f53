"""`.env` is read as sh and its other readers agree on it, and what they differ about is refused."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess

import pytest
from tests.client.sources.written import lacking, revealed, write

from latchgate.client import CredentialInvalid, SourceExposed, SourceUnreadable
from latchgate.client.clouds.upcloud import WANTED as UPCLOUD
from latchgate.client.clouds.wayscloud import WANTED as WAYSCLOUD
from latchgate.client.sources import DotEnv
from latchgate.client.sources.dotenv import read


def _read(line: str) -> str:
    return read(line, {"KEY"}, ".env")["KEY"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=abc", "abc"),
        ("KEY=", ""),
        ("  export \t KEY=abc  ", "abc"),
        ("KEY=abc # a comment", "abc"),
        ("KEY=a=b==", "a=b=="),
        ("KEY=https://api.example.com:8443/v1,x@y%20", "https://api.example.com:8443/v1,x@y%20"),
        ("KEY='a b $c # d \"e\" `f`'  # g", 'a b $c # d "e" `f`'),
        ("KEY=\"a b 'c' # d\"", "a b 'c' # d"),
        ("KEY=é☃", "é☃"),
        ("KEY=abc\r\nOTHER=x\r\n", "abc"),
        ("KEY=first\nKEY=second", "second"),
        ("# KEY=commented\n\nKEY=abc", "abc"),
        ("OTHER=${HOME}/x y\nbroken line\nKEY=abc", "abc"),
        ('PEM="-----BEGIN\nKEY=inside\n-----END"\nKEY=abc', "abc"),
        ("OTHER='it is\nKEY=inside'\nKEY=abc", "abc"),
        ("OTHER=it's\nKEY=abc", "abc"),
    ],
)
def test_lines_that_all_readers_take_alike_are_read(line, value):
    assert _read(line) == value


@pytest.mark.parametrize(
    "line",
    [
        "KEY = 5ecret",  # sh runs KEY
        "KEY= 5ecret",  # sh runs the value
        "KEY=5ecret word",  # sh runs the word
        "KEY",  # Docker takes it from its own environment
        "KEY: 5ecret",
        "KEY=$HOME5ecret",
        "KEY=${HOME}5ecret",
        "KEY=`5ecret`",
        "KEY=$(5ecret)",
        "KEY=5ecret;rm",
        "KEY=~/5ecret",
        "export KEY=5ecret*",
        "KEY=#5ecret",  # empty for one, a value for another
        "KEY=5ec#ret",
        r"KEY=5ec\ret",
        "KEY='5ec'ret",
        'KEY="5ec"ret',
        "KEY='5ec'#ret",
        'KEY="5ecret',
        "KEY='5ecret\nOTHER=x'",
        'KEY="5ec$ret"',
        'KEY="5ec`ret`"',
        r'KEY="5ec\nret"',  # a line's end, or two characters
        r'KEY="5ec\"ret"',
        r"KEY='5ec\\ret'",
        "KEY='5ec${ret}'",
        "KEY=5ec\rret",
        "KEY=5ec\0ret",
    ],
)
def test_what_readers_differ_about_is_refused_by_its_line_and_not_shown(line):
    with pytest.raises(SourceUnreadable, match=r"^\.env, line 2: KEY can be read in several") as it:
        read(f"# first\n{line}\n", {"KEY"}, ".env")
    assert "5ec" not in str(it.value)


def test_a_quote_of_another_variable_that_nothing_closes_is_refused_where_it_may_hide_ours():
    with pytest.raises(SourceUnreadable, match=r"^\.env, line 1: a quote is opened"):
        read('OTHER="abc\nKEY=x\n', {"KEY"}, ".env")
    assert read('OTHER="abc\nMORE=x\n', {"KEY"}, ".env") == {}


_PIECES = [*"ab1$`'\"\\ #=;&|<>()*?[]{}~!%^-+.,:/@\té", "${", "\\n", '\\"', " #", "\\\\"]
_READERS = {
    "sh": ["sh", "-c", "set -a; . ./env; env -0"],
    "bash": ["bash", "-c", "set -a; . ./env; env -0"],
    "node": [
        *("node", "--env-file=./env", "-e"),
        r"for (const [k, v] of Object.entries(process.env)) process.stdout.write(`${k}=${v}\0`)",
    ],
    # Debian's, which comes with the docker-compose that reads by it.
    "python-dotenv": [
        *("/usr/bin/python3", "-c"),
        r"import dotenv; [print(f'{k}={v}\0') for k, v in dotenv.dotenv_values('env').items()]",
    ],
}


@pytest.fixture(scope="module")
def agreed() -> dict[str, tuple[str, str]]:
    """Give lines that ours reads, of many that were made at random, and what it reads."""
    chance = random.Random(8)
    lines = {}
    for number in range(5_000):
        value = "".join(chance.choices(_PIECES, k=chance.randrange(7)))
        quote = chance.choice(["", "'", '"'])
        after = chance.choice(["", "", " # it's"])
        line = f"{chance.choice(['', 'export '])}K{number}={quote}{value}{quote}{after}"
        with contextlib.suppress(SourceUnreadable):
            lines[f"K{number}"] = (line, read(line, {f"K{number}"}, "env")[f"K{number}"])
    assert len(lines) > 500
    return lines


@pytest.mark.e2e
@pytest.mark.parametrize("reader", _READERS)
def test_whatever_is_read_is_what_other_readers_read(reader, agreed, folder):
    write(folder / "env", "".join(f"{line}\n" for line, _ in agreed.values()))
    told = subprocess.run(
        _READERS[reader],
        capture_output=True,
        check=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    said = (one.removeprefix("\n") for one in told.stdout.decode().split("\0"))
    theirs = dict(one.split("=", 1) for one in said if "=" in one)
    assert [
        (line, ours, theirs.get(name))
        for name, (line, ours) in agreed.items()
        if theirs.get(name) != ours
    ] == []


def test_the_working_directorys_file_is_found_with_its_own_address(folder):
    write(folder / ".env", "WAYSCLOUD_API_KEY=k\nWAYSCLOUD_API_URL=https://x\n")
    found = DotEnv().look(WAYSCLOUD)
    assert revealed(found) == {"key": "k", "url": "https://x"}
    assert found.where == f"{folder}/.env WAYSCLOUD_API_KEY, WAYSCLOUD_API_URL"


def test_a_folder_above_is_not_looked_at(folder, monkeypatch):
    write(folder / ".env", "WAYSCLOUD_API_KEY=k\n")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    told = lacking(DotEnv().look(WAYSCLOUD))
    assert (told.where, told.why, told.unreadable) == (
        f"{folder}/below/.env",
        "no such file",
        False,
    )


def test_a_path_that_is_given_has_to_be_there(home):
    assert lacking(DotEnv("~/keys.env").look(WAYSCLOUD)).unreadable
    write(home / "keys.env", "WAYSCLOUD_API_KEY=k\n")
    assert revealed(DotEnv("~/keys.env").look(WAYSCLOUD)) == {"key": "k"}


def test_a_working_directory_that_was_deleted_holds_none(folder):
    folder.rmdir()
    assert lacking(DotEnv().look(WAYSCLOUD)).why == "there is no working directory"


def test_two_credentials_that_exclude_each_other_are_refused(folder):
    write(folder / ".env", "UPCLOUD_TOKEN=t\nUPCLOUD_PASSWORD=p\n")
    with pytest.raises(CredentialInvalid, match="UPCLOUD_TOKEN and UPCLOUD_PASSWORD"):
        DotEnv().look(UPCLOUD)


def test_a_file_that_others_can_read_warns_only_where_a_credential_is_in_it(folder):
    path = write(folder / ".env", "UPCLOUD_TOKEN=t\n", mode=0o644)
    assert lacking(DotEnv().look(WAYSCLOUD))
    with pytest.warns(SourceExposed, match=f"chmod 600 {path}"):
        assert revealed(DotEnv().look(UPCLOUD)) == {"token": "t"}


def test_a_pipe_in_its_place_holds_nobody_up(folder):
    os.mkfifo(folder / ".env")
    assert lacking(DotEnv().look(WAYSCLOUD)).why == "is no regular file"
