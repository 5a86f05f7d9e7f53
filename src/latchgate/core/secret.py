"""Spelling, checksums and digests of system-made secrets.

Rule of this file: a secret's text is turned into a digest as early as possible, and whatever
still has to hold the text prints masked.
"""

from __future__ import annotations

import zlib
from hashlib import sha256
from hmac import compare_digest

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CROCKFORD_LOWER = "0123456789abcdefghjkmnpqrstvwxyz"
CROCKFORD_UPPER = CROCKFORD_LOWER.upper()
CHECKSUM_LENGTH = 8
DIGEST_LENGTH = 32  # of a secret that the system made: SHA-256; no slow hash is as short
_DIFFERENT = 8


class Secret:
    """Text that must never be printed by accident; `reveal()` is the only way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one answer that shows it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        msg = "a Secret is not pickled"
        raise TypeError(msg)


def spell(number: int, alphabet: str, length: int) -> str:
    """Return `number` in the base of `alphabet`, left-padded to `length` characters.

    Raises ValueError when the number needs more than `length` characters.
    """
    base = len(alphabet)
    out: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, base)
        out.append(alphabet[digit])
    if number:
        msg = f"number does not fit in {length} characters of base {base}"
        raise ValueError(msg)
    return "".join(reversed(out))


def draw(entropy: bytes, alphabet: str, length: int) -> str:
    """Return `length` characters drawn from `entropy`, biased by less than 2**-64.

    `entropy` must hold at least 64 bits more than the result; ValueError otherwise.
    """
    space = len(alphabet) ** length
    if len(entropy) * 8 < space.bit_length() + 64:
        msg = "too little entropy for an unbiased draw"
        raise ValueError(msg)
    return spell(int.from_bytes(entropy, "big") % space, alphabet, length)


def checksum(text: str) -> str:
    """Return the CRC-32 of `text` as eight lower-case hexadecimal digits.

    Not a defence: it lets a scanner tell a real key from look-alike text without asking, and
    lets the server turn mistyped keys away before any look-up.
    """
    return f"{zlib.crc32(text.encode()):08x}"


def has_checksum(text: str) -> bool:
    """Whether `text` ends in the checksum of what stands before it."""
    return checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


def looks_drawn(text: str) -> bool:
    """Whether text may have been drawn at random, unlike the words and x's of documents.

    Of 20 or more random characters one is a digit and 8 differ, but for one text in thousands.
    """
    return len(set(text)) >= _DIFFERENT and any("0" <= letter <= "9" for letter in text)


def digest(domain: str, text: str) -> bytes:
    """Return the 32-byte SHA-256 of `text`, separated by `domain` so digests never cross kinds.

    Plain SHA-256 is enough only because system-made secrets carry at least 128 random bits.
    """
    return sha256(f"latchgate:{domain}:1\0{text}".encode()).digest()


def same(one: bytes, other: bytes) -> bool:
    """Compare two digests in constant time."""
    return compare_digest(one, other)
