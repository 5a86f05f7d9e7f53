"""Passwords are kept as argon2id in PHC form, as another implementation reads it."""

from __future__ import annotations

import re

import pytest
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from latchgate.signin.password import hash_password

SALT = bytes(range(16))


@pytest.fixture(scope="module")
def hashed():
    return hash_password("correct horse", SALT)


def test_the_password_is_kept_with_its_parameters_in_phc_form(hashed):
    # RFC 9106 §4, second recommended option.
    assert re.fullmatch(
        r"\$argon2id\$v=19\$m=65536,t=3,p=4\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", hashed
    )


def test_the_right_password_verifies(hashed):
    Argon2id.verify_phc_encoded(b"correct horse", hashed)


@pytest.mark.parametrize(
    "wrong", ["", "correct hors", "correct horse ", "Correct horse", "correct horse\0"]
)
def test_any_other_password_does_not(hashed, wrong):
    with pytest.raises(InvalidKey):
        Argon2id.verify_phc_encoded(wrong.encode(), hashed)


def test_the_password_itself_is_not_in_it(hashed):
    assert "correct" not in hashed


def test_another_salt_makes_another_hash(hashed):
    assert hash_password("correct horse", SALT[::-1]) != hashed
    assert hash_password("correct horse", SALT) == hashed


def test_every_character_of_a_long_password_counts():
    # bcrypt looks at 72 bytes only (ATTACKS D4.30).
    long = "a" * 200
    with pytest.raises(InvalidKey):
        Argon2id.verify_phc_encoded((long + "b").encode(), hash_password(long + "c", SALT))


def test_passwords_outside_ascii_are_kept_as_utf_8():
    Argon2id.verify_phc_encoded("pässwörd🔑".encode(), hash_password("pässwörd🔑", SALT))
