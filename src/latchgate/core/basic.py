"""`Authorization: Basic`: a login name and a password, read in exactly one way.

Rule of this file: what two programs could read differently is refused. Split at the first colon,
UTF-8 before Latin-1 (clients send either), NFC, no control characters (RFC 7617 §2; ATTACKS D4.29).
"""

from __future__ import annotations

import re
import unicodedata
from binascii import Error, a2b_base64, b2a_base64

import msgspec

from latchgate.core.secret import Secret, has_checksum

MAX_LOGIN = 128
MAX_PASSWORD = 1_024  # the hash of a longer one would be work that a stranger asks for (D4.31)
_SCHEME = re.compile(r"basic(?: +(?P<token>.*))?", re.IGNORECASE | re.DOTALL)
_LETTERS = frozenset("ÆæÐðØøÞþßĐđĦħŁłŊŋŒœŦŧ")  # of alphabets in use, without a mark to take off
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SYSTEM_MADE = re.compile(r"[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{22}[0-9a-f]{8}")


class Basic(msgspec.Struct, frozen=True):
    """A login name, in the form that names are kept in, and a password as it was typed (NFC)."""

    login: str
    password: Secret


def read_basic(value: str) -> Basic | str | None:
    """Read an `Authorization` value; says what is wrong with it, or None when it is not Basic."""
    if value.startswith("Basic "):  # as nearly every client writes it
        token = value[6:]
    else:
        found = _SCHEME.fullmatch(value)
        if found is None:
            return None
        token = found["token"] or ""
    token = token.lstrip(" ")
    try:
        pair = a2b_base64(token)
    except (Error, ValueError):
        return "what follows Basic is not base64"
    if not pair or b2a_base64(pair, newline=False) != token.encode():
        return "what follows Basic is not base64 in its one form"
    return _split(pair)


def _split(pair: bytes) -> Basic | str:
    try:
        text = pair.decode()
    except UnicodeDecodeError:
        text = pair.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon:
        return "no colon stands between the login name and the password"
    plain = text.isascii()
    # Of ASCII, what can't be printed are the control characters.
    if not text.isprintable() if plain else _CONTROL.search(text):
        return "it holds a control character"
    if not name or not password:
        return f"the {'password' if name else 'login name'} is empty"
    if len(name) > MAX_LOGIN or len(password) > MAX_PASSWORD:
        return f"the {'login name' if len(name) > MAX_LOGIN else 'password'} is too long"
    if plain:
        return Basic(name.lower(), Secret(password))
    return Basic(canonical_login(name), Secret(unicodedata.normalize("NFC", password)))


def canonical_login(name: str) -> str:
    """Return the form in which login names are kept and compared: NFC, folded, NFC again."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def login_fault(name: str) -> str | None:
    """Say why a new login name can't be taken; None when it can.

    Letters are those of Latin alphabets alone, with their marks, so that no other name looks like
    it: neither of another script nor a phonetic, small-capital or wide one (D4.28, D4.29).
    """
    if not name or len(name) > MAX_LOGIN:
        return f"must have 1 to {MAX_LOGIN} characters"
    for letter in name:
        if letter.isascii():
            fits = letter.isalnum() or letter in "._@+-"
        else:
            fits = letter in _LETTERS or _is_marked(letter)
        if not fits:
            return f"{letter!r} is not among letters of the Latin script, digits and ._@+-"
    return None


def _is_marked(letter: str) -> bool:
    """Whether it is an ASCII letter with marks, such as é."""
    parts = unicodedata.normalize("NFD", letter)
    return len(parts) > 1 and parts[0].isascii() and parts[0].isalpha()


def is_system_made(password: str) -> bool:
    """Whether a password is spelled as only Latchgate spells one, checksum included."""
    return _SYSTEM_MADE.fullmatch(password) is not None and has_checksum(password)
