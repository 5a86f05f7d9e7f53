"""The file of profiles: for its owner alone, whole or unchanged, by one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchgate.client.errors import CredentialInvalid, SourceUnreadable
from latchgate.client.profiles_file import Entry, profiles_file, put, read, remove

SECRET = "wayscloud_storage_abc123_top-secret"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "profiles.toml"


def entry(**more) -> Entry:
    return Entry("wayscloud", "here", secrets={"key": SECRET}, **more)


def test_what_is_put_is_read_again_and_removed(path):
    whole = Entry(
        "kakaocloud",
        "command",
        url="http://127.0.0.1:1",
        origins=("https://a.example", "https://b.example"),
        ca="/ca.pem",
        command=("pass", "show", "a b"),
        fields={"access_key_id": "id"},
        settings={"region": "kr"},
    )
    put("one", entry(), path=path)
    assert put("two", whole, path=path) == path
    assert read(path) == {"one": entry(), "two": whole}
    remove("one", path=path)
    assert read(path) == {"two": whole}


def test_without_a_file_there_are_no_profiles(path):
    assert read(path) == {}


@settings(max_examples=25)
@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_is_spelled_so_that_it_is_read_again(tmp_path_factory, secret, url):
    path = tmp_path_factory.mktemp("p") / "profiles.toml"
    told = Entry("upcloud", "here", url=url, secrets={"password": secret}, command=(secret, url))
    put("p", told, path=path)
    assert read(path)["p"] == told


def test_the_file_is_its_owners_alone(path):
    put("one", entry(), path=path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_read_is_refused_and_not_changed(path, mode):
    put("one", entry(), path=path)
    path.chmod(mode)
    before = path.read_bytes()
    for change in (lambda: read(path), lambda: remove("one", path=path)):
        with pytest.raises(SourceUnreadable, match="chmod 600"):
            change()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\ncloud = 'x'\nfrom = 'here'\nurls = 'x'\n", "profile a: 'urls' is unknown"),
        ("[a]\ncloud = 'x'\n", "profile a: from is missing"),
        ("[a]\ncloud = 1\nfrom = 'here'\n", "profile a: 'cloud' is not of this form"),
        ("[a]\ncloud = 'x'\nfrom = 'here'\ncommand = 'rm -rf'\n", "'command' is not of this form"),
        ("[a.secrets]\nkey = 5\n", "profile a: 'secrets' is not of this form"),
        ("['a b']\ncloud = 'x'\n", "'a b' is no profile"),
        ("a = 1\n", "'a' is no profile"),
        (f"[a]\nkey = '{SECRET}\n", "no TOML: at "),
        (f"[a]\n{SECRET}\n", "no TOML: at "),
        (b"\xff", "no TOML in UTF-8"),
        ("a = " + "[" * 20_000, "no TOML"),
    ],
)
def test_what_is_not_of_the_form_is_told_by_its_place_and_never_its_value(path, text, said):
    path.parent.mkdir()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    with pytest.raises(SourceUnreadable) as caught:
        read(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a.b", "a/b", "ä", "a" * 65, "a\n"])
def test_a_name_that_is_none_is_refused(path, name):
    with pytest.raises(CredentialInvalid, match="is no name"):
        put(name, entry(), path=path)
    assert not path.exists()


def test_a_profile_is_replaced_only_if_that_is_said(path):
    put("one", entry(), path=path)
    with pytest.raises(CredentialInvalid, match="there is a profile one already"):
        put("one", entry(url="http://127.0.0.1:1"), path=path)
    assert read(path)["one"].url is None
    put("one", entry(url="http://127.0.0.1:1"), replacing=True, path=path)
    assert read(path)["one"].url == "http://127.0.0.1:1"


def test_what_is_not_there_can_not_be_removed_and_the_others_are_named(path):
    put("one", entry(), path=path)
    with pytest.raises(CredentialInvalid, match=r"no profile 'two'; there are: one"):
        remove("two", path=path)


def test_a_link_to_the_file_stays_one(path, tmp_path):
    path.parent.mkdir()
    kept = tmp_path / "dotfiles.toml"
    path.symlink_to(kept)
    put("one", entry(), path=path)
    assert path.is_symlink()
    assert "one" in tomllib.loads(kept.read_text())


def test_a_write_that_fails_changes_nothing_and_leaves_nothing(path, monkeypatch):
    put("one", entry(), path=path)
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SourceUnreadable, match="No space left on device; nothing was changed"):
        put("two", entry(), path=path)
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["profiles.lock", "profiles.toml"]


def test_processes_that_write_at_once_lose_nobodys_profile(path):
    program = (
        "import sys; from pathlib import Path\n"
        "from latchgate.client.profiles_file import Entry, put\n"
        "for n in range(5):\n"
        "    put(f'{sys.argv[2]}-{n}', Entry('upcloud', 'environment'), path=Path(sys.argv[1]))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(path), f"p{n}"]) for n in range(4)
    ]
    assert [one.wait(60) for one in running] == [0] * 4
    assert len(read(path)) == 20


def test_the_users_own_file_is_below_xdg_config_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert profiles_file() == tmp_path / "latchgate" / "profiles.toml"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", ignored)
        assert profiles_file() == Path("/home/me/.config/latchgate/profiles.toml")


def test_no_entry_shows_its_secrets():
    assert SECRET not in repr(entry())
