"""Passwords are kept as argon2id in PHC form, as another implementation reads it."""

from __future__ import annotations

import re

import pytest
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from latchgate.signin.password import HashError, hash_like, hash_password

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


def test_hashing_like_a_stored_one_gives_it_exactly_for_the_right_password(hashed):
    assert hash_like("correct horse", hashed) == hashed
    for wrong in ("Correct horse", "correct horse ", "", "correct hors"):
        assert hash_like(wrong, hashed) != hashed


def test_a_hash_of_another_cost_is_made_at_that_cost():
    made = Argon2id(salt=b"another-salt", length=24, iterations=2, lanes=1, memory_cost=64)
    other = made.derive_phc_encoded(b"x")
    assert hash_like("x", other) == other


@pytest.mark.parametrize(
    "stored", ["", "x", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43]
)
def test_what_is_no_argon2id_is_refused(stored):
    with pytest.raises(HashError):
        hash_like("x", stored)
