"""UpCloud's command keeps its credential in `upctl.yaml`."""

from __future__ import annotations

import pytest
from tests.client.sources.written import lacking, revealed, write

from latchgate.client import CredentialInvalid, SourceUnreadable
from latchgate.client.clouds.upcloud import WANTED
from latchgate.client.sources import ClientFile


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("token: ucat_x\noutput: json\n", {"token": "ucat_x"}),
        ("Username: alice\nPassword: 'p: #1'\n", {"username": "alice", "password": "p: #1"}),
    ],
)
def test_a_token_or_a_name_and_a_password_are_found_where_the_command_looks(home, text, fields):
    path = write(home / ".config" / "upctl.yaml", text)
    found = ClientFile().look(WANTED)
    assert revealed(found) == fields
    assert found.where == str(path)


def test_the_folder_for_configuration_goes_before_that_of_the_home(home, folder, monkeypatch):
    write(home / ".config" / "upctl.yaml", "token: ucat_home\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    assert revealed(ClientFile().look(WANTED)) == {"token": "ucat_home"}
    write(folder / "upctl.yaml", "token: ucat_xdg\n")
    assert revealed(ClientFile().look(WANTED)) == {"token": "ucat_xdg"}


def test_the_working_directory_is_no_place_for_it(folder):
    write(folder / "upctl.yaml", "token: ucat_x\n")
    assert not lacking(ClientFile().look(WANTED)).unreadable
    assert revealed(ClientFile("upctl.yaml").look(WANTED)) == {"token": "ucat_x"}


def test_half_a_credential_and_an_empty_file_say_what_is_missing(folder):
    path = write(folder / "upctl.yaml", "username: alice\n")
    assert str(lacking(ClientFile(path).look(WANTED))) == f"{path}: username without password"
    write(path, "# nothing\n")
    assert lacking(ClientFile(path).look(WANTED)).why == "token or username+password not set"


def test_both_credentials_are_refused(folder):
    path = write(folder / "upctl.yaml", "token: t\nusername: u\npassword: p\n")
    with pytest.raises(CredentialInvalid, match="both token and password"):
        ClientFile(path).look(WANTED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("token: 5ecret\n  password: [5ecret\n", "upctl.yaml, line 2: is no YAML"),
        ("- 5ecret\n", "upctl.yaml: is to be a mapping, NAME: VALUE"),
        ("username: alice\npassword: 512345\n", "password is to be a text, in quotes"),
        ("token: !!python/object/apply:os.system [echo 5ecret]\n", "line 1: is no YAML"),
        ("token: 2026-13-45\n", "is no YAML"),
        ("token: !!int ''\n", "is no YAML"),
        ("token: !!bool ''\n", "is no YAML"),
        ("token: !!timestamp x\n", "is no YAML"),
        ("? [5ecret]\n: x\n? {a: 5ecret}\n: y\n", "is no YAML"),
        ("[" * 600, "is no YAML"),
    ],
)
def test_a_broken_file_is_refused_by_its_line_and_not_shown(folder, text, why):
    path = write(folder / "upctl.yaml", text)
    with pytest.raises(SourceUnreadable) as told:
        ClientFile(path).look(WANTED)
    assert why in str(told.value)
    assert "5" not in str(told.value).replace(str(path), "")


def test_aliases_that_multiply_hold_nobody_up(folder):
    merged = (
        f"a{depth}: &a{depth} {{<<: [{', '.join([f'*a{depth - 1}'] * 12)}]}}"
        for depth in range(1, 12)
    )
    path = write(folder / "upctl.yaml", "\n".join(["a0: &a0 {x: y}", *merged]))
    with pytest.raises(SourceUnreadable, match="is no YAML"):
        ClientFile(path).look(WANTED)


def test_an_entrys_name_is_refused_for_it_has_none():
    assert lacking(ClientFile(entry="x").look(WANTED)).unreadable


def test_without_pyyaml_a_file_that_is_there_says_what_to_install(home, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    assert lacking(ClientFile().look(WANTED)).why == "no such file"
    write(home / ".config" / "upctl.yaml", "token: ucat_x\n")
    told = lacking(ClientFile().look(WANTED))
    assert "pip install 'latchgate[yaml]'" in told.why
    assert told.unreadable
