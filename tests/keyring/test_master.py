"""The master key's file, and what it seals."""

from __future__ import annotations

import base64
import os
import pickle
import secrets

import pytest
from tests.world import mode

from latchgate.keyring import master
from latchgate.keyring.errors import KeyringError
from latchgate.keyring.master import MasterKey


@pytest.fixture
def key():
    return MasterKey(bytes(range(32)))


def test_what_was_sealed_opens_with_the_same_key_and_purpose(key):
    sealed = key.seal(b"private", b"about", secrets.token_bytes)
    assert b"private" not in sealed
    assert key.open(sealed, b"about") == b"private"


def test_no_two_seals_of_the_same_are_alike(key):
    assert len({key.seal(b"private", b"about", secrets.token_bytes) for _ in range(50)}) == 50


def test_another_key_or_another_purpose_opens_nothing(key):
    sealed = key.seal(b"private", b"about", secrets.token_bytes)
    with pytest.raises(ValueError, match="another key"):
        MasterKey(bytes(32)).open(sealed, b"about")
    with pytest.raises(ValueError, match="another key"):
        key.open(sealed, b"other")


def test_no_changed_bit_and_no_cut_end_opens(key):
    sealed = key.seal(b"private", b"about", secrets.token_bytes)
    for at in range(len(sealed) * 8):
        broken = bytearray(sealed)
        broken[at // 8] ^= 1 << at % 8
        with pytest.raises(ValueError, match="sealed"):
            key.open(bytes(broken), b"about")
    for length in range(len(sealed)):
        with pytest.raises(ValueError, match="sealed"):
            key.open(sealed[:length], b"about")


def test_the_file_holds_32_random_bytes_for_its_owner_alone(tmp_path):
    file = tmp_path / "master.key"
    made = master.create(file, secrets.token_bytes)
    assert mode(file) == 0o600
    assert len(base64.b64decode(file.read_bytes(), validate=False)) == 32
    sealed = made.seal(b"x", b"", secrets.token_bytes)
    assert master.load(file).open(sealed, b"") == b"x"


def test_a_key_is_never_overwritten(tmp_path):
    file = tmp_path / "master.key"
    file.write_text("something")
    with pytest.raises(FileExistsError):
        master.create(file, secrets.token_bytes)
    assert file.read_text() == "something"


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644])
def test_a_file_that_others_may_use_is_refused(tmp_path, bits):
    file = tmp_path / "master.key"
    master.create(file, secrets.token_bytes)
    file.chmod(bits)
    with pytest.raises(KeyringError, match=r"can be read by others; run: chmod 600 .*decided"):
        master.load(file)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", b"A" * 44, b"\xff" * 44, b"A" * 5000, b"!" * 44]
)
def test_a_file_with_anything_else_is_refused_and_not_repeated(tmp_path, content):
    file = tmp_path / "master.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(KeyringError, match="32 bytes as base64") as told:
        master.load(file)
    assert "AAAA" not in str(told.value)


def test_what_is_not_there_or_no_file_is_told_with_what_still_works(tmp_path):
    with pytest.raises(KeyringError, match=r"is not there.*--new-master.*decided as before"):
        master.load(tmp_path / "master.key")
    with pytest.raises(KeyringError, match="is no file"):
        master.load(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyringError, match="is no file"):
        master.load(tmp_path / "pipe")


def test_a_key_prints_nothing_and_is_not_pickled(key):
    assert repr(key) == str(key) == "MasterKey(***)"
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_key_of_another_length_is_none():
    with pytest.raises(ValueError, match="32"):
        MasterKey(bytes(16))
