"""Each spelling with a hash that the real tool made: openssl, htpasswd's, Django's, passlib's."""

from __future__ import annotations

import hashlib
import subprocess

import bcrypt
import django
import pytest
from django.conf import settings
from django.contrib.auth import hashers
from passlib.hash import bcrypt_sha256, ldap_salted_sha1, ldap_sha1, pbkdf2_sha512, scrypt

from latchgate.signin import password
from latchgate.signin.foreign import is_foreign, is_weak, like, stored_form
from latchgate.signin.password import HashError, hash_password, is_argon2id

PASSWORD = "grüße from 1999"
SALT = bytes(16)
WRONG = "grüße from 1998"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    """Argon2id as ever, at a thousandth of its cost: what is tested is not how slow it is."""
    monkeypatch.setattr(password, "_MEMORY_KIB", 64)
    monkeypatch.setattr(password, "_LANES", 1)


@pytest.fixture(scope="module", autouse=True)
def _django():
    if not settings.configured:
        settings.configure()
        django.setup()


def by_openssl(option: str) -> str:
    done = subprocess.run(
        ["openssl", "passwd", option, "-stdin"],
        input=PASSWORD,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def by_django(name: str) -> str:
    hasher = next(
        found
        for found in (
            hashers.PBKDF2PasswordHasher(),
            hashers.PBKDF2SHA1PasswordHasher(),
            hashers.BCryptSHA256PasswordHasher(),
            hashers.ScryptPasswordHasher(),
            hashers.MD5PasswordHasher(),
        )
        if found.algorithm == name
    )
    if isinstance(hasher, hashers.PBKDF2PasswordHasher):
        return hasher.encode(PASSWORD, hasher.salt(), iterations=1000)
    return hasher.encode(PASSWORD, hasher.salt())


STRONG = {
    "htpasswd's bcrypt": lambda: (
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)).decode().replace("$2b$", "$2y$")
    ),
    "crypt's SHA-256": lambda: by_openssl("-5"),
    "crypt's SHA-512": lambda: by_openssl("-6"),
    "argon2id": lambda: hash_password(PASSWORD, SALT),
    "Django's argon2": lambda: "argon2" + hash_password(PASSWORD, SALT),
    "Django's PBKDF2": lambda: by_django("pbkdf2_sha256"),
    "Django's PBKDF2 with SHA-1": lambda: by_django("pbkdf2_sha1"),
    "Django's bcrypt": lambda: by_django("bcrypt_sha256"),
    "Django's scrypt": lambda: by_django("scrypt"),
    "Keystone's bcrypt_sha256": lambda: bcrypt_sha256.using(rounds=5).hash(PASSWORD),
    "Keystone's PBKDF2": lambda: pbkdf2_sha512.using(rounds=1000).hash(PASSWORD),
    "Keystone's scrypt": lambda: scrypt.using(rounds=10).hash(PASSWORD),
}
WEAK = {
    "apr1": lambda: by_openssl("-apr1"),
    "md5crypt": lambda: by_openssl("-1"),
    "{SHA}": lambda: ldap_sha1.hash(PASSWORD),
    "{SSHA}": lambda: ldap_salted_sha1.hash(PASSWORD),
    "Django's md5": lambda: by_django("md5"),
    "plain SHA-256": lambda: hashlib.sha256(PASSWORD.encode()).hexdigest(),
}


@pytest.mark.parametrize("name", [*STRONG, *WEAK])
def test_a_hash_of_the_real_tool_takes_its_password_and_no_other(name):
    given = (STRONG | WEAK)[name]()
    assert is_weak(given) == (name in WEAK)
    stored = stored_form(given, SALT)
    assert like(PASSWORD, stored) == stored
    for wrong in (WRONG, PASSWORD + " "):
        assert like(wrong, stored) != stored
    assert is_foreign(stored.encode()) == (not is_argon2id(stored))


@pytest.mark.parametrize("name", WEAK)
def test_nothing_that_is_stored_of_a_weak_hash_can_be_guessed_quickly(name):
    given = WEAK[name]()
    stored = stored_form(given, SALT)
    assert "$argon2id$" in stored
    hexadecimal = given.rpartition("$")[2].removeprefix("{SHA}").removeprefix("{SSHA}")
    assert hexadecimal not in stored
    with pytest.raises(HashError, match="too weak"):
        like(PASSWORD, given)


def test_d4_30_a_password_longer_than_bcrypt_reads_is_wrong_though_it_begins_right():
    long = "x" * 72
    stored = stored_form(bcrypt.hashpw(long.encode(), bcrypt.gensalt(4)).decode(), SALT)
    assert like(long, stored) == stored
    assert like(long + "y", stored) != stored
    assert like("x" * 71, stored) != stored


def test_a_system_that_cut_its_secrets_is_followed_where_that_is_told():
    secret = "é" * 43  # 86 bytes, as long as an application credential's
    cut = bcrypt.hashpw(secret.encode()[:72], bcrypt.gensalt(4)).decode()
    assert like(secret, stored_form(cut, SALT)) != cut
    stored = stored_form(cut, SALT, cut=True)
    assert like(secret, stored) == stored
    assert like("e" + secret[1:], stored) != stored


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "no hash"),
        ("secret", "no hash"),
        ("$2y$15$" + "a" * 53, "from 4 to 14"),
        ("$2y$03$" + "a" * 53, "from 4 to 14"),
        ("$2x$12$" + "a" * 53, "no hash"),
        ("pbkdf2_sha256$2000001$salt$" + "A" * 43 + "=", "2000000 iterations"),
        ("pbkdf2_sha256$0$salt$" + "A" * 43 + "=", "2000000 iterations"),
        ("$pbkdf2-sha512$99999999$AAAA$" + "A" * 86, "2000000 iterations"),
        ("$scrypt$ln=31,r=8,p=1$AAAA$" + "A" * 43, "256 MiB"),
        ("$scrypt$ln=17,r=8,p=99$AAAA$" + "A" * 43, "2097152"),
        ("$scrypt$ln=17,r=0,p=1$AAAA$" + "A" * 43, "can't be taken"),
        ("scrypt$3$salt$8$1$" + "A" * 43 + "=", "can't be taken"),
        ("$6$rounds=999999$salt$" + "a" * 86, "from 1000 to"),
        ("$5$salt$" + "a" * 86, "43 characters"),
        ("$argon2id$v=19$m=4194304,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43, "cost"),
        ("$argon2id$v=19$m=65536,t=99,p=4$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43, "cost"),
        ("{SSHA}" + "A" * 27 + "=", "no hash"),
    ],
)
def test_d4_31_what_would_cost_too_much_or_is_no_hash_is_refused_without_work(given, why):
    with pytest.raises(HashError, match=why) as told:
        stored_form(given, SALT)
    assert given == "" or given not in str(told.value)


def test_the_same_hash_under_another_salt_is_stored_otherwise():
    given = WEAK["{SHA}"]()
    assert stored_form(given, SALT) != stored_form(given, bytes(15) + b"\x01")
