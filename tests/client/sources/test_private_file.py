"""Whose files are read, and which warn."""

from __future__ import annotations

import os
import warnings

import pytest
from tests.client.sources.written import write

from latchgate.client import SourceExposed
from latchgate.client.sources import private_file as files
from latchgate.client.sources.private_file import NotRead, config_homes, private_file
from latchgate.client.sources.source import Found, Lacking

_FOUND = Found({}, "here")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o664])
def test_a_file_that_others_can_read_warns_with_what_mends_it(folder, mode):
    path = write(folder / "a key", "5ecret", mode)
    file = private_file(path, given=False)
    assert file is not None
    with pytest.warns(SourceExposed) as told:
        file.warned(_FOUND)
    assert str(told[0].message).endswith(f"mend it: chmod 600 '{path}'")
    path.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mended = private_file(path, given=False)
        assert mended is not None
        mended.warned(_FOUND)


def test_no_credential_no_warning(folder):
    file = private_file(write(folder / "x", "", 0o644), given=False)
    assert file is not None
    assert file.warned(Lacking("x", "nothing")) == Lacking("x", "nothing")


def test_a_file_that_everybody_can_write_is_not_read_even_where_its_path_is_given(folder):
    path = write(folder / "x", "5ecret", 0o602)
    with pytest.raises(NotRead, match="written by everybody"):
        private_file(path, given=True)


def test_another_users_file_is_read_only_where_its_path_is_given(folder, monkeypatch):
    path = write(folder / "x", "5ecret")
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(NotRead, match="belongs to another user"):
        private_file(path, given=False)
    told = private_file(path, given=True)
    assert told is not None
    assert told.text == "5ecret"


def test_a_group_may_read_what_root_gave_it(folder, monkeypatch):
    path = write(folder / "x", "5ecret", 0o640)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    file = private_file(path, given=True)
    assert file is not None
    assert not file.exposed


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe5\x00", "is not UTF-8"), (b"#" * (files.LARGEST + 1), "is larger than 256 KiB")],
)
def test_what_is_no_text_of_a_reasonable_size_is_not_read(folder, content, why):
    path = folder / "x"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(NotRead, match=f"^{why}$") as told:
        private_file(path, given=True)
    assert told.value.path == path


def test_folders_and_pipes_are_no_files(folder):
    os.mkfifo(folder / "pipe")
    for path in (folder, folder / "pipe"):
        with pytest.raises(NotRead, match="is no regular file"):
            private_file(path, given=True)
    assert private_file(folder / "none" / "x", given=True) is None


def test_a_byte_order_mark_is_left_out_and_a_files_repr_shows_its_path_alone(folder):
    file = private_file(write(folder / "x", "\ufeff5ecret"), given=False)
    assert file is not None
    assert file.text == "5ecret"
    assert repr(file) == f"PrivateFile('{folder}/x')"


def test_configuration_is_below_the_folder_that_is_set_and_that_of_the_home(home, monkeypatch):
    assert config_homes() == (home / ".config",)
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert config_homes() == (home / ".config",)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xdg")
    assert [str(one) for one in config_homes()] == ["/xdg", f"{home}/.config"]
